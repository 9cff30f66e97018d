"""From the units of frames to tokens, and from tokens to letters.

F frames, L tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def collapsed(
    frames: NDArray[np.int16], blank: int | None, *, merge_repeats: bool
) -> NDArray[np.int64]:
    """Tokens of a run of frames: repeats merged, then blanks left out (Graves et al. 2006, CTC).

    Args:
        frames: units, int16 [F].
        blank: the unit that stands for nothing; None: there is none.
        merge_repeats: whether neighbouring equal units are one token. CTC needs it.

    Returns:
        int64 [L].
    """
    units = frames.astype(np.int64)
    if merge_repeats and len(units):
        units = units[np.r_[True, units[1:] != units[:-1]]]
    return units if blank is None else units[units != blank]


def spelled(regions: Sequence[NDArray[np.int16]], symbols: Sequence[str], blank: int | None) -> str:
    """What CTC frames spell: regions are parted by a space, runs of spaces are one."""
    words = []
    for frames in regions:
        tokens = collapsed(frames, blank, merge_repeats=True)
        words.append("".join(symbols[token] for token in tokens.tolist()))
    return " ".join(" ".join(words).split())
