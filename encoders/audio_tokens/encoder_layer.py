"""One layer of a Hugging Face speech encoder, in a folder of its own: what letters can be read from.

The folder holds ``network/``, the encoder up to the layer; ``layer.json``; and ``scale.safetensors``, by
which its input is scaled where its extractor would scale every clip by itself, and its states, so that
each dimension has mean 0 and deviation 1.

F frames, H width.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from encoders.audio_tokens.equalise import (
    STATE_DEVIATION,
    STATE_MEAN,
    PositionMeans,
    StateScale,
    deviation_of,
)
from encoders.audio_tokens.framing import Framing
from encoders.audio_tokens.hidden_states import HiddenStates
from encoders.audio_tokens.inputs import SCALE_DEVIATION, SCALE_MEAN, Scale
from encoders.audio_tokens.layer_states import (
    WINDOW_S,
    Wish,
    cut_layer,
    kept_framing,
    kept_layer,
    layer_count,
    layer_framing,
)
from encoders.audio_tokens.networks import chosen_device
from encoders.audio_tokens.settings import FIXED, NONE
from encoders.audio_tokens.writing import keep_model_card, model_folder, new_folder
from encoders.checkpoint import embedding_dim, read_json
from mining.contract.errors import CheckpointError, ConfigError, InputError
from mining.contract.speech import SPEECH_RATE_HZ, Samples

RATE_HZ = 50.0  # of nearly all speech encoders
_NETWORK_FOLDER, _LAYER_FILE, _SCALE_FILE = "network", "layer.json", "scale.safetensors"
_SCHEMA = 1
_MEASURED_S = 600.0  # of clips that the states' scale is measured on


class EncoderLayer:
    """States of a layer, scaled: 50 a second.

    Attributes:
        width: H.
        max_clip_s: longest clip, seconds.
    """

    def __init__(self, states: HiddenStates, framing: Framing, scale: StateScale) -> None:
        self._states, self._scale = states, scale
        self.width = len(scale.deviation)
        self.max_clip_s = framing.max_clip_s

    def of(self, clip: Samples) -> NDArray[np.float32]:
        """States of a clip: float32 [F, H].

        A clip that is shorter than half a frame, or has a sample that is not finite, has none.

        Args:
            clip: float32 [T] at SPEECH_RATE_HZ.

        Raises:
            ConfigError: it is longer than ``max_clip_s``.
            CapacityError: it does not fit into GPU memory.
        """
        return self._scale.of(self._states.of([clip])[0])


def save_encoder_layer(
    encoder: str,
    layer: int | None,
    clips: Iterable[Samples],
    folder: Path,
    *,
    revision: str | None = None,
    device: str = "cpu",
) -> None:
    """Write the folder of a layer, which appears only when it is whole.

    Args:
        encoder: folder of a speech encoder, or ``org/name`` on the model hub.
        layer: 0-based; None: the last one.
        clips: speech, in random order: its first ten minutes tell the scales.
        folder: that is written; must not exist yet.
        revision: commit, tag or branch; for a hub name only.
        device: ``cpu`` or ``cuda``.

    Raises:
        ConfigError: there is no such layer, or its outputs are not a whole multiple of 50 a second.
        CheckpointError: the encoder cannot be loaded.
        InputError: no clip has sound in it.
    """
    source = model_folder(encoder, revision)
    framing, layers = layer_framing(source, encoder, RATE_HZ), layer_count(source)
    if layer is not None and not 0 <= layer < layers:
        raise ConfigError(f"layer: must be 0 to {layers - 1} for {encoder}, but is {layer}")
    wish = Wish(layer=layers - 1 if layer is None else layer, rate_hz=RATE_HZ, window_s=WINDOW_S)
    longest = int(framing.max_clip_s * SPEECH_RATE_HZ)
    fitting = (clip for clip in clips if len(clip) <= longest and np.isfinite(clip).all())
    with new_folder(folder) as made:
        cut = cut_layer(source, encoder, wish, fitting, made / _NETWORK_FOLDER, device)
        tensors = _state_scale(cut.states, cut.clips).tensors()
        if cut.scale is not None:
            tensors |= cut.scale.tensors()
        save_file(tensors, made / _SCALE_FILE)
        stated = {
            "schema": _SCHEMA,
            "layer": wish.layer,
            "window_s": wish.window_s,
            "normalise": cut.normalise,
        }
        keep_model_card(source, made)
        (made / _LAYER_FILE).write_text(json.dumps(stated, indent=2) + "\n", encoding="utf-8")
        _described(made)


def load_encoder_layer(folder: Path, *, device: str = "cpu") -> EncoderLayer:
    """Load a folder that :func:`save_encoder_layer` wrote.

    Raises:
        CheckpointError: it is not whole, or its parts do not fit each other.
        CapacityError: there is no such device.
    """
    framing, wish = _described(folder)
    home = folder / _NETWORK_FOLDER
    tensors = _tensors(folder / _SCALE_FILE, embedding_dim(home), wish.normalise == FIXED)
    scale = None
    if wish.normalise == FIXED:
        scale = Scale(mean=tensors[SCALE_MEAN], deviation=tensors[SCALE_DEVIATION])
    states = kept_layer(home, framing, wish, scale, chosen_device(device, None))
    own = StateScale(mean=tensors[STATE_MEAN], deviation=tensors[STATE_DEVIATION])
    return EncoderLayer(states, framing, own)


def longest_clip_s(folder: Path) -> float:
    """Longest clip that the encoder of a folder takes, seconds; loads no network.

    Raises:
        CheckpointError: the folder is not whole.
    """
    return _described(folder)[0].max_clip_s


def _described(folder: Path) -> tuple[Framing, Wish]:
    path = folder / _LAYER_FILE
    stated = read_json(path)
    fields = {"schema": int, "layer": int, "window_s": float, "normalise": str}
    fits = stated.keys() == fields.keys() and all(
        type(stated[name]) is kind for name, kind in fields.items()
    )
    if not fits or stated["schema"] != _SCHEMA or stated["normalise"] not in (NONE, FIXED):
        raise CheckpointError(
            f"{path}: must state schema {_SCHEMA}, layer, window_s in seconds, and normalise as "
            f"{NONE} or {FIXED}, but does not; copy the folder again"
        )
    if not 0 < stated["window_s"] < math.inf:
        raise CheckpointError(f"{path}: window_s must be above 0, but is {stated['window_s']}")
    wish = Wish(
        layer=stated["layer"],
        rate_hz=RATE_HZ,
        normalise=stated["normalise"],
        window_s=stated["window_s"],
    )
    return kept_framing(folder / _NETWORK_FOLDER, wish.layer, RATE_HZ, path), wish


def _state_scale(states: HiddenStates, clips: Iterable[Samples]) -> StateScale:
    """Mean and deviation of each dimension over the first ten minutes of clips that are not silent."""
    means, rows, seconds = PositionMeans(1), [], 0.0
    for clip in clips:
        found = states.of([clip])[0]
        if len(found) and np.ptp(clip) > 0:
            means.add(found)
            rows.append(found)
            seconds += len(clip) / SPEECH_RATE_HZ
        if seconds >= _MEASURED_S:
            break
    if not rows:
        raise InputError(
            "clips: at least one must have sound in it to measure an encoder's states, but none has; "
            "give recordings of speech"
        )
    mean = means.mean()
    return StateScale(mean=mean, deviation=deviation_of(np.concatenate(rows) - mean))


def _tensors(path: Path, width: int, has_input: bool) -> dict[str, NDArray[np.float32]]:
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path}: must be whole safetensors, but is not ({error}); copy the folder again"
        ) from None
    shapes = {STATE_MEAN: (1, width), STATE_DEVIATION: (width,)}
    names = {*shapes, *((SCALE_MEAN, SCALE_DEVIATION) if has_input else ())}
    fits = tensors.keys() == names and all(
        one.dtype == np.float32 and bool(np.isfinite(one).all()) for one in tensors.values()
    )
    fits = fits and all(tensors[name].shape == shape for name, shape in shapes.items())
    if fits and has_input:
        mean, deviation = tensors[SCALE_MEAN], tensors[SCALE_DEVIATION]
        fits = mean.ndim == 1 and mean.shape == deviation.shape
    if not fits:
        raise CheckpointError(
            f"{path}: must hold {', '.join(sorted(names))} of width {width}, all finite float32, but "
            "does not; copy the folder again"
        )
    if not bool((tensors[STATE_DEVIATION] > 0).all()):
        raise CheckpointError(
            f"{path}: {STATE_DEVIATION} must be above 0, but is not; copy it again"
        )
    return tensors
