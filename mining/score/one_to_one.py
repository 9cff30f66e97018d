"""Greedy one-to-one matching of ranked pairs.

C pairs, S sources, T targets.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


def one_to_one(src: NDArray[np.int64], tgt: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Take pairs in the order given, skipping each whose source or target is taken already.

    Args:
        src: int64 [C], codes 0..S-1 of the sources, best pair first.
        tgt: int64 [C], codes 0..T-1.

    Returns:
        bool [C]: pairs taken.
    """
    sizes = int(src.max(initial=-1)) + 1, int(tgt.max(initial=-1)) + 1
    return np.asarray(_take(src, tgt, *sizes), dtype=np.bool_)


@njit(cache=True)
def _take(src, tgt, sources, targets):  # type: ignore[no-untyped-def]
    taken = np.zeros(len(src), np.bool_)
    used_src, used_tgt = np.zeros(sources, np.bool_), np.zeros(targets, np.bool_)
    for pair in range(len(src)):
        if not used_src[src[pair]] and not used_tgt[tgt[pair]]:
            used_src[src[pair]] = True
            used_tgt[tgt[pair]] = True
            taken[pair] = True
    return taken


def is_first(codes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which positions hold the first occurrence of their code (codes are small integers)."""
    position = np.arange(len(codes))
    first = np.empty(int(codes.max(initial=-1)) + 1, dtype=np.int64)
    first[codes[::-1]] = position[::-1]  # the last assignment to a place stands: the first position
    return np.asarray(first[codes] == position, dtype=np.bool_)
