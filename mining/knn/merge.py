"""Top-k of several tiles into the top-k of them all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mining.contract.errors import InputError
from mining.contract.schemas import NEIGHBOR


def merge_neighbors(tables: Sequence[pa.Table], k: int) -> pa.Table:
    """Merge the neighbours that the same queries have in different index blocks.

    Args:
        tables: NEIGHBOR tables of one direction, each from other index rows.
        k: neighbours kept a query.

    Returns:
        NEIGHBOR table sorted by (query_id, rank). A query has fewer than k rows if all tables
        together have fewer.

    Raises:
        InputError: if the tables are of both directions.
    """
    table = pa.concat_tables([NEIGHBOR.empty_table(), *tables])
    directions = pc.unique(table["direction"]).to_pylist()
    if len(directions) > 1:
        raise InputError(f"knn merge: neighbours must be of one direction, but are of {directions}")
    if not table.num_rows:
        return NEIGHBOR.empty_table()
    table = table.sort_by(
        [("query_id", "ascending"), ("similarity", "descending"), ("index_id", "ascending")]
    )
    query = table["query_id"].combine_chunks()
    first = np.ones(len(query), dtype=bool)
    first[1:] = pc.not_equal(query[1:], query[:-1]).to_numpy(zero_copy_only=False)
    position = np.arange(len(query))
    rank = position - np.maximum.accumulate(np.where(first, position, 0)) + 1
    table = table.set_column(
        NEIGHBOR.get_field_index("rank"),
        NEIGHBOR.field("rank"),
        pa.array(rank).cast(pa.int16(), safe=False),
    )
    return table.filter(pa.array(rank <= k)).combine_chunks().cast(NEIGHBOR)
