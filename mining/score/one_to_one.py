"""Greedy one-to-one matching of ranked pairs.

C pairs, S sources, T targets.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_FEW = 1 << 16  # pairs; so many the plain loop takes in the time that numba takes to start


def one_to_one(src: NDArray[np.int64], tgt: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Take pairs in the order given, skipping each whose source or target is taken already.

    Args:
        src: int64 [C], codes 0..S-1 of the sources, best pair first.
        tgt: int64 [C], codes 0..T-1.

    Returns:
        bool [C]: pairs taken.
    """
    if len(src) < _FEW:
        return np.array(_plain(src, tgt), dtype=np.bool_)
    from mining.score.greedy import take_greedily

    sizes = int(src.max(initial=-1)) + 1, int(tgt.max(initial=-1)) + 1
    return np.asarray(take_greedily(src, tgt, *sizes), dtype=np.bool_)


def is_first(codes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which positions hold the first occurrence of their code (codes are small integers)."""
    position = np.arange(len(codes))
    first = np.empty(int(codes.max(initial=-1)) + 1, dtype=np.int64)
    first[codes[::-1]] = position[::-1]  # the last assignment to a place stands: the first position
    return np.asarray(first[codes] == position, dtype=np.bool_)


def _plain(src: NDArray[np.int64], tgt: NDArray[np.int64]) -> list[bool]:
    used_src: set[int] = set()
    used_tgt: set[int] = set()
    taken = []
    for s, t in zip(src.tolist(), tgt.tolist(), strict=True):
        free = s not in used_src and t not in used_tgt
        if free:
            used_src.add(s)
            used_tgt.add(t)
        taken.append(free)
    return taken
