"""The settings of a dual encoder, and their file ``dual_encoder.json``.

Nothing here imports torch, so that a launcher can read them.
"""

from __future__ import annotations

import dataclasses
import json
import string
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from encoders.audio_tokens.card import AudioTokenizerCard
from encoders.checkpoint import read_json
from mining.contract.errors import CheckpointError, ConfigError
from mining.contract.languages import canonical_language

CONFIG_FILE = "dual_encoder.json"
AUDIO_TOKENIZER_FOLDER = "audio_tokenizer"
SCHEMA_VERSION = 1
TRANSFORMER = "transformer"
WORDBAG = "wordbag"

Pooling = Literal["mean", "cls", "last_token"]
Tie = Literal["own", "spelling"]


@dataclass(frozen=True, kw_only=True)
class DualEncoderConfig:
    """What decides how a dual encoder reads an item, beside its weights and tokenizers.

    A user gives the first ten. The others say what was made of them; ``create_dual_encoder`` fills
    them in.

    Attributes:
        name: for people.
        dim: D, width of a vector; None only before the network is made: as wide as the backbone.
        space: name of the embedding space; None: one of its own, named after the contents.
        languages: ISO 639-3 codes it was trained on; empty if that is not known.
        licence: SPDX identifier, or ``unknown``.
        prefix: before every input; ``{language}`` and ``{modality}`` are filled in.
        pooling: how token vectors become one.
        max_tokens: longer inputs are cut, in tokens, prefix and special tokens included.
        tie: ``own``: audio tokens are rows of their own behind those of text (Gomez et al. 2024);
            ``spelling``: the symbols of a CTC tokenizer are read as text.
        merge_repeats: neighbouring equal units are one token; units with a blank always are.
        tower: kind of the network.
        projection: whether a linear layer follows the pooling.
        text_rows: t, rows of the vocabulary that are text.
        audio_units: a, units of the audio tokenizer; 0: the model does not hear.
        append_end: whether an end token is put behind every input, since the tokenizer puts none and
            the last token is pooled.
    """

    name: str
    dim: int | None = None
    space: str | None = None
    languages: tuple[str, ...] = ()
    licence: str = "unknown"
    prefix: str = "[{language} {modality}] "
    pooling: Pooling = "mean"
    max_tokens: int = 512
    tie: Tie = "own"
    merge_repeats: bool = True
    tower: str = TRANSFORMER
    projection: bool = False
    text_rows: int = 0
    audio_units: int = 0
    append_end: bool = False

    def __post_init__(self) -> None:
        for name, (_, must_be, holds) in _FIELDS.items():
            value = getattr(self, name)
            if not holds(value):
                raise ValueError(f"{name} must be {must_be}, but is {value!r}")

    @property
    def audio_rows(self) -> int:
        """Rows of the vocabulary that are audio."""
        return self.audio_units if self.tie == "own" else 0


def read_config(folder: Path) -> DualEncoderConfig:
    """Settings out of a model folder.

    Raises:
        CheckpointError: the file is missing, or a key of it is unknown, missing or wrong.
    """
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise CheckpointError(f"{path}: must say how the model reads an item, but is missing")
    given = read_json(path)
    if given.pop("schema", None) != SCHEMA_VERSION:
        raise CheckpointError(
            f"{path}: schema must be {SCHEMA_VERSION}, but is not; the model is of another version"
        )
    faults = [f"key {name!r} is unknown" for name in given if name not in _FIELDS]
    faults += [f"key {name!r} is missing" for name in _FIELDS if name not in given]
    faults += [
        f"{name} must be {must_be}, but is {given[name]!r}"
        for name, (kind, must_be, _) in _FIELDS.items()
        if name in given and not kind(given[name])
    ]
    if not faults and given["dim"] is None:
        faults.append("dim must be a whole number, but is None")
    if faults:
        raise CheckpointError(f"{path}: {faults[0]}{_more(faults)}; copy the model folder again")
    try:
        return DualEncoderConfig(**{**given, "languages": tuple(given["languages"])})
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}; copy the model folder again") from None


def write_config(config: DualEncoderConfig, folder: Path) -> None:
    """Write ``dual_encoder.json``."""
    values = {"schema": SCHEMA_VERSION, **dataclasses.asdict(config)}
    text = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
    (folder / CONFIG_FILE).write_text(text, encoding="utf-8")


def read_units(folder: Path, config: DualEncoderConfig) -> AudioTokenizerCard | None:
    """The card of a model folder's own audio tokenizer, or None of a model that does not hear.

    Raises:
        CheckpointError: it is missing, broken, or of another vocabulary than the model's.
    """
    if not config.audio_units:
        return None
    home = folder / AUDIO_TOKENIZER_FOLDER
    if not home.is_dir():
        raise CheckpointError(
            f"{home}: must hold the audio tokenizer of {config.name!r}, but is missing; copy the "
            "model folder again"
        )
    from encoders.audio_tokens.load import describe_audio_tokenizer

    units = describe_audio_tokenizer(home)
    if units.units != config.audio_units:
        raise CheckpointError(
            f"{home}: must have the {config.audio_units} units that {CONFIG_FILE} states, but has "
            f"{units.units}; it belongs to another model"
        )
    if config.tie == "spelling" and units.symbols is None:
        raise CheckpointError(
            f"{home}: must spell its units, since {CONFIG_FILE} says tie = spelling, but does not; "
            "it belongs to another model"
        )
    return units


def described_units(folder: Path | None, config: DualEncoderConfig) -> AudioTokenizerCard | None:
    """The card of an audio tokenizer that a new model is to hear with; None of None.

    Raises:
        CheckpointError: it cannot be used.
        ConfigError: it does not spell, but is to be read as text.
    """
    if folder is None:
        return None
    from encoders.audio_tokens.load import describe_audio_tokenizer

    units = describe_audio_tokenizer(folder)
    if config.tie == "spelling" and units.symbols is None:
        raise ConfigError(
            f"tie: must be own for {units.name!r}, whose units have no spelling, but is 'spelling'; "
            "use a CTC tokenizer to tie audio to text"
        )
    return units


def _more(faults: list[str]) -> str:
    return f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""


def _is_prefix(text: str) -> bool:
    """Whether nothing but {language} and {modality} is to be filled in, and plainly."""
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError:
        return False
    names = {(name, spec, conversion) for _, name, spec, conversion in parts if name is not None}
    return names <= {("language", "", None), ("modality", "", None)}


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_text_or_none(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_width(value: Any) -> bool:
    return value is None or (type(value) is int and value > 0)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)


# Of each field: whether a JSON value has its type, what it must be, and whether a value of the type
# is a right one.
_Test = Callable[[Any], bool]
_FIELDS: dict[str, tuple[_Test, str, _Test]] = {
    "name": (_is_text, "a text that is not empty", bool),
    "dim": (_is_width, "a whole number above 0", _is_width),
    "space": (_is_text_or_none, "a text or null", lambda value: value != ""),
    "languages": (
        _is_list,
        "a list of ISO 639-3 codes",
        lambda codes: all(canonical_language(code) == code for code in codes),
    ),
    "licence": (_is_text, "a text that is not empty", bool),
    "prefix": (_is_text, "a text with no fields but {language} and {modality}", _is_prefix),
    "pooling": (
        _is_text,
        "mean, cls or last_token",
        lambda value: value in ("mean", "cls", "last_token"),
    ),
    "max_tokens": (_is_count, "a whole number of at least 2", lambda value: value >= 2),
    "tie": (_is_text, "own or spelling", lambda value: value in ("own", "spelling")),
    "merge_repeats": (_is_flag, "true or false", _is_flag),
    "tower": (_is_text, "a text that is not empty", bool),
    "projection": (_is_flag, "true or false", _is_flag),
    "text_rows": (_is_count, "a whole number", _is_count),
    "audio_units": (_is_count, "a whole number up to 32767", lambda value: value <= 32767),
    "append_end": (_is_flag, "true or false", _is_flag),
}
