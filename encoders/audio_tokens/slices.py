"""Frames of a clip dealt to the stretches of speech inside it, and how good such a deal is.

F frames of the clip, f of a region, R regions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mining.contract.speech import SPEECH_RATE_HZ, AudioTokenizer, Samples


def frames_of_regions(
    frames: NDArray[np.int16], rate_hz: float, starts_s: Sequence[float], ends_s: Sequence[float]
) -> list[NDArray[np.int16]]:
    """Frames of each region: those whose centre, (f + 0.5) / ``rate_hz``, lies in [start, end).

    Args:
        frames: units of the whole clip, int16 [F].
        rate_hz: frames a second.
        starts_s: of the regions, seconds from the start of the clip, ascending.
        ends_s: likewise; no region may end after the next one starts.

    Returns:
        int16 [f] each, R of them, in order; empty where a region holds no centre. They are copies.

    Raises:
        ValueError: the regions overlap, or are not in order.
    """
    edges_s = np.array([*zip(starts_s, ends_s, strict=True)], np.float64).reshape(-1)
    if len(edges_s) and not bool((np.diff(edges_s) >= 0).all()):
        raise ValueError(
            f"regions must be in order and not overlap, but their edges are {edges_s.tolist()}"
        )
    centres_s = (np.arange(len(frames)) + 0.5) / rate_hz
    edges = np.searchsorted(centres_s, edges_s, side="left")
    return [frames[low:high].copy() for low, high in edges.reshape(-1, 2).tolist()]


def slice_deviation(
    tokenizer: AudioTokenizer,
    samples: Samples,
    spans_s: Sequence[tuple[float, float]],
    guard_s: float = 0.0,
) -> float:
    """Share of frames that differ between a slice of the samples and the whole.

    It is 0 for a tokenizer with finite ``context_s`` where ``guard_s`` is that; with attention it says
    how much a candidate's tokens would change if it were heard alone.

    Args:
        tokenizer: that is judged.
        samples: of a clip, float32 [T], no longer than the tokenizer takes.
        spans_s: start and end of each slice, seconds; starts are moved to the next frame's.
        guard_s: frames whose centres are nearer to an end of their slice do not count.

    Raises:
        ValueError: no frame counts.
    """
    whole = tokenizer.frames([samples])[0]
    frame = SPEECH_RATE_HZ / tokenizer.rate_hz
    differing = counted = 0
    for start_s, end_s in spans_s:
        first = int(np.ceil(start_s * tokenizer.rate_hz - 1e-9))
        low, high = round(first * frame), round(end_s * SPEECH_RATE_HZ)
        alone = tokenizer.frames([samples[low:high]])[0]
        same = whole[first : first + len(alone)]
        alone = alone[: len(same)]
        centres_s = (np.arange(len(same)) + 0.5) / tokenizer.rate_hz
        length_s = (min(high, len(samples)) - low) / SPEECH_RATE_HZ
        counts = (centres_s >= guard_s) & (centres_s <= length_s - guard_s)
        differing += int((alone != same)[counts].sum())
        counted += int(counts.sum())
    if not counted:
        raise ValueError(f"spans: must hold frames farther than {guard_s:g} s from both ends")
    return differing / counted
