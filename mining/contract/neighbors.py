"""NEIGHBOR rows of found positions.

Q queries, N index rows, K neighbours a query.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mining.contract.errors import CapacityError
from mining.contract.schemas import NEIGHBOR

_MOST_K = np.iinfo(np.int16).max  # a rank is an int16
_MOST_ID_BYTES = np.iinfo(np.int32).max  # of a string column, whose offsets are int32


def neighbor_table(
    queries: pa.Array,
    index: pa.Array,
    row: NDArray[np.integer],
    similarity: NDArray[np.float32],
    direction: str,
) -> pa.Table:
    """What every query has found, by id.

    Args:
        queries: string [Q].
        index: string [N].
        row: integers [Q, K], positions in ``index``, nearest first.
        similarity: float32 [Q, K].
        direction: what the column of that name says.

    Returns:
        NEIGHBOR table, query by query.

    Raises:
        CapacityError: if ranks or ids do not fit into the columns.
    """
    count, k = row.shape
    longest = max(pc.max(pc.binary_length(ids)).as_py() or 0 for ids in (queries, index))
    if k > _MOST_K or count * k * longest > _MOST_ID_BYTES:
        raise CapacityError(
            f"knn: a tile must have at most {_MOST_K} neighbours a row and {_MOST_ID_BYTES} bytes of "
            f"their ids, but has {k} for each of {count} rows; lower execution.tile_rows, or k"
        )
    return pa.table(
        [
            queries.take(pa.array(np.repeat(np.arange(count), k))),
            index.take(pa.array(row.ravel())),
            pa.array(similarity.ravel()),
            pa.array(np.tile(np.arange(1, k + 1, dtype=np.int16), count)),
            pa.repeat(pa.scalar(direction, pa.string()), count * k),
        ],
        schema=NEIGHBOR,
    )
