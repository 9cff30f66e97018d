"""Which runs of neighbouring regions could be a sentence.

R regions, N candidates.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mining.config.model import Speech


def propose(
    start: NDArray[np.int64], end: NDArray[np.int64], rate_hz: int, settings: Speech
) -> NDArray[np.int64]:
    """Every run of neighbouring regions that is as long as a sentence may be.

    A run reaches from the start of its first region to the end of its last. It is a candidate if it
    is at least ``min_s`` and at most ``max_s`` long, joins at most ``max_joined`` regions and none of
    the pauses inside is longer than ``max_gap_s``. After stopes' segmenter for mining speech. The
    limits are rounded to whole samples.

    Args:
        start: int64 [R], of the regions of one recording (and channel), in order, samples.
        end: int64 [R], exclusive; no region begins before the one before it has ended.
        rate_hz: of those samples.
        settings: min_s, max_s, max_gap_s and max_joined are used.

    Returns:
        int64 [N, 2]: first and last region (inclusive), by first, then by last.
    """
    count = len(start)
    if not count:
        return np.empty((0, 2), dtype=np.int64)
    shortest, longest, widest = (
        round(seconds * rate_hz) for seconds in (settings.min_s, settings.max_s, settings.max_gap_s)
    )
    first = np.arange(count)
    closed = np.append(start[1:] - end[:-1] > widest, True)  # no run goes on after these
    reachable = np.flatnonzero(closed)[np.cumsum(closed) - closed]
    fits = np.searchsorted(end, start + longest, side="right") - 1
    highest = np.minimum(np.minimum(reachable, fits), first + settings.max_joined - 1)
    lowest = np.searchsorted(end, start + shortest, side="left")
    runs = np.maximum(highest - lowest + 1, 0)
    # Each region's candidates are numbered on from its lowest last region.
    offset = np.cumsum(runs) - runs
    last = np.arange(int(runs.sum())) + np.repeat(lowest - offset, runs)
    return np.stack([np.repeat(first, runs), last], axis=1)
