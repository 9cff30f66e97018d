"""``tokenizer.json`` of an audio tokenizer's folder: its kind and its settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from encoders.checkpoint import read_json
from mining.contract.errors import CheckpointError

SETTINGS_FILE = "tokenizer.json"
SCHEMA = 1
KMEANS = "kmeans"
CTC = "ctc"
CONV_CTC = "conv_ctc"
KINDS = (KMEANS, CTC, CONV_CTC)
MOST_UNITS = 32767  # units are stored as int16

# What each field of the kinds of this package is; conv_ctc checks its own.
_FIELDS: Mapping[str, Mapping[str, type]] = MappingProxyType(
    {
        KMEANS: {
            "name": str, "units": int, "layer": int, "rate_hz": float, "normalise": str,
            "equalise": bool, "window_s": float, "fitted": dict,
        },
        CTC: {"name": str, "normalise": str},
    }
)  # fmt: skip
NONE, FIXED, UTTERANCE = "none", "fixed", "utterance"


def read_settings(folder: Path) -> tuple[str, dict[str, Any]]:
    """Kind of a tokenizer, and its settings without ``schema`` and ``kind``.

    Raises:
        CheckpointError: there is no such folder, or its ``tokenizer.json`` is not one of ours, is of
            a later version, or has a field missing, unknown or of another type.
    """
    if not folder.is_dir():
        raise CheckpointError(
            f"{folder}: must be the folder of an audio tokenizer, but does not exist; fit one, or give "
            "the folder that it was saved to"
        )
    path = folder / SETTINGS_FILE
    settings = read_json(path)
    schema, kind = settings.pop("schema", None), settings.pop("kind", None)
    if not path.is_file() or schema is None:
        raise CheckpointError(
            f"{path}: must be there and state schema and kind of an audio tokenizer, but does not; "
            "give the folder that the tokenizer was saved to"
        )
    if schema != SCHEMA:
        raise CheckpointError(
            f"{path}: schema must be {SCHEMA}, but is {schema!r}; use the release that wrote it, or a "
            "later one"
        )
    if kind not in KINDS:
        raise CheckpointError(f"{path}: kind must be one of {', '.join(KINDS)}, but is {kind!r}")
    if kind == KMEANS:
        settings.setdefault("window_s", 0.0)  # of folders before it: clips in the whole window
    if kind in _FIELDS:
        _check(path, settings, _FIELDS[kind])
    return str(kind), settings


def _check(path: Path, settings: dict[str, Any], fields: Mapping[str, type]) -> None:
    odd = sorted(settings.keys() ^ fields.keys())
    if odd:
        what = "unknown" if odd[0] in settings else "missing"
        raise CheckpointError(
            f"{path}: must have the fields {', '.join(sorted(fields))}, but {odd[0]!r} is {what}"
        )
    for name, wanted in fields.items():
        value = settings[name]
        if wanted is float and type(value) is int:
            settings[name] = value = float(value)
        if type(value) is not wanted:
            raise CheckpointError(
                f"{path}: {name} must be of type {wanted.__name__}, but is {value!r}"
            )
    if settings["normalise"] not in (NONE, FIXED, UTTERANCE):
        raise CheckpointError(
            f"{path}: normalise must be {NONE}, {FIXED} or {UTTERANCE}, but is "
            f"{settings['normalise']!r}"
        )
