"""From a name or a path to an encoder."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import importlib.resources
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from encoders.card import EncoderCard
from encoders.checkpoint import (
    DUAL,
    SENTENCE_TRANSFORMERS,
    content_digest,
    embedding_dim,
    known_names,
    layout_of,
    read_json,
    require_safetensors,
    stated_licence,
)
from encoders.families import TextSettings, family_of, text_settings, warn_of_licence
from encoders.hub import fetch, is_hub_name
from mining.contract.errors import CapacityError, CheckpointError, ConfigError
from mining.contract.model_ref import ModelRef

if TYPE_CHECKING:
    from mining.contract.encoder import Encoder

_LOG = logging.getLogger(__name__)

BUILTIN = "builtin"
USE_MULTILINGUAL = "use-multilingual"
SPELLING = "spelling"
_NAMED = (BUILTIN, USE_MULTILINGUAL, SPELLING)
_VECTORS = "precomputed vectors"
_DEVICES = ("auto", "cpu", "cuda")
# What a model needs, and never a pickle. The first two are enough to describe it.
_CONFIG_FILES = ["*.json", "*.txt", "*.model", "README.md"]
# Whole: the fingerprint of its units is that of its weights.
_AUDIO_TOKENIZER_FILES = ["audio_tokenizer/*.safetensors"]
_MODEL_FILES = [*_CONFIG_FILES, "*.safetensors"]


def load_encoder(
    model: str | ModelRef, *, device: str = "auto", threads: int | None = None, **options: Any
) -> Encoder:
    """Load an encoder, ready to embed.

    Args:
        model: ``builtin``, ``use-multilingual``, ``spelling``, a folder, a file of vectors, or
            ``org/name`` on the model hub; or a :class:`ModelRef` with settings.
        device: ``auto`` takes a GPU if there is one. It decides no setting and is hashed nowhere;
            bytes are the same on one kind of hardware.
        threads: of torch, or of BLAS; None: as the process has them.
        options: fields of :class:`ModelRef`, when ``model`` is a string.

    Raises:
        CheckpointError: there is no such model, or its folder cannot be used.
        InputError: precomputed vectors and their ids do not match.
        ConfigError: an option is unknown.
        CapacityError: there is no such device.
    """
    ref = _ref(model, options)
    if device not in _DEVICES:
        raise ConfigError(f"device: must be one of {', '.join(_DEVICES)}, but is {device!r}")
    kind, path = _resolve(ref, _MODEL_FILES)
    _refuse_idle_settings(ref, kind, path)
    if kind == _VECTORS:
        from encoders.precomputed import PrecomputedEncoder

        return PrecomputedEncoder(ref)
    if kind == SPELLING:
        from encoders.spelling import Spelling

        return Spelling()
    if kind == USE_MULTILINGUAL:
        from encoders.use_multilingual import UseMultilingual

        return UseMultilingual(threads or 1)
    chosen = require_device(device)
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    if kind == DUAL:
        from encoders.dual.encoder import load_dual

        dual = load_dual(path, ref, _dual_card(path, ref), chosen)
        _LOG.info("%s: loaded on %s in %s", dual.name, chosen, ref.dtype)
        return dual
    from encoders.text_checkpoints import load_plain, load_sentence_transformers
    from encoders.transformer_text import TextEncoder

    card, settings = _text_card(path, ref, kind), _settings(path, ref, kind)
    _LOG.info("%s: loaded on %s with %s", card.name, chosen, settings)
    load = load_sentence_transformers if kind == SENTENCE_TRANSFORMERS else load_plain
    return TextEncoder(load(path, settings, chosen), settings, card)


def describe_encoder(model: str | ModelRef) -> EncoderCard:
    """What a launcher must know of an encoder, with no weights in memory where that is possible.

    A hub model is known by its commit and only its configuration is fetched, with its audio tokenizer
    if it has one; the files of a folder are hashed.

    Raises:
        CheckpointError: there is no such model, or its folder cannot be used.
        InputError: precomputed vectors and their ids do not match.
    """
    ref = _ref(model, {})
    kind, path = _resolve(ref, [*_CONFIG_FILES, *_AUDIO_TOKENIZER_FILES])
    _refuse_idle_settings(ref, kind, path)
    if kind == _VECTORS:
        from encoders.precomputed import PrecomputedEncoder

        return PrecomputedEncoder(ref).card
    if kind in (USE_MULTILINGUAL, SPELLING):  # small: opened as they are
        return _card_of(load_encoder(ref, device="cpu"))
    if kind == DUAL:
        return _dual_card(path, ref)
    return _text_card(path, ref, kind)


def audio_tokenizer_of(ref: ModelRef) -> Path:
    """Folder of the audio tokenizer that a model hears with; of a hub model only that is fetched.

    Raises:
        CheckpointError: there is no such model, or it does not hear.
    """
    kind, path = _resolve(ref, [*_CONFIG_FILES, *_AUDIO_TOKENIZER_FILES])
    if kind == DUAL:
        from encoders.dual.config import AUDIO_TOKENIZER_FOLDER, read_config, read_units

        if read_units(path, read_config(path)) is not None:
            return path / AUDIO_TOKENIZER_FOLDER
    raise CheckpointError(
        f"model {ref.path!r}: must have an audio tokenizer, to embed speech without a transcript, but "
        "has none; use a dual encoder that hears, or transcribe the speech"
    )


def calibration_of(model: str | ModelRef) -> str | None:
    """The thresholds that a model brings along (``calibration.json``), or None.

    Raises:
        CheckpointError: there is no such model.
    """
    kind, path = _resolve(_ref(model, {}), _CONFIG_FILES)
    file = path / "calibration.json"
    if kind == USE_MULTILINGUAL:
        package = Path(str(importlib.resources.files("encoders")))
        file = package / "use_multilingual.calibration.json"
    return str(file) if file.is_file() else None


def _ref(model: str | ModelRef, options: dict[str, Any]) -> ModelRef:
    if isinstance(model, ModelRef):
        if options:
            raise ConfigError(f"options {sorted(options)}: must be set in the given ModelRef")
        return model
    known = {field.name for field in dataclasses.fields(ModelRef)} - {"path"}
    for name in options:
        if name not in known:
            raise ConfigError(f"option {name!r}: is unknown{_suggestion(name, known)}")
    try:
        return ModelRef(path=model, **options)
    except ValueError as error:
        raise ConfigError(f"model {model!r}: {error}") from None


def _resolve(ref: ModelRef, files: list[str]) -> tuple[str, Path]:
    """What kind of model a reference leads to, and where it lies on disk."""
    if ref.path in (USE_MULTILINGUAL, SPELLING):
        return ref.path, Path()
    if ref.path == BUILTIN:
        folder = Path(str(importlib.resources.files("encoders"))) / BUILTIN
        if not folder.is_dir():
            raise CheckpointError(f"{folder}: the builtin model must be installed, but is not")
        return layout_of(folder), folder
    path = Path(os.path.expanduser(ref.path))
    if not path.exists():
        if not is_hub_name(ref.path):
            raise CheckpointError(_unknown(ref.path))
        path = fetch(ref.path, ref.revision, files)
    path = path.absolute()
    from encoders.precomputed import is_precomputed

    if is_precomputed(path):
        return _VECTORS, path
    kind = layout_of(path)
    require_safetensors(path)
    return kind, path


def _refuse_idle_settings(ref: ModelRef, kind: str, path: Path) -> None:
    """A setting that would do nothing is a mistake of the user's."""
    useful = {
        _VECTORS: {"space", "ids"},
        USE_MULTILINGUAL: set(),
        SPELLING: set(),
        # Prefix and pooling are what it was trained with.
        DUAL: {"space", "max_tokens", "dtype", "batch_tokens"},
    }
    if kind == DUAL and read_json(path / "dual_encoder.json").get("tower") == "wordbag":
        useful[DUAL] = set()  # it computes one text at a time, as far as bytes go
    for field in dataclasses.fields(ModelRef):
        is_set = field.name not in ("path", "licence") and getattr(ref, field.name) != field.default
        idle = field.name == "ids" if kind not in useful else field.name not in useful[kind]
        if field.name == "revision":
            idle = not is_hub_name(ref.path)
        if is_set and idle:
            raise ConfigError(
                f"model.{field.name}: must be left out for {ref.path!r} ({kind}), where "
                "it decides nothing"
            )


def _unknown(path: str) -> str:
    beside = Path(os.path.expanduser(path)).parent
    neighbours = [str(p) for p in beside.iterdir()] if beside.is_dir() else []
    return (
        f"model {path!r}: must be {', '.join(_NAMED)}, a folder or file that exists, or "
        f"org/name on the model hub, but is none of them{_suggestion(path, {*_NAMED, *neighbours})}"
    )


def _suggestion(name: str, known: set[str]) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _settings(folder: Path, ref: ModelRef, kind: str) -> TextSettings:
    family = family_of(known_names(folder))
    return text_settings(ref, family, states_own=kind == SENTENCE_TRANSFORMERS)


def _text_card(folder: Path, ref: ModelRef, kind: str) -> EncoderCard:
    """Facts of a transformers or sentence-transformers folder.

    Two encoders with the same files and pooling share a space, whatever their prefix, number format
    or batches.
    """
    family = family_of(known_names(folder))
    settings = _settings(folder, ref, kind)
    contents = content_digest(folder)
    stated_space = read_json(folder / "dual_encoder.json").get("space")
    decides = f"{contents}\n{ref.settings()}\n{settings}"
    card = EncoderCard(
        name=known_names(folder)[0],
        dim=embedding_dim(folder),
        space=ref.space or stated_space or f"{contents[:16]}:{settings.pooling or 'own'}",
        modalities=frozenset({"text"}),
        fingerprint=hashlib.sha256(decides.encode()).hexdigest(),
        licence=stated_licence(folder) or family.licence,
    )
    warn_of_licence(card.name, card.licence)
    return card


def _dual_card(folder: Path, ref: ModelRef) -> EncoderCard:
    """Facts of a dual encoder's folder."""
    from encoders.dual.config import read_config, read_units

    config = read_config(folder)
    units = read_units(folder, config)
    contents = content_digest(folder)
    heard = "" if units is None else units.fingerprint
    card = EncoderCard(
        name=config.name,
        dim=config.dim or 0,
        space=ref.space or config.space or f"{contents[:16]}:dual",
        modalities=frozenset({"text"} if units is None else {"text", "speech"}),
        fingerprint=hashlib.sha256(f"{contents}\n{heard}\n{ref.settings()}".encode()).hexdigest(),
        licence=config.licence,
        languages=config.languages,
        audio_tokenizer=units,
    )
    warn_of_licence(card.name, card.licence)
    return card


def _card_of(encoder: Encoder) -> EncoderCard:
    return EncoderCard(
        name=encoder.name,
        dim=encoder.dim,
        space=encoder.space,
        modalities=encoder.modalities,
        fingerprint=encoder.fingerprint,
        licence=getattr(encoder, "licence", "unknown"),
        languages=getattr(encoder, "languages", ()),
    )


def require_device(wanted: str) -> str:
    """The device that ``auto``, ``cpu`` or ``cuda`` means here.

    Raises:
        CapacityError: if a GPU is asked for and not there.
    """
    import torch

    if wanted == "cuda" and not torch.cuda.is_available():
        raise CapacityError(
            "device cuda: a GPU must be there, but torch sees none; use device auto or cpu, or "
            "install the GPU build of torch and its driver"
        )
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return wanted
