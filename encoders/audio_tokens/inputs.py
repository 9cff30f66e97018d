"""What a speech network reads of a clip, scaled by fixed numbers instead of the clip's own.

T samples, C channels (1 of samples, one for each mel filter), V values of each channel.

Feature extractors of wav2vec 2.0 and w2v-BERT give every clip mean 0 and variance 1. A unit would
then depend on everything else in its clip. Here mean and deviation are the median over the clips that
the tokenizer was made with, so that a usual clip looks to the network as in its training.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from encoders.audio_tokens.framing import FILTER_BANKS, WAVES, WINDOWED, Framing
from encoders.audio_tokens.settings import FIXED, NONE, UTTERANCE
from mining.contract.errors import CheckpointError, InputError
from mining.contract.speech import SPEECH_RATE_HZ, Samples

SCALE_MEAN, SCALE_DEVIATION = "input_mean", "input_deviation"  # names of the tensors
_TINY = 1e-7  # added to the variance, as both extractors do
_MEASURED_S = 600.0  # of clips that the fixed scale is measured on, seconds


@dataclass(frozen=True, kw_only=True, eq=False)
class Scale:
    """Mean and deviation of each channel.

    Attributes:
        mean: float32 [C].
        deviation: float32 [C], above zero.
    """

    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]

    def tensors(self) -> dict[str, NDArray[np.float32]]:
        """As it is stored."""
        return {SCALE_MEAN: self.mean, SCALE_DEVIATION: self.deviation}

    def of(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Values with mean 0 and deviation 1: float32 [V, C]."""
        return np.asarray((values - self.mean) / self.deviation, np.float32)


class NetworkInputs:
    """Samples of one clip to the tensor that a network takes."""

    def __init__(
        self, extractor: Any, framing: Framing, normalise: str, scale: Scale | None
    ) -> None:
        """Args are checked; nothing is loaded.

        Args:
            extractor: a feature extractor of transformers.
            framing: of the network.
            normalise: ``none``, ``fixed`` or ``utterance``.
            scale: of ``fixed``.

        Raises:
            CheckpointError: the scale is missing or of another width.
        """
        self._extractor, self._framing = extractor, framing
        self._normalise, self._scale = normalise, scale
        if hasattr(extractor, "dither"):
            extractor.dither = 0.0  # noise; the same clip must give the same units
        if framing.inputs == WINDOWED and extractor.chunk_length != framing.max_clip_s:
            raise CheckpointError(
                f"preprocessor_config.json: chunk_length must be {framing.max_clip_s:g} s, as the "
                f"encoder's window, but is {extractor.chunk_length}; take both from one place"
            )
        self.channels = 1 if framing.inputs == WAVES else int(extractor.feature_size)
        width = None if scale is None else len(scale.mean)
        if normalise == FIXED and width != self.channels:
            raise CheckpointError(
                f"fixed scale: must have {self.channels} channels, but has {width or 'none'}; the "
                "scale is of another encoder"
            )
        if scale is not None and not bool((scale.deviation > 0).all()):
            raise CheckpointError(
                f"fixed scale: {SCALE_DEVIATION} must be above 0, but is not; make the tokenizer again"
            )

    def tensor(self, clip: Samples) -> torch.Tensor:
        """Input of the network for one clip that has frames, a batch of one.

        Args:
            clip: float32 [T].
        """
        clip = np.asarray(clip, np.float32)
        if self._framing.inputs == WAVES:
            wave = self._scaled(clip[:, None])[:, 0]
            return torch.from_numpy(self._framing.padded(wave))[None]
        if self._framing.inputs == FILTER_BANKS:
            values = self._scaled(self.values(clip))
            return torch.from_numpy(values.reshape(1, len(values) // 2, -1))
        features = self._extractor(clip, sampling_rate=SPEECH_RATE_HZ, return_tensors="pt")
        mels = features["input_features"]
        # Outputs of stride 2 are centred on even columns, column c on sample 160 c: one column
        # earlier, and they are centred in the middle of their stride.
        return torch.cat([mels[..., 1:], mels[..., -1:]], dim=-1)

    def values(self, clip: Samples) -> NDArray[np.float32]:
        """What is scaled, before it is: samples [T, 1], or log-mel energies [V, C]; float32."""
        if self._framing.inputs == WAVES:
            return np.asarray(clip, np.float32)[:, None]
        banks = self._extractor(
            self._framing.padded(clip),
            sampling_rate=SPEECH_RATE_HZ,
            do_normalize_per_mel_bins=False,
            return_tensors="np",
        )["input_features"][0]
        return np.ascontiguousarray(banks.reshape(-1, self.channels), np.float32)

    def _scaled(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._normalise == UTTERANCE:
            return _scale_of(values).of(values)
        return values if self._scale is None else self._scale.of(values)


def normalises(extractor: Any, framing: Framing) -> bool:
    """Whether the extractor gives every clip mean 0 and variance 1."""
    if framing.inputs == WAVES:
        return bool(getattr(extractor, "do_normalize", False))
    return framing.inputs == FILTER_BANKS


def measured_scale(
    extractor: Any, framing: Framing, clips: Iterable[Samples]
) -> tuple[Scale, Iterator[Samples]]:
    """Median of the clips' own means and deviations, over the first ten minutes of them.

    Args:
        extractor: a feature extractor of transformers.
        framing: of the network.
        clips: float32 [T] each; silent ones (all samples alike) and those without frames do not count.

    Returns:
        The scale, and all the clips again from the first.

    Raises:
        InputError: no clip has sound in it.
    """
    inputs = NetworkInputs(extractor, framing, NONE, None)
    stream, kept, scales, seconds = iter(clips), [], [], 0.0
    for clip in stream:
        kept.append(clip)
        if framing.frames(len(clip)) and np.isfinite(clip).all() and np.ptp(clip) > 0:
            scales.append(_scale_of(inputs.values(clip)))
            seconds += len(clip) / SPEECH_RATE_HZ
        if seconds >= _MEASURED_S:
            break
    if not scales:
        raise InputError(
            "clips: at least one must have sound in it to measure the level of speech, but none has; "
            "give recordings of speech"
        )
    scale = Scale(
        mean=np.median([one.mean for one in scales], axis=0).astype(np.float32),
        deviation=np.median([one.deviation for one in scales], axis=0).astype(np.float32),
    )
    return scale, itertools.chain(kept, stream)


def _scale_of(values: NDArray[np.float32]) -> Scale:
    """As the extractors: of samples the variance of all, of mel filters that of a sample (n - 1)."""
    ddof = 0 if values.shape[1] == 1 else 1
    wide = values.astype(np.float64)
    deviation = np.sqrt(wide.var(axis=0, ddof=ddof) + _TINY)
    return Scale(mean=wide.mean(axis=0).astype(np.float32), deviation=deviation.astype(np.float32))
