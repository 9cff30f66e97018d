"""States of a training run, so that a killed run goes on where it was, to the same weights.

A state is a folder ``step_00000100`` of ``tensors.safetensors`` and ``state.json``. It is written
beside its place and renamed, so that it is there as a whole or not at all; the last two are kept,
since a disk may lose what it said was written.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from mining.contract.errors import CapacityError, CheckpointError, InputError
from mining.io.local import file_digest

_LOG = logging.getLogger(__name__)

_SCHEMA = 1
_KEPT = 2
_TENSORS, _RECORD = "tensors.safetensors", "state.json"


@dataclass(frozen=True, kw_only=True, eq=False)
class State:
    """A moment between two steps.

    Attributes:
        step: steps done.
        tensors: parameters, the optimiser's moments, the generators' states, by name.
        facts: small values of the run, JSON.
    """

    step: int
    tensors: Mapping[str, torch.Tensor]
    facts: Mapping[str, Any]


def save_state(folder: Path, state: State, identity: Mapping[str, Any]) -> None:
    """Write a state, and remove all but the last two.

    Args:
        folder: of all states of the run.
        state: see :class:`State`.
        identity: what decides the weights, flat, JSON; a state is only gone on from by a run of the
            same identity.

    Raises:
        CapacityError: the disk is full or cannot be written to.
    """
    place = folder / f"step_{state.step:08d}"
    partial = folder / f".{place.name}.partial"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        tensors = {name: value.detach().cpu().contiguous() for name, value in state.tensors.items()}
        save_file(tensors, partial / _TENSORS)
        record = {
            "schema": _SCHEMA,
            "step": state.step,
            "identity": dict(identity),
            "facts": dict(state.facts),
            "tensors": file_digest(partial / _TENSORS),
        }
        (partial / _RECORD).write_text(json.dumps(record, indent=1, sort_keys=True), "utf-8")
        for name in (_TENSORS, _RECORD):
            _flush(partial / name)
        shutil.rmtree(place, ignore_errors=True)  # a damaged one that was passed over
        partial.rename(place)
        _flush(folder)
    except (OSError, SafetensorError) as error:
        raise CapacityError(
            f"{place}: the state must be written, but cannot be: {error}; free space and run the "
            "same command again: it goes on from the last state"
        ) from None
    for old in _states(folder)[:-_KEPT]:
        shutil.rmtree(old, ignore_errors=True)


def load_state(folder: Path, identity: Mapping[str, Any]) -> State | None:
    """The last state that is whole, or None if there is none.

    Raises:
        CheckpointError: it is of a run with other settings (naming them); or there are states, but
            none is whole.
    """
    damaged = []
    for place in reversed(_states(folder)):
        try:
            record = json.loads((place / _RECORD).read_text("utf-8"))
            if record["schema"] != _SCHEMA:
                raise CheckpointError(
                    f"{place}: must be a state of version {_SCHEMA}, but is of {record['schema']}; "
                    "give another output"
                )
            require_same(place, record["identity"], identity)
            if file_digest(place / _TENSORS) != record["tensors"]:
                raise ValueError(f"{_TENSORS} is cut or changed")
            with safe_open(place / _TENSORS, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return State(step=int(record["step"]), tensors=tensors, facts=record["facts"])
        except (InputError, OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            damaged.append(place)
            _LOG.warning("%s: the state is damaged (%s); taking the one before", place, error)
    if damaged:
        raise CheckpointError(
            f"{folder}: one state must be whole, but all {len(damaged)} are damaged; remove the "
            "folder to begin again"
        )
    return None


def require_same(place: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse to go on with other settings.

    Raises:
        CheckpointError: naming every key that differs, with both values.
    """
    if told := differing(found, wanted):
        raise CheckpointError(
            f"{place}: must be of a run with the same settings, but {told}; give another output, or "
            f"remove {place.parent} to begin again"
        )


def differing(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """``key was 1, is 2`` of settings that differ; empty if none do."""
    keys = sorted(k for k in {*found, *wanted} if found.get(k) != wanted.get(k))
    told = "; ".join(f"{key} was {found.get(key)!r}, is {wanted.get(key)!r}" for key in keys[:8])
    return told + (f"; and {len(keys) - 8} more" if len(keys) > 8 else "")


def flat(value: Any, key: str = "") -> dict[str, Any]:
    """Nested mappings as one, with keys such as ``loss.teacher.weight``."""
    if not isinstance(value, dict) or not value:
        return {key: value}
    children = (flat(child, f"{key}.{name}" if key else name) for name, child in value.items())
    return {name: leaf for child in children for name, leaf in child.items()}


def _states(folder: Path) -> list[Path]:
    return sorted(folder.glob("step_*")) if folder.is_dir() else []


def _flush(path: Path) -> None:
    """Wait until a file's bytes, or a folder's names, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
