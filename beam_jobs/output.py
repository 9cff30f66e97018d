"""The output folder belongs to one set of corpora and tasks."""

from __future__ import annotations

from typing import Any

import yaml

from beam_jobs.stage import Run
from mining.config import resolved_yaml
from mining.contract.errors import ConfigError
from mining.io.dataset import MANIFEST
from mining.io.filesystem import exists, list_glob, read_bytes, write_atomic

_RESOLVED = "config.resolved.yaml"
_FIXED = {"corpora": ("uri", "lang", "modality"), "tasks": ("source", "target")}


def claim_output(run: Run) -> None:
    """Write ``config.resolved.yaml``, unless the folder belongs to something else.

    Model, thresholds and everything else may change between runs: stages keep their results apart by
    hash. Corpora and tasks may be added; once there are pairs they may not be redefined, since pairs of
    both would lie side by side.

    Raises:
        ConfigError: if the folder holds other things, or the results of another config.
    """
    uri, storage = f"{run.output}/{_RESOLVED}", run.storage
    text = resolved_yaml(run.config)
    if exists(uri, storage):
        resolved = yaml.safe_load(read_bytes(uri, storage))
        mined = any(
            exists(f"{run.dataset('pairs', task)}/{MANIFEST}", storage)
            for task in resolved["tasks"]
        )
        before = _identity(resolved) if mined else {}
        now = _identity(yaml.safe_load(text))
        for key, value in before.items():
            if now.get(key) != value:
                raise ConfigError(
                    f"{run.output}: was made by another config: {key} was {value!r}, but is "
                    f"{now.get(key)!r} now; choose another --output"
                )
    elif list_glob(f"{run.output}/**", storage):
        raise ConfigError(
            f"{run.output}: must be empty or an output of this program, but holds other files; "
            "choose another --output"
        )
    write_atomic(uri, text.encode("utf-8"), storage)


def _identity(config: Any) -> dict[str, Any]:
    """What may not change in an output folder, by config key."""
    found: dict[str, Any] = {}
    for section, fields in (
        ("corpora", ("uri", "lang", "modality")),
        ("tasks", ("source", "target")),
    ):
        for name, entry in (config or {}).get(section, {}).items():
            found |= {f"{section}.{name}.{key}": entry.get(key) for key in fields}
    return found
