"""Letters as audio tokens: the best symbol of each frame of a Hugging Face CTC model.

The folder holds ``tokenizer.json`` and the whole model in ``model/``.
"""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from encoders.audio_tokens.card import AudioTokenizerCard, KnownByCard
from encoders.audio_tokens.ctc_symbols import ctc_symbols
from encoders.audio_tokens.framing import Framing, framing_of, usable_clips
from encoders.audio_tokens.inputs import (
    SCALE_DEVIATION,
    SCALE_MEAN,
    NetworkInputs,
    Scale,
    measured_scale,
    normalises,
)
from encoders.audio_tokens.networks import (
    chosen_device,
    computing,
    load_config,
    load_ctc_network,
    load_extractor,
    require_weights,
    save_network,
)
from encoders.audio_tokens.settings import (
    CTC,
    FIXED,
    MOST_UNITS,
    NONE,
    SETTINGS_FILE,
    UTTERANCE,
    read_settings,
)
from encoders.audio_tokens.writing import keep_model_card, model_folder, new_folder, write_settings
from encoders.checkpoint import content_digest, read_json, stated_licence
from mining.contract.errors import CheckpointError
from mining.contract.speech import Samples

MODEL_FOLDER = "model"
_SCALE_FILE = "scale.safetensors"
_METHOD = 1  # raised when the same files would give other units


class CtcUnits(KnownByCard):
    """The most probable symbol of each frame, blanks and repeats still in it."""

    def __init__(
        self,
        card: AudioTokenizerCard,
        network: Any,
        inputs: NetworkInputs,
        framing: Framing,
        device: str,
    ) -> None:
        """Put together what :func:`load_ctc` has loaded."""
        self._card, self._network = card, network.to(device)
        self._inputs, self._framing, self._device = inputs, framing, device

    def frames(
        self, clips: Sequence[Samples], langs: Sequence[str] | None = None
    ) -> list[NDArray[np.int16]]:
        """Units of each clip: int16 [F]; ties go to the lowest.

        A clip that is shorter than half a frame, or has a sample that is not finite, has none.

        Args:
            clips: float32 [T] each, at SPEECH_RATE_HZ, none longer than ``max_clip_s``.
            langs: not asked for.

        Raises:
            ConfigError: a clip is longer than ``max_clip_s``.
            CapacityError: a clip does not fit into GPU memory.
        """
        rows = set(usable_clips(clips, self._framing))
        empty = np.empty(0, np.int16)
        return [self._of(clip) if row in rows else empty for row, clip in enumerate(clips)]

    def _of(self, clip: Samples) -> NDArray[np.int16]:
        with computing(self.name):
            logits = self._network(self._inputs.tensor(clip).to(self._device)).logits[0]
        wanted = self._framing.outputs(len(clip))
        if len(logits) != wanted:
            raise CheckpointError(
                f"{self.name}: must give {wanted} outputs for {len(clip)} samples, but gives "
                f"{len(logits)}; its config.json states other strides than its weights have"
            )
        return np.asarray(logits.argmax(dim=-1).cpu().numpy(), np.int16)


def load_ctc(folder: Path, *, device: str = "cpu", threads: int | None = None) -> CtcUnits:
    """Load a folder that :func:`create_ctc_tokenizer` wrote.

    Args:
        folder: of the tokenizer.
        device: ``cpu``, ``cuda``, or ``auto``.
        threads: of torch; None: as the process has them.

    Raises:
        CheckpointError: the folder is not whole, or its parts do not fit each other.
        ConfigError: there is no such device name.
        CapacityError: there is no such device.
    """
    card, framing, settings = _describe(folder)
    chosen = chosen_device(device, threads)
    home = folder / MODEL_FOLDER
    scale = _scale(folder / _SCALE_FILE) if settings["normalise"] == FIXED else None
    inputs = NetworkInputs(load_extractor(home), framing, settings["normalise"], scale)
    return CtcUnits(card, load_ctc_network(home), inputs, framing, chosen)


def describe_ctc(folder: Path) -> AudioTokenizerCard:
    """What a folder says of itself; reads and hashes its files, but loads no network.

    Raises:
        CheckpointError: the folder is not whole, or its parts do not fit each other.
    """
    return _describe(folder)[0]


def create_ctc_tokenizer(
    model: str,
    folder: Path,
    *,
    name: str,
    revision: str | None = None,
    clips: Iterable[Samples] | None = None,
) -> AudioTokenizerCard:
    """Write the folder of a tokenizer that hears with a CTC model.

    Args:
        model: folder of a ``...ForCTC`` model, or ``org/name`` on the model hub.
        folder: that is written; must not exist yet.
        name: of the tokenizer.
        revision: commit, tag or branch; for a hub name only.
        clips: speech, float32 [T] each, that a fixed scale is measured on where the extractor scales
            every clip by itself; None: each by itself, as in the model's training.

    Raises:
        ConfigError: the folder exists.
        CheckpointError: the model cannot be loaded, or is no CTC model of one language.
        InputError: there are clips, but none with sound in it.
    """
    source = model_folder(model, revision)
    with new_folder(folder) as made:
        config = load_config(source)
        framing = framing_of(config.to_dict(), model)
        extractor = load_extractor(source)
        normalise = NONE
        if normalises(extractor, framing):
            normalise = UTTERANCE if clips is None else FIXED
        if normalise == FIXED and clips is not None:
            scale, _ = measured_scale(extractor, framing, clips)
            save_file(scale.tensors(), made / _SCALE_FILE)
        save_network(load_ctc_network(source), extractor, made / MODEL_FOLDER)
        for file in ("vocab.json", "tokenizer_config.json"):
            if (source / file).is_file():
                shutil.copyfile(source / file, made / MODEL_FOLDER / file)
        keep_model_card(source, made / MODEL_FOLDER)
        write_settings(made, CTC, {"name": name, "normalise": normalise})
        describe_ctc(made)
    return describe_ctc(folder)


def _describe(folder: Path) -> tuple[AudioTokenizerCard, Framing, dict[str, Any]]:
    kind, settings = read_settings(folder)
    if kind != CTC:
        raise CheckpointError(f"{folder / SETTINGS_FILE}: kind must be {CTC}, but is {kind!r}")
    home = folder / MODEL_FOLDER
    require_weights(home)
    config = read_json(home / "config.json")
    framing = framing_of(config, str(home))
    size, blank = config.get("vocab_size"), config.get("pad_token_id") or 0
    if not isinstance(size, int) or not 0 <= blank < size <= MOST_UNITS:
        raise CheckpointError(
            f"{home}: config.json must say vocab_size, at most {MOST_UNITS}, and pad_token_id below "
            f"it, but says {size!r} and {blank!r}; take a model of one language"
        )
    decides = f"{CTC}\n{_METHOD}\n{content_digest(folder)}"
    card = AudioTokenizerCard(
        name=settings["name"],
        fingerprint=hashlib.sha256(decides.encode()).hexdigest(),
        units=size,
        blank=blank,
        symbols=ctc_symbols(home, size, blank),
        rate_hz=framing.rate_hz,
        context_s=math.inf,
        max_clip_s=framing.max_clip_s,
        licence=stated_licence(home) or "unknown",
    )
    return card, framing, settings


def _scale(path: Path) -> Scale:
    try:
        tensors = load_file(path)
        return Scale(mean=tensors[SCALE_MEAN], deviation=tensors[SCALE_DEVIATION])
    except (OSError, SafetensorError, KeyError) as error:
        raise CheckpointError(
            f"{path}: must hold {SCALE_MEAN} and {SCALE_DEVIATION} as safetensors, but does not "
            f"({error}); copy the tokenizer again"
        ) from None
