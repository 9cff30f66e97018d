"""YAML to plain nodes that remember file and line, with YAML 1.2 scalars.

Stock PyYAML follows YAML 1.1, where ``lang: no`` is False and ``12:30`` is 750. Here only ``true``,
``false``, ``null`` and decimal numbers are special. No tag builds an object: the result is made of
:class:`Node` around dict, list, str, int, float, bool and None.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml

_MAP_TAG, _SEQ_TAG = "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"
_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, Any] = {
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
    "null": None, "Null": None, "NULL": None, "~": None, "": None,
}  # fmt: skip


@dataclass
class Node:
    """A value and where it stands.

    Attributes:
        value: scalar, list of Node, or dict of str to Node.
        where: ``file:line`` or ``--set``.
    """

    value: Any
    where: str

    def plain(self) -> Any:
        """The value without positions."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


def scalar(text: str) -> str | int | float | bool | None:
    """A plain (unquoted) YAML 1.2 core scalar."""
    if text in _WORDS:
        return _WORDS[text]  # type: ignore[no-any-return]
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


class _Loader(yaml.SafeLoader):
    """PyYAML's parser without its YAML 1.1 guesses: scalars are resolved by :func:`scalar`."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012


def parse_yaml(text: str, name: str, problems: list[str]) -> Node:
    """Parse one document.

    Args:
        text: the YAML.
        name: file name for messages.
        problems: receives one line for each syntax fault, repeated key and foreign tag.

    Returns:
        The root node; an empty mapping if nothing could be read.
    """
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        what = getattr(error, "problem", None) or str(error).splitlines()[0]
        problems.append(f"{name}{line}: not valid YAML: {what}")
        return Node({}, name)
    if root is None:
        return Node({}, f"{name}:1")
    return _convert(root, name, problems)


def _convert(
    node: yaml.Node, name: str, problems: list[str], above: frozenset[int] = frozenset()
) -> Node:
    where = f"{name}:{node.start_mark.line + 1}"
    if id(node) in above:
        problems.append(f"{where}: an alias must not stand inside what it names")
        return Node(None, where)
    above |= {id(node)}
    if isinstance(node, yaml.MappingNode) and node.tag == _MAP_TAG:
        mapping: dict[str, Node] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            if key in mapping:
                line = key_node.start_mark.line + 1
                problems.append(
                    f"{name}:{line}: key {key!r} is repeated; first at {mapping[key].where}"
                )
            mapping[key] = _convert(value_node, name, problems, above)
            mapping[key].where = f"{name}:{key_node.start_mark.line + 1}"
        return Node(mapping, where)
    if isinstance(node, yaml.SequenceNode) and node.tag == _SEQ_TAG:
        return Node([_convert(item, name, problems, above) for item in node.value], where)
    if isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:str":
        return Node(node.value if node.style else scalar(node.value), where)
    problems.append(f"{where}: tag {node.tag!r} is not allowed; write a plain value")
    return Node(None, where)
