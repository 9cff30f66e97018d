"""Nodes to frozen dataclasses: every fault is found in one pass and named with file, line and key."""

from __future__ import annotations

import dataclasses
import difflib
import re
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union

from mining.config.yaml_nodes import Node

T = TypeVar("T")
_NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


class _MismatchError(Exception):
    """The value is not of this type (used to try the next member of a union)."""


def bind(node: Node, cls: type[T], problems: list[str]) -> T | None:
    """Build ``cls`` from a mapping node; faults go to ``problems`` (then the result is None)."""
    before = len(problems)
    value = _dataclass(node, cls, "", problems)
    return value if len(problems) == before else None


def setting(
    *,
    default: Any = dataclasses.MISSING,
    low: float | None = None,
    high: float | None = None,
    form: tuple[str, str] | None = None,
) -> Any:
    """A dataclass field with an allowed range, or an allowed form of a text.

    Args:
        default: of the field; without one the key must be there.
        low: smallest number that is allowed.
        high: greatest number that is allowed.
        form: a regular expression of the whole text, and what it asks for, in words.
    """
    metadata = {"low": low, "high": high, "form": form}
    if default is dataclasses.MISSING:
        return dataclasses.field(metadata=metadata)
    if isinstance(default, dict):
        return dataclasses.field(default_factory=lambda: dict(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def _dataclass(node: Node, cls: Any, key: str, problems: list[str]) -> Any:
    if not isinstance(node.value, dict):
        problems.append(
            f"{node.where}: {key or 'the file'} must be a mapping, but is {_show(node)}"
        )
        return None
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    arguments: dict[str, Any] = {}
    for name, child in node.value.items():
        full = f"{key}.{name}" if key else name
        if name not in fields:
            problems.append(f"{child.where}: unknown key {full!r}{_suggest(name, fields)}")
            continue
        try:
            arguments[name] = _value(child, hints[name], full, problems)
        except _MismatchError:
            problems.append(
                f"{child.where}: {full} must be {_describe(hints[name])}, but is {_show(child)}"
            )
            continue
        _check_range(child, arguments[name], fields[name].metadata, full, problems)
    for name, field in fields.items():
        required = field.default is field.default_factory is dataclasses.MISSING
        if required and name not in node.value:
            full = f"{key}.{name}" if key else name
            form = field.metadata.get("form")
            wanted = form[1] if form else _describe(hints[name])
            problems.append(f"{node.where}: key {full!r} is missing; it must be {wanted}")
            arguments[name] = None
    try:
        return cls(**arguments)
    except ValueError as error:  # a dataclass' own check in __post_init__
        problems.append(f"{node.where}: {key or 'the file'}: {error}")
    except TypeError:
        # a check stumbled over a field whose own fault is reported already
        if not problems:
            raise
    return None


def _value(node: Node, hint: Any, key: str, problems: list[str]) -> Any:
    origin = typing.get_origin(hint)
    if origin in (Union, types.UnionType):
        return _union(node, hint, key, problems)
    if origin is Literal:
        if node.value not in typing.get_args(hint) or isinstance(node.value, bool):
            raise _MismatchError
        return node.value
    if origin is tuple:
        if not isinstance(node.value, list):
            raise _MismatchError
        item = typing.get_args(hint)[0]
        return tuple(
            _item(child, item, f"{key}[{i}]", problems) for i, child in enumerate(node.value)
        )
    if origin in (dict, Mapping):
        if not isinstance(node.value, dict):
            raise _MismatchError
        item = typing.get_args(hint)[1]
        return {
            name: _item(child, item, f"{key}.{name}", problems)
            for name, child in node.value.items()
        }
    if dataclasses.is_dataclass(hint):
        if not isinstance(node.value, dict):
            raise _MismatchError
        return _dataclass(node, hint, key, problems)
    if hint is Any:
        return node.plain()
    return _scalar(node, hint)


def _item(node: Node, hint: Any, key: str, problems: list[str]) -> Any:
    try:
        return _value(node, hint, key, problems)
    except _MismatchError:
        problems.append(f"{node.where}: {key} must be {_describe(hint)}, but is {_show(node)}")
        return None


def _union(node: Node, hint: Any, key: str, problems: list[str]) -> Any:
    for member in typing.get_args(hint):
        if member is type(None) and node.value is None:
            return None
        if member is not type(None):
            try:
                return _value(node, member, key, problems)
            except _MismatchError:
                continue
    raise _MismatchError


def _scalar(node: Node, hint: Any) -> Any:
    value = node.value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is not bool and isinstance(value, bool)):
        raise _MismatchError
    return value


def _check_range(
    node: Node, value: Any, metadata: Mapping[str, Any], key: str, problems: list[str]
) -> None:
    low, high, form = (metadata.get(name) for name in ("low", "high", "form"))
    if form is not None and isinstance(value, str) and not re.fullmatch(form[0], value):
        problems.append(f"{node.where}: {key} must be {form[1]}, but is {value!r}")
    if not isinstance(value, int | float) or isinstance(value, bool):
        return
    # "not (a <= b)" also catches NaN
    if (low is not None and not value >= low) or (high is not None and not value <= high):
        limits = f"at least {low}" if high is None else f"between {low} and {high}"
        problems.append(f"{node.where}: {key} must be {limits}, but is {value}")


def _describe(hint: Any) -> str:
    origin = typing.get_origin(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(
            dict.fromkeys(_describe(m) for m in typing.get_args(hint) if m is not type(None))
        )
    if origin is Literal:
        return "one of " + ", ".join(str(value) for value in typing.get_args(hint))
    if origin is tuple:
        return "a list"
    if origin in (dict, Mapping):
        return "a mapping"
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return "a mapping with " + ", ".join(field.name for field in dataclasses.fields(hint))
    return _NAMES.get(hint, str(hint))


def _show(node: Node) -> str:
    if isinstance(node.value, dict):
        return "a mapping"
    if isinstance(node.value, list):
        return "a list"
    return "empty" if node.value is None else repr(node.value)


def _suggest(name: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(sorted(known))}"
