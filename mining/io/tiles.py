"""Results of searched tiles, kept by what was searched, for any later run of the same output.

A result is one direction of a tile: every row of a block of queries against a block of index rows. Its
address is made of the bytes of both blocks, k (and the index, if it is approximate), and the definition
of similarity; so whoever asks for the same search finds it, under whatever task, and nothing else can be
taken for it. The ids stand in the blocks: a result holds positions only, about 8 bytes a neighbour where
NEIGHBOR rows take 16 to 20 (blocks of 32,768 rows, k = 16 and 4).

Q queries, N index rows, K = min(k, N) neighbours a query.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mining.contract.errors import DatasetError
from mining.contract.neighbors import neighbor_table
from mining.contract.schemas import NEIGHBOR
from mining.io.filesystem import Storage, exists, list_glob, remove
from mining.io.parquet import count_rows, read_part, write_part

# Raised when equal blocks give other neighbours than before. 1: the float64 product of stored float16
# vectors, rounded once to float32; of equal similarities the lower id first.
_DEFINITION = 1

# K rows for each query, in the order of the queries' ids, nearest first.
TILE = pa.schema(
    [
        pa.field("row", pa.int32(), nullable=False),  # of the index block, in the order of its ids
        pa.field("similarity", pa.float32(), nullable=False),
    ]
)


def tile_address(queries: str, index: str, how: int | str) -> str:
    """Where the result of a search is kept: 32 hex digits.

    Args:
        queries: digest of the queries' ids and vectors (:func:`mining.io.pools.content_of`).
        index: of the index rows.
        how: neighbours wanted; where they are found approximately, that with all that decides which.
    """
    text = f"tile {_DEFINITION} {queries} {index} {how}"
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:32]


def tile_of(row: NDArray[np.int64], similarity: NDArray[np.float32]) -> pa.Table:
    """TILE rows of one direction.

    Args:
        row: int64 [Q, K], rows of the index block, nearest first.
        similarity: float32 [Q, K].
    """
    return pa.table([row.ravel().astype(np.int32), similarity.ravel()], schema=TILE)


def neighbors_of(tile: pa.Table, queries: pa.Array, index: pa.Array, direction: str) -> pa.Table:
    """TILE rows as NEIGHBOR rows again.

    Args:
        tile: of every query, K rows.
        queries: string [Q], ids of the queries in their order.
        index: string [N], ids of the index rows in their order.
        direction: what the column of that name says.

    Raises:
        DatasetError: if the rows do not come out even: the tile is of other blocks.
    """
    count = len(queries)
    if count == 0 or tile.num_rows % count:
        if tile.num_rows:
            raise DatasetError(
                f"tile: must hold as many neighbours for each of {count} queries, but holds "
                f"{tile.num_rows} in all; this is a fault of the program"
            )
        return NEIGHBOR.empty_table()
    shape = (count, tile.num_rows // count)
    row, similarity = (tile[name].to_numpy().reshape(shape) for name in TILE.names)
    return neighbor_table(queries, index, row, similarity, direction)


@dataclass(frozen=True, kw_only=True)
class Tiles:
    """The kept results of one output.

    Attributes:
        folder: where they are.
        storage: fsspec options.
    """

    folder: str
    storage: Storage

    def _path(self, address: str) -> str:
        return f"{address[:2]}/{address}.parquet"  # no folder of a million files

    def holds(self, address: str, rows: int) -> bool:
        """Whether a whole result of ``rows`` neighbours is there."""
        return count_rows(f"{self.folder}/{self._path(address)}", self.storage) == rows

    def write(self, address: str, tile: pa.Table) -> None:
        """Keep a result (TILE), all at once or not at all."""
        write_part(self.folder, self._path(address), tile, TILE, self.storage)

    def read_if_whole(self, address: str, rows: int) -> pa.Table | None:
        """A result (TILE) of ``rows`` neighbours; None where none is there, or a damaged one."""
        uri = f"{self.folder}/{self._path(address)}"
        if not exists(uri, self.storage):
            return None
        try:
            tile = read_part(uri, TILE, self.storage)
        except DatasetError:
            return None
        return tile if tile.num_rows == rows else None

    def remove_others(self, wanted: Iterable[str]) -> None:
        """Remove every result whose address is not wanted."""
        keep = frozenset(wanted)
        for uri in list_glob(self.folder, self.storage):
            if uri.rpartition("/")[2].removesuffix(".parquet") not in keep:
                remove(uri, self.storage)
