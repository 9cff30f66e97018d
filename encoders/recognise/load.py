"""From a name or a folder to a recogniser."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from encoders.checkpoint import (
    content_digest,
    files_digest,
    known_names,
    read_json,
    require_safetensors,
    stated_licence,
)
from encoders.families import warn_of_licence
from encoders.hub import fetch, is_hub_name, local_folder
from encoders.recognise.card import RecogniserCard
from encoders.recognise.runtime import Runtime, runtime_of
from encoders.recognise.vocabulary import WhisperVocabulary
from mining.contract.errors import CheckpointError, ConfigError
from mining.contract.model_ref import RecogniserRef

if TYPE_CHECKING:
    from mining.contract.speech import Recogniser

_LOG = logging.getLogger(__name__)

FASTER_WHISPER = "faster-whisper"
WHISPER = "whisper"
CTC = "ctc"
# CTranslate2's own weights file. Unlike pytorch_model.bin it is no pickle: a flat list of names,
# shapes and raw numbers, read by a C++ parser that runs nothing.
_CTRANSLATE2_WEIGHTS = "model.bin"
_CONFIG_FILES = ["*.json", "*.txt", "README.md"]
_MODEL_FILES = [*_CONFIG_FILES, "*.safetensors", _CTRANSLATE2_WEIGHTS]
# Whisper's window. CTC models have none, but their attention is quadratic in the clip's length, and
# they were trained on clips of at most half a minute.
_MAX_CLIP_S = 30.0


def load_recogniser(
    ref: str | RecogniserRef, *, device: str = "auto", threads: int | None = None
) -> Recogniser:
    """Load a recogniser, ready to transcribe.

    Args:
        ref: a folder (faster-whisper, Hugging Face Whisper or CTC) or ``org/name`` on the model hub;
            or a :class:`RecogniserRef` with settings.
        device: ``auto`` takes a GPU if there is one. Where ``dtype`` is ``auto`` too, the device
            decides the number format of faster-whisper, and so the fingerprint.
        threads: CPU threads; None: as the library has them.

    Raises:
        CheckpointError: there is no such model, its folder cannot be used, or a package is missing.
        ConfigError: a setting is wrong for this kind of model.
        CapacityError: there is no such device, or it cannot compute in the number format.
    """
    ref = _ref(ref)
    folder, kind = _resolve(ref, _MODEL_FILES)
    runs = runtime_of(kind == FASTER_WHISPER, ref, device, threads)
    card = _card(folder, kind, ref, runs)
    _LOG.info("%s: loaded on %s in %s", card.name, runs.device, runs.dtype)
    if kind == FASTER_WHISPER:
        from encoders.recognise.faster_whisper import FasterWhisper

        return FasterWhisper(folder, ref, card, runs)
    if kind == WHISPER:
        from encoders.recognise.whisper import TransformersWhisper

        return TransformersWhisper(folder, ref, card, runs)
    from encoders.recognise.ctc import CtcRecogniser

    return CtcRecogniser(folder, ref, card, runs)


def describe_recogniser(ref: str | RecogniserRef, *, device: str = "auto") -> RecogniserCard:
    """What a launcher must know of a recogniser, with no weights in memory.

    Args:
        ref: as for ``load_recogniser``. Of a hub model only the configuration is fetched.
        device: the one that it will run on.

    Raises:
        CheckpointError: there is no such model, its folder cannot be used, or a package is missing.
        ConfigError: a setting is wrong for this kind of model.
        CapacityError: there is no such device, or it cannot compute in the number format.
    """
    ref = _ref(ref)
    folder, kind = _resolve(ref, _CONFIG_FILES)
    return _card(folder, kind, ref, runtime_of(kind == FASTER_WHISPER, ref, device, None))


def _ref(ref: str | RecogniserRef) -> RecogniserRef:
    if isinstance(ref, RecogniserRef):
        return ref
    try:
        return RecogniserRef(path=ref)
    except ValueError as error:
        raise ConfigError(f"recogniser {ref!r}: {error}") from None


def _resolve(ref: RecogniserRef, files: list[str]) -> tuple[Path, str]:
    folder = local_folder(ref.path)
    if folder.is_dir():
        return folder, _kind(folder, with_weights=True)
    if folder.exists() or not is_hub_name(ref.path):
        raise CheckpointError(
            f"recogniser {ref.path!r}: must be a model folder that exists, or org/name on the model "
            "hub, but is neither"
        )
    folder = fetch(ref.path, ref.revision, files)
    return folder, _kind(folder, with_weights=_CTRANSLATE2_WEIGHTS in files)


def _kind(folder: Path, *, with_weights: bool) -> str:
    """Which loader a folder needs.

    Raises:
        CheckpointError: it is no recogniser, lacks a file, or has its weights in a pickle.
    """
    config = read_json(folder / "config.json")
    model_type = config.get("model_type")
    architectures = [str(name) for name in config.get("architectures") or []]
    if model_type is None and "suppress_ids" in config:
        kind, needs = FASTER_WHISPER, ["tokenizer.json", _CTRANSLATE2_WEIGHTS]
    elif model_type == "whisper":
        kind, needs = WHISPER, ["tokenizer.json", "preprocessor_config.json"]
    elif any(name.endswith("ForCTC") for name in architectures):
        kind, needs = CTC, ["vocab.json", "preprocessor_config.json"]
    else:
        raise CheckpointError(
            f"{folder}: must be a recogniser (a faster-whisper folder with model.bin, or a Hugging "
            f"Face Whisper or ...ForCTC model), but its config.json names {model_type or 'none'}; "
            "give the folder that the model was saved to"
        )
    if not with_weights:
        needs = [name for name in needs if name != _CTRANSLATE2_WEIGHTS]
    for name in needs:
        if not (folder / name).is_file():
            raise CheckpointError(
                f"{folder}: must hold {name}, as {kind} models do, but does not; fetch or convert "
                "the model again"
            )
    if kind != FASTER_WHISPER:
        require_safetensors(folder)
        if with_weights and not any(folder.glob("*.safetensors")):
            raise CheckpointError(
                f"{folder}: must hold weights as *.safetensors, but does not; fetch the model again"
            )
    return kind


def _card(folder: Path, kind: str, ref: RecogniserRef, runs: Runtime) -> RecogniserCard:
    languages: tuple[str, ...] = ()
    times_words, tells_language = True, False
    if kind != CTC:
        vocabulary = WhisperVocabulary.read(folder)
        languages = tuple(vocabulary.languages)
        tells_language = vocabulary.multilingual
    if kind == WHISPER:
        times_words = bool(read_json(folder / "generation_config.json").get("alignment_heads"))
    decides = f"{kind}\n{_digest(folder, kind)}\n{ref.settings()}\n{runs.dtype}"
    card = RecogniserCard(
        name=known_names(folder)[0],
        fingerprint=hashlib.sha256(decides.encode()).hexdigest(),
        languages=languages,
        times_words=times_words,
        max_clip_s=_max_clip_s(folder, kind),
        tells_language=tells_language,
        licence=stated_licence(folder) or "unknown",
    )
    warn_of_licence(card.name, card.licence)
    return card


def _max_clip_s(folder: Path, kind: str) -> float:
    if kind == CTC:
        return _MAX_CLIP_S
    return float(read_json(folder / "preprocessor_config.json").get("chunk_length", _MAX_CLIP_S))


def _digest(folder: Path, kind: str) -> str:
    """Digest of what decides a transcript; ``content_digest`` leaves every ``.bin`` out."""
    digest = content_digest(folder)
    weights = folder / _CTRANSLATE2_WEIGHTS
    if kind == FASTER_WHISPER and folder.parent.name != "snapshots":
        digest += files_digest({_CTRANSLATE2_WEIGHTS: weights})
    return digest
