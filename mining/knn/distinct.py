"""Which rows hold the same vector: a copy must not count as a neighbour of its own.

N rows, D dimensions.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio, odd
_BLOCK_ROWS = 4096  # rows compared at a time


def first_rows(values: NDArray[np.float16]) -> NDArray[np.int64]:
    """For each row the lowest row that holds the same vector: int64 [N].

    Args:
        values: float16 [N, D]; may be memory-mapped.
    """
    own = np.arange(len(values))
    hashes = _hashes(values.view(np.uint16))
    order = np.argsort(hashes, kind="stable")
    ranked = hashes[order]
    same = np.zeros(len(order), dtype=bool)
    same[1:] = ranked[1:] == ranked[:-1]
    if not same.any():
        return own
    leader = order[np.maximum.accumulate(np.where(same, 0, own))]  # lowest row of the same hash
    first = own.copy()
    copies = np.flatnonzero(same)
    rows, leaders = order[copies], leader[copies]
    equal = np.concatenate(
        [
            np.all(
                values[rows[at : at + _BLOCK_ROWS]] == values[leaders[at : at + _BLOCK_ROWS]],
                axis=1,
            )
            for at in range(0, len(rows), _BLOCK_ROWS)
        ]
    )
    first[rows[equal]] = leaders[equal]
    seen: dict[bytes, int] = {}  # other vectors of a hash that is taken: next to never
    for row in np.sort(rows[~equal]).tolist():
        first[row] = seen.setdefault((values[row] + np.float16(0)).tobytes(), row)
    return first


@njit(nogil=True, cache=True)
def _hashes(bits):  # type: ignore[no-untyped-def]
    """uint64 [N] of uint16 [N, D]; zero and minus zero are one value."""
    out = np.empty(bits.shape[0], np.uint64)
    for i in range(bits.shape[0]):
        total = np.uint64(1)
        for d in range(bits.shape[1]):
            value = bits[i, d]
            if value == 0x8000:
                value = np.uint16(0)
            total = (total ^ np.uint64(value)) * _MULTIPLIER
            total ^= total >> np.uint64(29)
        out[i] = total
    return out
