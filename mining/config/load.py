"""Read a config file, apply ``--set``, check it as a whole, and hash its parts."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml

from mining.config.binding import bind
from mining.config.model import EXACT, Config, LangPairs
from mining.config.yaml_nodes import Node, parse_yaml
from mining.contract.errors import ConfigError
from mining.contract.languages import canonical_language

T = TypeVar("T")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
# options of fsspec's file systems that open nothing; whatever else they take may be a secret
_HARMLESS = frozenset(("endpoint_url", "project", "region", "region_name"))
_PLAIN = re.compile(r"(https?://)?[\w.:-]*/?")  # no user:password@, no signature
_MASK = "***"


def load_config(path: str, overrides: Sequence[str] = (), output: str | None = None) -> Config:
    """Read, override and check a mining run's config.

    Args:
        path: a YAML file.
        overrides: ``a.b=c`` settings; c is read as YAML.
        output: replaces the config's ``output``.

    Raises:
        ConfigError: naming every fault with its file, line and key.
    """
    return load_as(Config, path, overrides, output, _check_names)


def load_as(
    cls: type[T],
    path: str,
    overrides: Sequence[str],
    output: str | None,
    check: Callable[[T, Node, list[str]], None] | None = None,
) -> T:
    """Read, override and check a config of any kind.

    Args:
        cls: frozen dataclass of the whole file.
        path: a YAML file.
        overrides: ``a.b=c`` settings; c is read as YAML.
        output: replaces the config's ``output``.
        check: adds faults that the fields alone do not show; sees the config and the file's nodes.

    Raises:
        ConfigError: naming every fault with its file, line and key.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise ConfigError(f"{path}: the config file cannot be read: {reason}") from None
    problems: list[str] = []
    root = parse_yaml(text, path, problems)
    for override in overrides:
        _override(root, override, problems)
    if output is not None and isinstance(root.value, dict):
        root.value["output"] = Node(output, "--output")
    config = bind(root, cls, problems)
    if config is not None and check is not None:
        check(config, root, problems)
    if problems or config is None:
        raise ConfigError("\n".join(dict.fromkeys(problems)))
    return config


def name_fault(name: str) -> str | None:
    """What is wrong with a name that becomes a folder, or None."""
    if _NAME.fullmatch(name):
        return None
    return "a name may hold letters, digits, _ . and - only, since it becomes a folder"


def _override(root: Node, override: str, problems: list[str]) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        problems.append(f"--set {override}: must read key=value, such as mining.k=8")
        return
    here = root
    if not isinstance(root.value, dict):
        return  # said when the file is bound
    *parents, last = key.split(".")
    for name in parents:
        if not isinstance(here.value, dict):
            problems.append(f"--set {override}: {name!r} is not inside a mapping")
            return
        here = here.value.setdefault(name, Node({}, f"--set {override}"))
    if not isinstance(here.value, dict):
        problems.append(f"--set {override}: {parents[-1]!r} is a value, not a mapping")
        return
    node = parse_yaml(text, "--set", problems) if text.strip() else Node(None, "")
    _relabel(node, f"--set {override}")
    here.value[last] = node


def _relabel(node: Node, where: str) -> None:
    node.where = where
    children = node.value if isinstance(node.value, list) else []
    for child in node.value.values() if isinstance(node.value, dict) else children:
        _relabel(child, where)


def _check_names(config: Config, root: Node, problems: list[str]) -> None:
    """Corpora, tasks and languages that refer to each other."""
    for section, names in (("corpora", config.corpora), ("tasks", config.tasks)):
        nodes = root.value[section]
        if not names:
            problems.append(f"{nodes.where}: {section} must name at least one")
        for name in names:
            if fault := name_fault(name):
                problems.append(f"{nodes.value[name].where}: {section}.{name}: {fault}")
    for name, task in config.tasks.items():
        where = root.value["tasks"].value[name].where
        for corpus in (*task.sources, *task.targets):
            if corpus not in config.corpora:
                close = difflib.get_close_matches(corpus, config.corpora, n=1)
                hint = f"; did you mean {close[0]!r}?" if close else ""
                problems.append(f"{where}: tasks.{name}: there is no corpus {corpus!r}{hint}")
            elif task.documents is not None and config.corpora[corpus].columns.id is None:
                problems.append(
                    f"{where}: tasks.{name}.documents: corpora.{corpus} must name its documents' ids in "
                    "columns.id, but does not"
                )
        if task.documents is not None and config.mining.index != EXACT:
            problems.append(
                f"{where}: mining.index: must be exact, since tasks.{name} mines within documents, but "
                f"is {config.mining.index}"
            )
        codes: tuple[str, ...] = ()
        if isinstance(task.langs, LangPairs):
            codes = (*task.langs.source, *task.langs.target)
        elif isinstance(task.langs, tuple):
            for pair in task.langs:
                if pair.count("-") != 1:
                    problems.append(f"{where}: tasks.{name}.langs: {pair!r} must read like deu-eng")
                codes += tuple(pair.split("-"))
        for code in codes:
            if canonical_language(code) is None:
                problems.append(f"{where}: tasks.{name}.langs: {code!r} is not a language code")


def resolved_yaml(config: Any) -> str:
    """A config (a dataclass) with every default filled in, as YAML; options of storage are masked."""
    plain = to_plain(config)
    execution = plain.get("execution")
    if isinstance(execution, dict) and "storage" in execution:
        masked = {name: _masked(one) for name, one in execution["storage"].items()}
        plain["execution"] = {**execution, "storage": masked}
    return yaml.safe_dump(plain, sort_keys=True, allow_unicode=True)


def _masked(value: Any, key: str = "") -> Any:
    """An option of a file system: what might open something is masked, whatever it is called."""
    if isinstance(value, dict):
        return {name: _masked(item, name) for name, item in value.items()}
    if value is None or isinstance(value, bool):
        return value
    if key in _HARMLESS and isinstance(value, str) and _PLAIN.fullmatch(value):
        return value
    return _MASK


def to_plain(value: Any) -> Any:
    """Dataclasses, tuples and mappings as dicts, lists and scalars."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]
    return value


def stage_hash(stage: str, decides: Mapping[str, Any]) -> str:
    """16 hex digits over everything that decides a stage's result, its inputs' hashes included."""
    text = json.dumps([stage, to_plain(decides)], sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:16]
