"""One tile: a block of vectors against another, both ways, as NEIGHBOR tables.

N rows, D dimensions, Q queries, K neighbours a query.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mining.contract.errors import InputError
from mining.contract.neighbors import neighbor_table
from mining.contract.schemas import BACKWARD, FORWARD
from mining.contract.vectors import NORM_TOLERANCE, norms, unpack
from mining.knn.arrays import search_arrays
from mining.knn.exact import TopK
from mining.knn.planner import AUTO

_CHECK_ROWS = 4096


@dataclass(frozen=True)
class Vectors:
    """A block of stored vectors.

    Attributes:
        ids: string [N], ascending and distinct, so that lower row means lower id.
        values: float16 [N, D], L2-normalised; never modified.
    """

    ids: pa.Array
    values: NDArray[np.float16]

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.dtype != np.float16:
            raise InputError(
                f"vectors: must be float16 [N, D], but are {self.values.dtype} "
                f"{list(self.values.shape)}; convert them with mining.contract.vectors.to_stored"
            )
        if len(self.ids) != len(self.values):
            raise InputError(
                f"vectors: ids and vectors must be equally many, but are {len(self.ids)} and "
                f"{len(self.values)}"
            )
        ascending = pc.greater(self.ids[1:], self.ids[:-1])
        if not pc.all(ascending, min_count=0).as_py():
            row = pc.index(ascending, False).as_py()
            raise InputError(
                f"vectors: ids must be ascending and distinct, but {self.ids[row].as_py()!r} is "
                f"followed by {self.ids[row + 1].as_py()!r}"
            )
        self._check_norms()

    @classmethod
    def from_arrow(cls, table: pa.Table, dim: int) -> Vectors:
        """Vectors of a table with columns ``segment_id`` and ``vector``, in any order of rows."""
        ids = table["segment_id"].combine_chunks()
        values = unpack(table["vector"], dim)
        order = pc.sort_indices(ids).to_numpy()
        if np.array_equal(order, np.arange(len(order))):
            return cls(ids, values)
        return cls(ids.take(pa.array(order)), values[order])

    def __len__(self) -> int:
        return len(self.values)

    def _check_norms(self) -> None:
        for start in range(0, len(self), _CHECK_ROWS):
            found = norms(self.values[start : start + _CHECK_ROWS])
            wrong = np.flatnonzero(~(np.abs(found - 1.0) <= NORM_TOLERANCE))
            if wrong.size:
                row = int(wrong[0])
                raise InputError(
                    f"vectors: every norm must be 1, but {self.ids[start + row].as_py()!r} has "
                    f"{found[row]}; zero and NaN rows must be rejected before the search"
                )


def search_tile_both(
    rows: Vectors,
    columns: Vectors,
    k: int,
    *,
    backward_k: int | None = None,
    backend: str = AUTO,
    threads: int | None = None,
) -> tuple[pa.Table, pa.Table]:
    """Both directions of a tile: rows search columns (forward), columns search rows (backward).

    Args:
        rows: N vectors.
        columns: M vectors.
        k: neighbours wanted of a row, at least 1; fewer if there are fewer columns.
        backward_k: of a column; None: as many.
        backend: a key of ``BACKENDS``, or ``auto``; decides the time, never the result.
        threads: of the backend; None: one a core.

    Returns:
        Two NEIGHBOR tables sorted by (query_id, rank); equal similarities are ranked by index_id.

    Raises:
        InputError: if the dimensions differ or k < 1.
        ConfigError: if there is no such backend.
    """
    found = search_arrays(
        rows.values, columns.values, k, backward_k=backward_k, backend=backend, threads=threads
    )
    return _table(rows, columns, found[0], FORWARD), _table(columns, rows, found[1], BACKWARD)


def _table(queries: Vectors, index: Vectors, found: TopK, direction: str) -> pa.Table:
    return neighbor_table(queries.ids, index.ids, found.row, found.similarity, direction)
