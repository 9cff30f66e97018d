"""The output folder belongs to one set of corpora and tasks."""

from __future__ import annotations

import socket
from typing import Any

import yaml

from beam_jobs.forgotten import forgotten_list
from beam_jobs.stage import Run
from mining.config import Config, resolved_yaml
from mining.config.load import to_plain
from mining.contract.errors import ConfigError, DatasetError
from mining.contract.uris import canonical_uri
from mining.io.filesystem import Storage, exists, list_glob, read_bytes, write_atomic
from mining.io.forgotten import ForgottenList

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
    check_output(run, resolved)
    shown = resolved_yaml(_without_forgotten(to_plain(resolved), forgotten_list(run)))
    write_atomic(uri, shown.encode("utf-8"), storage)


def check_output(run: Run, resolved: Config) -> None:
    """What :func:`claim_output` refuses; writes nothing."""
    uri, storage = f"{run.output}/{_RESOLVED}", run.storage
    # another worker may have claimed it, and begun, between the two looks: so there is a third
    others = not exists(uri, storage) and list_glob(run.output, storage)
    if exists(uri, storage):
        forgotten = forgotten_list(run)
        before, now = (
            _without_forgotten(one, forgotten) for one in (_read(uri, storage), to_plain(resolved))
        )
        _refuse_another(run, before, now)
    elif others:
        raise ConfigError(
            f"{run.output}: must be empty or an output of this program, but holds other files; "
            "choose another --output"
        )


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


def require_output(run: Run) -> None:
    """The output that was claimed must be seen from here, by a worker on whatever machine.

    Raises:
        ConfigError: if it is not: results would be written where nobody finds them.
    """
    if not exists(f"{run.output}/{_RESOLVED}", run.storage):
        raise ConfigError(
            f"{run.output}: must be storage that every worker sees, but a worker on "
            f"{socket.gethostname()} does not find {_RESOLVED} there; choose an --output on shared "
            "storage, such as s3://"
        )


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
    found = {
        f"{section}.{name}.{key}": _canonical(entry.get(key))
        for section, keys in _FIXED.items()
        for name, entry in config[section].items()
        for key in keys
    }
    # a list of one, as what was forgotten may leave it, is that one
    return {
        key: value[0] if isinstance(value, list) and len(value) == 1 else value
        for key, value in found.items()
    }


def _without_forgotten(config: Any, forgotten: ForgottenList) -> Any:
    """A config, as plain values, that does not name one by one the files that were forgotten."""
    corpora = dict(config["corpora"])
    for name, corpus in corpora.items():
        if isinstance(corpus["uri"], list):
            left_out = forgotten.of(name)
            kept = [uri for uri in corpus["uri"] if not left_out.has_file(canonical_uri(uri), "")]
            corpora[name] = {**corpus, "uri": kept or corpus["uri"]}
    return {**config, "corpora": corpora}


def _canonical(value: Any) -> Any:
    """Addresses in one spelling; everything else as it is."""
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    return canonical_uri(value) if isinstance(value, str) else value


def _names(value: Any) -> set[str]:
    """Corpora of one side of a task, written as one name or a list."""
    return set(value if isinstance(value, list) else [value]) - {None}
