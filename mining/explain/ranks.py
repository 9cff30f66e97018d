"""Where a pair stands among all the other side's rows, by one exact pass over them.

N rows, D dimensions.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mining.knn import exact_similarity

Halves = NDArray[np.float16]


def similarity_of(x: Halves, y: Halves) -> float:
    """The similarity of two stored vectors, float16 [D] each, as a search gives it."""
    return float(_similarities(x, y[None])[0])


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
    own, before = np.float32(similarity), 0
    for ids, values in blocks:
        found = _similarities(query, values)
        lower = pc.less(ids, name).to_numpy(zero_copy_only=False)
        before += int(np.count_nonzero((found > own) | ((found == own) & lower)))
    return before + 1


def _similarities(query: Halves, values: Halves) -> NDArray[np.float32]:
    """Of a query and all rows: float32 [N]."""
    return exact_similarity(query[None], values, np.arange(len(values))[None]).ravel()
