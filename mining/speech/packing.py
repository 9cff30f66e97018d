"""Regions are put together into clips for the recogniser, and its words dealt back to the regions.

A recogniser hears better with context, and some cost the same however short the clip is (Whisper: 30 s).

R regions, P clips.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mining.contract.speech import Word

_GOOD_PAUSE_S = 1.0  # a cut at a pause of this length or more costs nothing


def pack_clips(
    start: NDArray[np.int64],
    end: NDArray[np.int64],
    rate_hz: int,
    clip_s: float,
    max_gap_s: float,
) -> NDArray[np.int64]:
    """Put neighbouring regions together into few clips that are cut at long pauses.

    Between pauses longer than ``max_gap_s``, where clips always end, the clips are those of the least
    cost: 1 for each clip, and for each cut 1 - pause / 1 s, where the pause is shorter than 1 s. So
    one clip more is made only where it saves cuts in short pauses. Of equal costs, the later
    clips are the longer ones.

    Args:
        start: int64 [R], of the regions of one recording (and channel), in order, samples.
        end: int64 [R], exclusive; no region begins before the one before it has ended.
        rate_hz: of those samples.
        clip_s: longest clip, from its first start to its last end; a region that is longer is a clip
            by itself. 0: each region is a clip.
        max_gap_s: longest pause within a clip.

    Returns:
        int64 [P, 2]: first and last region (inclusive) of each clip, in order; every region is in
        exactly one.
    """
    longest, widest = round(clip_s * rate_hz), round(max_gap_s * rate_hz)
    good = _GOOD_PAUSE_S * rate_hz
    starts, ends = start.tolist(), end.tolist()
    cost: list[float] = [0.0]  # of the best clips of the regions before the r-th
    begins: list[int] = [0]  # where the last of those clips begins
    cuts: list[float] = []  # cost of a cut before each region
    for region in range(len(starts)):
        pause = starts[region] - ends[region - 1] if region else 0
        cuts.append(max(0.0, 1.0 - pause / good) if region and pause <= widest else 0.0)
        first = region
        best, begin = cost[first] + cuts[first] + 1.0, first
        while (
            first
            and ends[region] - starts[first - 1] <= longest
            and starts[first] - ends[first - 1] <= widest
        ):
            first -= 1
            found = cost[first] + cuts[first] + 1.0
            if found <= best:
                best, begin = found, first
        cost.append(best)
        begins.append(begin)
    clips: list[tuple[int, int]] = []
    after = len(starts)
    while after:
        clips.append((begins[after], after - 1))
        after = begins[after]
    return np.array(clips[::-1], dtype=np.int64).reshape(-1, 2)


def words_to_regions(
    words: Sequence[Word], start_s: Sequence[float], end_s: Sequence[float]
) -> list[list[Word]]:
    """Deal the words of a clip to its regions.

    A word goes to the region that holds its middle, or else to the nearest one (the later, if two
    are as near), but never to a region before that of the word before it.

    Args:
        words: of the clip, in order.
        start_s: of the clip's regions, seconds from the clip's start; at least one, in order.
        end_s: likewise.

    Returns:
        Each region's words: every word once, in order.
    """
    middle = np.array([(word.start_s + word.end_s) / 2 for word in words], dtype=np.float64)
    border = (np.asarray(end_s[:-1], np.float64) + np.asarray(start_s[1:], np.float64)) / 2
    region = np.maximum.accumulate(np.searchsorted(border, middle, side="right"))
    dealt: list[list[Word]] = [[] for _ in start_s]
    for word, place in zip(words, region.tolist(), strict=True):
        dealt[place].append(word)
    return dealt
