"""The small convolutional recogniser as an audio tokenizer, and its folder.

Weights are stored as 8-bit rows with a scale each (a quarter of the size; letters hardly change) and
computed with as float32. A recogniser that reads the states of a speech encoder has it in ``encoder/``.

T samples, F output frames.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from encoders.audio_tokens.card import AudioTokenizerCard, KnownByCard
from encoders.audio_tokens.conv_ctc_network import (
    BLANK,
    RATE_HZ,
    SYMBOLS,
    ConvCtcConfig,
    ConvCtcModel,
    context_s,
)
from encoders.audio_tokens.encoder_layer import load_encoder_layer, longest_clip_s
from encoders.audio_tokens.lexicon import LEXICON_FILE, Confusions
from encoders.audio_tokens.logmel import spectrum
from encoders.audio_tokens.networks import chosen_device
from encoders.audio_tokens.settings import CONV_CTC, SETTINGS_FILE, read_settings
from encoders.audio_tokens.writing import new_folder, write_settings
from encoders.checkpoint import content_digest, stated_licence
from mining.contract.errors import CheckpointError
from mining.contract.speech import SPEECH_RATE_HZ, Samples

ENCODER_FOLDER = "encoder"
_WEIGHTS = "model.safetensors"
_SIZES = ("width", "blocks", "kernel", "expand")
_STATES = "states"  # a size, too: given where an encoder is
_FIELDS = {"name", "sizes", "languages", "confusions"}
_SCALE = ".scale"  # behind the name of a tensor of 8-bit rows
_MAX_CLIP_S = 30.0
_LEVELS = 127


class ConvCtcUnits(KnownByCard):
    """Letters of Latin script, 50 frames a second. Each clip is computed by itself."""

    def __init__(
        self,
        model: ConvCtcModel,
        card: AudioTokenizerCard,
        device: str,
        front: Callable[[Samples], NDArray[np.float32]] = spectrum,
    ) -> None:
        """Put together what :func:`load_conv_ctc` has loaded.

        Args:
            model: what hears.
            card: what the tokenizer says of itself.
            device: that the model is moved to.
            front: what it reads of a clip, float32 [F, M].
        """
        self._model = model.eval().to(device)
        self._card = card
        self._device = device
        self._front = front

    @torch.inference_mode()
    def frames(
        self, clips: Sequence[Samples], langs: Sequence[str] | None = None
    ) -> list[NDArray[np.int16]]:
        """Units of each clip, int16 [F], F = the clip's seconds x 50, rounded down.

        Of an encoder's states a clip with a sample that is not finite has none.
        """
        found = []
        for clip, lang in zip(clips, langs or [""] * len(clips), strict=True):
            wanted = int(len(clip) / SPEECH_RATE_HZ * RATE_HZ)
            frames = self._front(clip) if wanted else np.zeros((0, 0), np.float32)
            if not len(frames):
                found.append(np.zeros(0, np.int16))
                continue
            counts = torch.tensor([len(frames)], device=self._device)
            number = self._model.numbers_of([lang]).to(self._device)
            given = torch.from_numpy(frames).unsqueeze(0).to(self._device)
            logits = self._model(given, counts, number)[-1][0]
            found.append(logits.argmax(dim=1).cpu().numpy().astype(np.int16)[:wanted])
        return found


def save_conv_ctc(
    model: ConvCtcModel,
    folder: Path,
    name: str,
    confusions: Confusions | None = None,
    lexicon: Path | None = None,
    encoder: Path | None = None,
) -> None:
    """Write the folder of an audio tokenizer.

    Args:
        model: trained.
        folder: that does not exist yet.
        name: for people.
        confusions: measured on speech; None: guessed.
        lexicon: words that its letters may be; None: they stay letters.
        encoder: folder of the layer whose states it reads; None: it reads spectra.

    Raises:
        ConfigError: the folder exists.
        CapacityError: it cannot be written.
    """
    tensors: dict[str, torch.Tensor] = {}
    for key, value in model.state_dict().items():
        if value.dim() >= 2:
            rows = value.flatten(1).float()
            scale = (rows.abs().amax(dim=1) / _LEVELS).clamp_min(1e-12)
            codes = (rows / scale.unsqueeze(1)).round().to(torch.int8)
            tensors |= {key: codes.reshape(value.shape), key + _SCALE: scale}
        else:
            tensors[key] = value.float()
    with new_folder(folder) as made:
        save_file(tensors, made / _WEIGHTS)
        if lexicon is not None:
            shutil.copyfile(lexicon, made / LEXICON_FILE)
        sizes = {size: getattr(model.config, size) for size in _SIZES}
        if encoder is not None:
            shutil.copytree(encoder, made / ENCODER_FOLDER)
            sizes[_STATES] = model.config.states
        counts = confusions or Confusions.guessed(len(SYMBOLS))
        stated = {
            "name": name,
            "sizes": sizes,
            "languages": list(model.config.languages),
            "confusions": {"given": counts.given.tolist(), "added": counts.added.tolist()},
        }
        write_settings(made, CONV_CTC, stated)


def load_conv_ctc(folder: Path, *, device: str = "cpu", threads: int | None = None) -> ConvCtcUnits:
    """Open a folder that :func:`save_conv_ctc` wrote.

    Raises:
        CheckpointError: it is not whole.
        CapacityError: there is no such device.
    """
    card = describe_conv_ctc(folder)
    chosen = chosen_device(device, threads)
    model = ConvCtcModel(_config(folder))
    try:
        stored = load_file(folder / _WEIGHTS)
        weights = {key: _unpacked(key, stored) for key in stored if not key.endswith(_SCALE)}
        model.load_state_dict(weights)
    except (OSError, SafetensorError, RuntimeError, KeyError) as error:
        raise CheckpointError(
            f"{folder / _WEIGHTS}: must hold the weights of this recogniser, but does not: "
            f"{str(error).splitlines()[0]}; copy the folder again"
        ) from None
    if not model.config.states:
        return ConvCtcUnits(model, card, chosen)
    layer = load_encoder_layer(folder / ENCODER_FOLDER, device=chosen)
    if layer.width != model.config.states:
        raise CheckpointError(
            f"{folder / SETTINGS_FILE}: states must be {layer.width} as the encoder gives them, but "
            f"are {model.config.states}; take both from one place"
        )
    return ConvCtcUnits(model, card, chosen, layer.of)


def _unpacked(key: str, stored: Mapping[str, torch.Tensor]) -> torch.Tensor:
    value = stored[key]
    if value.dtype != torch.int8:
        return value
    scale = stored[key + _SCALE]
    return value.float() * scale.reshape(-1, *[1] * (value.dim() - 1))


def describe_conv_ctc(folder: Path) -> AudioTokenizerCard:
    """What the folder says.

    Raises:
        CheckpointError: a file is missing or ill-formed.
    """
    config, settings = _config(folder), read_settings(folder)[1]
    digest, max_clip_s, licence = hashlib.sha256(), _MAX_CLIP_S, None
    for name in (SETTINGS_FILE, _WEIGHTS):
        try:
            digest.update(hashlib.sha256((folder / name).read_bytes()).digest())
        except OSError as error:
            raise CheckpointError(
                f"{folder / name}: must be there, but cannot be read ({error.strerror}); copy the "
                "folder again"
            ) from None
    if config.states:
        max_clip_s = longest_clip_s(folder / ENCODER_FOLDER)
        licence = stated_licence(folder / ENCODER_FOLDER) or "unknown"
        digest.update(content_digest(folder / ENCODER_FOLDER).encode())
    return AudioTokenizerCard(
        name=str(settings["name"]),
        fingerprint=digest.hexdigest(),
        units=len(SYMBOLS),
        blank=BLANK,
        symbols=SYMBOLS,
        rate_hz=RATE_HZ,
        context_s=context_s(config),
        max_clip_s=max_clip_s,
        languages=tuple(config.languages),
        licence=licence,
    )


def confusions_of(folder: Path) -> Confusions:
    """Which letters it takes for which.

    Raises:
        CheckpointError: a file is missing or ill-formed.
    """
    _config(folder)
    stated = read_settings(folder)[1]["confusions"]
    try:
        given = np.array(stated["given"], dtype=np.float64)
        added = np.array(stated["added"], dtype=np.float64)
    except (TypeError, KeyError, ValueError):
        given, added = np.zeros(0), np.zeros(0)
    wanted = len(SYMBOLS)
    if given.shape != (wanted, wanted) or added.shape != (wanted,) or not (given >= 0).all():
        raise CheckpointError(
            f"{folder / SETTINGS_FILE}: confusions must be counts of {wanted} x {wanted} letters, but "
            "are not; copy the folder again"
        )
    return Confusions(given=given, added=added)


def _config(folder: Path) -> ConvCtcConfig:
    kind, settings = read_settings(folder)
    sizes = settings.get("sizes")
    if (
        kind != CONV_CTC
        or settings.keys() != _FIELDS
        or not isinstance(sizes, dict)
        or sizes.keys() - {_STATES} != set(_SIZES)
        or not all(type(size) is int and size > 0 for size in sizes.values())
        or not isinstance(settings["languages"], list)
    ):
        raise CheckpointError(
            f"{folder / SETTINGS_FILE}: must give {', '.join(sorted(_FIELDS))}, languages as a list and "
            f"the sizes {', '.join(_SIZES)}, and states of an encoder, as positive whole numbers, but "
            "does not; copy the folder again"
        )
    return ConvCtcConfig(**sizes, languages=[str(lang) for lang in settings["languages"]])
