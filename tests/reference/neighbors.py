"""k nearest neighbours, slowly and obviously."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mining.contract.schemas import NEIGHBOR

Row = tuple[str, str, float, int]  # query_id, index_id, similarity, rank


def similarity_matrix(x: NDArray[np.float16], y: NDArray[np.float16]) -> NDArray[np.float32]:
    """Dot products, each sum correctly rounded (``math.fsum``) before it becomes a float32."""
    return np.array(
        [[math.fsum(float(a) * float(b) for a, b in zip(u, v, strict=True)) for v in y] for u in x],
        dtype=np.float32,
    ).reshape(len(x), len(y))


def neighbor_rows(
    similarity: NDArray[np.float32], query_ids: list[str], index_ids: list[str], k: int
) -> list[Row]:
    """Rows of NEIGHBOR sorted by (query_id, rank)."""
    rows = []
    for query_id, row in sorted(zip(query_ids, similarity.tolist(), strict=True)):
        ranked = sorted(zip([-s for s in row], index_ids, strict=True))[:k]
        rows += [(query_id, name, -s, rank + 1) for rank, (s, name) in enumerate(ranked)]
    return rows


def neighbor_table(rows: list[Row], direction: str) -> pa.Table:
    """The same as a table."""
    query_id, index_id, similarity, rank = zip(*rows, strict=True) if rows else ([], [], [], [])
    return pa.table(
        [query_id, index_id, similarity, rank, [direction] * len(rows)], schema=NEIGHBOR
    )


def as_rows(table: pa.Table) -> list[Row]:
    """Rows of a NEIGHBOR table."""
    columns = ("query_id", "index_id", "similarity", "rank")
    return [tuple(row[c] for c in columns) for row in table.to_pylist()]
