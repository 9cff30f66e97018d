"""Which rows hold the same vector: a copy must not count as a neighbour of its own.

N rows, D dimensions.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio, odd
_WORD = 4  # float16 in a uint64
_VALUES = np.uint64(0x7FFF7FFF7FFF7FFF)  # all of their bits but the signs
_BLOCK_ROWS = 4096  # rows looked at at a time


def first_rows(values: NDArray[np.float16]) -> NDArray[np.int64]:
    """For each row the lowest row that holds the same vector: int64 [N].

    Args:
        values: float16 [N, D]; may be memory-mapped.
    """
    own = np.arange(len(values))
    blocks = (values[at : at + _BLOCK_ROWS] for at in range(0, len(values), _BLOCK_ROWS))
    hashes = np.concatenate([np.empty(0, np.uint64), *(_hashes(_words(one)) for one in blocks)])
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


def _words(values: NDArray[np.float16]) -> NDArray[np.uint64]:
    """Four values a word: uint64 [N, D / 4], zeros behind the last."""
    if missing := -values.shape[1] % _WORD:
        values = np.pad(values, ((0, 0), (0, missing)))
    return np.ascontiguousarray(values).view(np.uint64)


@njit(nogil=True, cache=True)
def _hashes(words):  # type: ignore[no-untyped-def]
    """uint64 [N] of uint64 [N, W]; a zero and a minus zero in them are one value."""
    out = np.empty(words.shape[0], np.uint64)
    for i in range(words.shape[0]):
        total = np.uint64(1)
        for d in range(words.shape[1]):
            word = words[i, d]
            word &= (
                (word & _VALUES) + _VALUES
            ) | _VALUES  # the sign stays where a value is not zero
            total = (total ^ word) * _MULTIPLIER
            total ^= total >> np.uint64(29)
        out[i] = total
    return out
