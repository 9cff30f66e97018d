"""What all recognisers do with clips: which can be recognised, and which are computed together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from mining.contract.errors import ConfigError
from mining.contract.speech import SPEECH_RATE_HZ, Samples


def usable_clips(clips: Sequence[Samples], max_clip_s: float) -> list[int]:
    """Positions of the clips that hold samples, all of them finite.

    Raises:
        ConfigError: a clip is longer than ``max_clip_s``.
    """
    for row, clip in enumerate(clips):
        if len(clip) > max_clip_s * SPEECH_RATE_HZ:
            raise ConfigError(
                f"clip {row}: must be at most {max_clip_s:g} s for this recogniser, but is "
                f"{len(clip) / SPEECH_RATE_HZ:.1f} s; lower clip_s"
            )
    return [row for row, clip in enumerate(clips) if len(clip) and bool(np.isfinite(clip).all())]


def slices(rows: Sequence[int], height: int) -> Iterator[list[int]]:
    """Consecutive lists of at most ``height`` rows."""
    for low in range(0, len(rows), height):
        yield list(rows[low : low + height])
