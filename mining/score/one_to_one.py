"""Greedy one-to-one matching of ranked pairs, without a loop over all of them.

C pairs, S sources, T targets.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_MIN_SETTLED = 1 / 16  # share of the open pairs; a round that settles fewer does not pay


def one_to_one(src: NDArray[np.int64], tgt: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Take pairs in the order given, skipping each whose source or target is taken already.

    In rounds: a pair that comes first among the open pairs of both its source and its target is
    taken by the plain loop, too, whatever happens elsewhere; its rivals then close. The best open
    pair is always such a pair. A chain in which each pair blocks just the next settles few a round:
    its rest goes through the plain loop.

    Args:
        src: int64 [C], codes 0..S-1 of the sources, best pair first.
        tgt: int64 [C], codes 0..T-1.

    Returns:
        bool [C]: pairs taken; the same as those of the plain loop.
    """
    taken = np.zeros(len(src), dtype=bool)
    open_rows = np.arange(len(src))
    used_src = np.zeros(int(src.max(initial=-1)) + 1, dtype=bool)
    used_tgt = np.zeros(int(tgt.max(initial=-1)) + 1, dtype=bool)
    while open_rows.size:
        s, t = src[open_rows], tgt[open_rows]
        won = is_first(s) & is_first(t)
        taken[open_rows[won]] = True
        used_src[s[won]] = True
        used_tgt[t[won]] = True
        rest = open_rows[~(used_src[s] | used_tgt[t])]
        if open_rows.size - rest.size < open_rows.size * _MIN_SETTLED:
            taken[rest] = _plain(src[rest], tgt[rest])
            break
        open_rows = rest
    return taken


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
