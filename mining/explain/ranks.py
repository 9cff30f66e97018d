"""Where a pair stands among all the other side's rows, by one exact pass over them.

N rows, D dimensions.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

_BLOCK_ROWS = 4096  # rows held in float64 at a time

Halves = NDArray[np.float16]


def similarity_of(x: Halves, y: Halves) -> float:
    """The similarity of two stored vectors, float16 [D] each: their float64 product, as float32.

    The same on any machine and in any order, as in :mod:`mining.knn.exact`.
    """
    return float(np.float32(x.astype(np.float64) @ y.astype(np.float64)))


def true_rank(
    query: Halves, blocks: Iterable[tuple[pa.Array, Halves]], name: str, similarity: float
) -> int:
    """Rank of a row among all rows of its side, 1 for the nearest.

    Args:
        query: float16 [D].
        blocks: ids [N] and float16 [N, D] of all rows, each id once.
        name: id of the row in question.
        similarity: of it and the query; equal similarities are ranked by id.
    """
    wide, own = query.astype(np.float64), np.float32(similarity)
    before = 0
    for ids, values in blocks:
        for start in range(0, len(values), _BLOCK_ROWS):
            block = values[start : start + _BLOCK_ROWS].astype(np.float64)
            found = (block @ wide).astype(np.float32)
            names = ids.slice(start, len(block))
            lower = pc.less(names, name).to_numpy(zero_copy_only=False)
            before += int(np.count_nonzero((found > own) | ((found == own) & lower)))
    return before + 1
