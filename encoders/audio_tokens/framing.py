"""On which frames a speech network's outputs fall, read from its config.json.

T samples at SPEECH_RATE_HZ, N outputs of the network, F frames of the tokenizer, H width. A clip has
the frames whose centres lie inside it: frame f is centred at (f + 0.5) / rate_hz.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mining.contract.errors import CheckpointError, ConfigError
from mining.contract.speech import SPEECH_RATE_HZ, Samples

WAVES = "waves"  # strided convolutions over samples
FILTER_BANKS = "filter_banks"  # log-mel filter banks without padding, stacked
WINDOWED = "windowed"  # Whisper's log-mel spectrogram of a window of fixed length

_WAVE_TYPES = frozenset(
    {
        "data2vec-audio", "hubert", "unispeech", "unispeech-sat", "wav2vec2", "wav2vec2-conformer",
        "wavlm",
    }
)  # fmt: skip
# SeamlessM4TFeatureExtractor: windows of 25 ms every 10 ms, two of them to one input.
_MEL_WINDOW_SAMPLES, _MEL_STRIDE_SAMPLES, _MEL_STACKED = 400, 160, 2
_WHISPER_STRIDE_SAMPLES = 320  # a spectrogram of 160 samples, then a convolution of stride 2
# Attention is quadratic in the clip's length; the networks were trained on half a minute at most.
_MAX_CLIP_S = 30.0


@dataclass(frozen=True, kw_only=True)
class Framing:
    """How samples become outputs, and outputs frames.

    Attributes:
        inputs: ``waves``, ``filter_banks`` or ``windowed``: what the network reads.
        stride_samples: from one output to the next.
        window_samples: that one output before any adapter reads; 0 where the extractor pads.
        adapters: layers of stride 2 after the network, part of ``stride_samples``.
        group: outputs that are averaged to one frame.
        max_clip_s: longest clip, seconds.
    """

    inputs: str
    stride_samples: int
    window_samples: int
    adapters: int
    group: int
    max_clip_s: float

    @property
    def rate_hz(self) -> float:
        """Frames a second."""
        return SPEECH_RATE_HZ / (self.stride_samples * self.group)

    @property
    def output_hz(self) -> float:
        """Outputs of the network a second, before they are averaged."""
        return SPEECH_RATE_HZ / self.stride_samples

    @property
    def positions(self) -> int:
        """Frames of a window with absolute positions; 1 where positions are relative."""
        window = int(self.max_clip_s * SPEECH_RATE_HZ)
        return self.frames(window) if self.inputs == WINDOWED else 1

    def outputs(self, samples: int) -> int:
        """N, outputs whose centres lie in a clip of so many samples."""
        return _centres(samples, self.stride_samples)

    def frames(self, samples: int) -> int:
        """F, frames whose centres lie in a clip of so many samples."""
        return _centres(samples, self.stride_samples * self.group)

    def padded(self, clip: Samples) -> Samples:
        """The clip between zeros, so that output n is centred at (n + 0.5) strides of the clip.

        Args:
            clip: float32 [T].

        Returns:
            float32, as many samples as N outputs need.
        """
        early = self.stride_samples >> self.adapters
        needed = self.outputs(len(clip)) << self.adapters
        total = early * (needed - 1) + self.window_samples
        before = (self.window_samples - self.stride_samples) // 2
        if before < 0:  # adapters: the first output is centred before the middle of its stride
            clip, before = clip[-before:], 0
        filled = np.zeros(total, np.float32)
        kept = clip[: total - before]
        filled[before : before + len(kept)] = kept
        return filled

    def averaged(self, outputs: NDArray[np.float32], samples: int) -> NDArray[np.float32]:
        """Mean output of each frame; the last frame's is of the outputs that the clip has for it.

        Args:
            outputs: float32 [N, H].
            samples: T of the clip.

        Returns:
            float32 [F, H].
        """
        frames = self.frames(samples)
        if self.group == 1 or not frames:
            return outputs[:frames]
        starts = np.arange(0, frames * self.group, self.group)
        counts = np.minimum(self.group, len(outputs) - starts)
        sums = np.add.reduceat(outputs[: frames * self.group], starts, axis=0)
        return np.asarray(sums / counts[:, None].astype(np.float32), np.float32)


def framing_of(config: Mapping[str, Any], where: str) -> Framing:
    """The network's own framing, one frame for each output.

    Args:
        config: what ``config.json`` says.
        where: names the model in messages.

    Raises:
        CheckpointError: a kind of network that is not known, or a config that lacks what is needed.
    """
    kind = str(config.get("model_type"))
    adapters = _adapters(config, where)
    if kind == "whisper":
        positions = _number(config, "max_source_positions", where)
        max_clip_s = positions * _WHISPER_STRIDE_SAMPLES / SPEECH_RATE_HZ
        inputs, stride, window = WINDOWED, _WHISPER_STRIDE_SAMPLES, 0
    elif kind == "wav2vec2-bert":
        max_clip_s, inputs = _MAX_CLIP_S, FILTER_BANKS
        stride = _MEL_STRIDE_SAMPLES * _MEL_STACKED
        window = _MEL_WINDOW_SAMPLES + _MEL_STRIDE_SAMPLES * (_MEL_STACKED - 1)
    elif kind in _WAVE_TYPES:
        max_clip_s, inputs, stride, window = _MAX_CLIP_S, WAVES, 1, 1
        kernels, strides = (_numbers(config, key, where) for key in ("conv_kernel", "conv_stride"))
        for kernel, step in zip(kernels, strides, strict=True):
            window += (kernel - 1) * stride
            stride *= step
    else:
        known = ", ".join(sorted({*_WAVE_TYPES, "wav2vec2-bert", "whisper"}))
        raise CheckpointError(
            f"{where}: model_type must be one of {known}, but is {kind!r}; take another speech encoder"
        )
    return Framing(
        inputs=inputs,
        stride_samples=stride << adapters,
        window_samples=window,
        adapters=adapters,
        group=1,
        max_clip_s=max_clip_s,
    )


def at_rate(framing: Framing, rate_hz: float, where: str) -> Framing:
    """The same with outputs averaged down to ``rate_hz``.

    Raises:
        ConfigError: the rate of the outputs is no whole multiple of it.
    """
    if not rate_hz > 0:
        raise ConfigError(f"{where}: rate_hz must be above 0, but is {rate_hz:g}")
    ratio = framing.rate_hz / rate_hz
    if round(ratio) < 1 or abs(ratio - round(ratio)) > 1e-9:
        own = framing.rate_hz
        raise ConfigError(
            f"{where}: rate_hz must divide the encoder's {own:g} Hz, but is {rate_hz:g}; "
            f"use {own:g}, {own / 2:g} or {own / 4:g}"
        )
    return Framing(**{**vars(framing), "group": round(ratio)})


def usable_clips(clips: Sequence[Samples], framing: Framing) -> list[int]:
    """Positions of the clips that have frames; a clip with a sample that is not finite has none.

    Raises:
        ConfigError: a clip is longer than ``max_clip_s``.
    """
    for row, clip in enumerate(clips):
        if len(clip) > framing.max_clip_s * SPEECH_RATE_HZ:
            raise ConfigError(
                f"clip {row}: must be at most {framing.max_clip_s:g} s for this audio tokenizer, but "
                f"is {len(clip) / SPEECH_RATE_HZ:.1f} s; cut it into shorter ones"
            )
    return [
        row
        for row, clip in enumerate(clips)
        if framing.frames(len(clip)) and bool(np.isfinite(clip).all())
    ]


def _centres(samples: int, stride: int) -> int:
    """How many of (n + 0.5) * stride are below ``samples``, in whole numbers."""
    return max(0, -((stride - 2 * samples) // (2 * stride)))


def _adapters(config: Mapping[str, Any], where: str) -> int:
    if not config.get("add_adapter"):
        return 0
    shape = (config.get("adapter_kernel_size", 3), config.get("adapter_stride", 2))
    if shape != (3, 2):
        raise CheckpointError(
            f"{where}: its adapter must have kernel 3 and stride 2, but has {shape[0]} and "
            f"{shape[1]}; take a model without an adapter"
        )
    return _number(config, "num_adapter_layers", where)


def _number(config: Mapping[str, Any], key: str, where: str) -> int:
    value = config.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise CheckpointError(
            f"{where}: config.json must say {key}, a whole number from 1, but says {value!r}; take "
            "the whole config of the model"
        )
    return value


def _numbers(config: Mapping[str, Any], key: str, where: str) -> list[int]:
    values = config.get(key)
    if not isinstance(values, (list, tuple)) or not all(
        isinstance(value, int) and value > 0 for value in values
    ):
        raise CheckpointError(
            f"{where}: config.json must say {key}, a list of whole numbers from 1, but says {values!r}; "
            "take the whole config of the model"
        )
    return list(values)
