"""The output folder belongs to one set of corpora and tasks."""

from __future__ import annotations

from typing import Any

import yaml

from beam_jobs.stage import Run
from mining.config import Config, resolved_yaml
from mining.contract.errors import ConfigError, DatasetError
from mining.contract.uris import canonical_uri
from mining.io.filesystem import Storage, exists, list_glob, read_bytes, write_atomic

_RESOLVED = "config.resolved.yaml"
_FIXED = {"corpora": ("uri", "lang", "modality"), "tasks": ("source", "target")}
_GROWING = ("source", "target")  # a task may get further corpora: its pairs are then mined anew


def claim_output(run: Run, resolved: Config) -> None:
    """Write ``config.resolved.yaml``, unless the folder belongs to something else.

    Model, thresholds and everything else may change between runs: stages keep their results apart by
    hash. Corpora and tasks may be added, also corpora to a task; once there are pairs nothing may be
    taken away or redefined, since pairs of both would lie side by side. Several workers may claim it
    at once, with one config.

    Args:
        run: whose folder.
        resolved: its config with everything filled in.

    Raises:
        ConfigError: if the folder holds other things, or the results of another config.
    """
    uri, storage = f"{run.output}/{_RESOLVED}", run.storage
    text = resolved_yaml(resolved)
    # another worker may have claimed it, and begun, between the two looks: so there is a third
    others = not exists(uri, storage) and list_glob(run.output, storage)
    if exists(uri, storage):
        _refuse_another(run, _read(uri, storage), yaml.safe_load(text))
    elif others:
        raise ConfigError(
            f"{run.output}: must be empty or an output of this program, but holds other files; "
            "choose another --output"
        )
    write_atomic(uri, text.encode("utf-8"), storage)


def _refuse_another(run: Run, before: Any, resolved: Any) -> None:
    """Refuse a config that takes away or redefines what was mined."""
    mined = any(
        exists(run.state("pairs", task, "current.json"), run.storage) for task in before["tasks"]
    )
    now = _identity(resolved)
    for key, value in _identity(before).items() if mined else ():
        grown = key.rpartition(".")[2] in _GROWING and _names(value) <= _names(now.get(key))
        if now.get(key) != value and not grown:
            raise ConfigError(
                f"{run.output}: was made by another config: {key} was {value!r}, but is "
                f"{now.get(key)!r} now; choose another --output"
            )


def read_resolved(output: str, storage: Storage) -> Any:
    """The config that an output was made by, as plain values; None if the folder is no output.

    Raises:
        DatasetError: if it is damaged.
    """
    uri = f"{output}/{_RESOLVED}"
    return _read(uri, storage) if exists(uri, storage) else None


def _read(uri: str, storage: Storage) -> Any:
    try:
        found = yaml.safe_load(read_bytes(uri, storage))
    except (yaml.YAMLError, UnicodeDecodeError):
        found = None
    if not isinstance(found, dict) or not {"corpora", "tasks"} <= set(found):
        raise DatasetError(f"{uri}: must be the config of this output, but is damaged; remove it")
    return found


def _identity(config: Any) -> dict[str, Any]:
    """What may not change in an output folder, by config key."""
    return {
        f"{section}.{name}.{key}": _canonical(entry.get(key))
        for section, keys in _FIXED.items()
        for name, entry in config[section].items()
        for key in keys
    }


def _canonical(value: Any) -> Any:
    """Addresses in one spelling; everything else as it is."""
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    return canonical_uri(value) if isinstance(value, str) else value


def _names(value: Any) -> set[str]:
    """Corpora of one side of a task, written as one name or a list."""
    return set(value if isinstance(value, list) else [value]) - {None}
