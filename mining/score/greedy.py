"""The loop of greedy one-to-one matching, compiled by numba."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True)
def take_greedily(src, tgt, sources, targets):  # type: ignore[no-untyped-def]
    """Which pairs are taken, bool [C]: in the order given, each source and target once.

    Args:
        src: int64 [C], codes below ``sources``.
        tgt: int64 [C], codes below ``targets``.
        sources: S.
        targets: T.
    """
    taken = np.zeros(len(src), np.bool_)
    used_src, used_tgt = np.zeros(sources, np.bool_), np.zeros(targets, np.bool_)
    for pair in range(len(src)):
        if not used_src[src[pair]] and not used_tgt[tgt[pair]]:
            used_src[src[pair]] = True
            used_tgt[tgt[pair]] = True
            taken[pair] = True
    return taken
