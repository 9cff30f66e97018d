"""Margin scores of a corpus of pairs, from the vectors of its sentences, a tile at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mining.contract.errors import ConfigError
from mining.contract.schemas import NEIGHBOR
from mining.knn import Vectors, merge_neighbors, search_tile_both
from mining.score import Nearest, Scored, ScoreSettings, score_given

Ints = NDArray[np.int64]
Stored = NDArray[np.float16]

_BLOCK_ROWS = 4096  # pairs whose vectors are held in float64 at a time


def score_pairs(
    x: Stored,
    y: Stored,
    pairs: tuple[Ints, Ints],
    settings: ScoreSettings,
    *,
    tile_rows: int = 16384,
    threads: int | None = None,
) -> Scored:
    """Score given pairs of rows of ``x`` and ``y`` among the neighbours that both have in each other.

    Memory: both arrays as given, the k neighbours of every row as NEIGHBOR tables, and a tile.

    Args:
        x: float16 [S, D], distinct source sentences as :func:`mining.contract.vectors.to_stored` gives
            them. A sentence that stands twice would crowd its own neighbourhood.
        y: float16 [T, D], distinct target sentences.
        pairs: int64 [P] each, rows of ``x`` and of ``y``; at least one.
        settings: k, margin and best are used here.
        tile_rows: rows a side compared at a time. Decides memory, never the result.
        threads: of the search; None: as the process has them.

    Returns:
        P rows, in the order of ``pairs``; ranks are 0 beyond k.

    Raises:
        ConfigError: if ``tile_rows`` is below 1.
    """
    if tile_rows < 1:
        raise ConfigError(f"tile_rows: must be at least 1, but is {tile_rows}")
    forward, backward = _nearest_both(x, y, settings.k, tile_rows, threads)
    return score_given(pairs, similarities(x, y, pairs), forward, backward, settings)


def similarities(x: Stored, y: Stored, pairs: tuple[Ints, Ints]) -> NDArray[np.float32]:
    """Dot product of each pair in float64, which is exact, rounded once: float32 [P]."""
    out = np.empty(len(pairs[0]), dtype=np.float32)
    for start in range(0, len(out), _BLOCK_ROWS):
        block = slice(start, start + _BLOCK_ROWS)
        rows, columns = (
            side[rows[block]].astype(np.float64) for side, rows in ((x, pairs[0]), (y, pairs[1]))
        )
        out[block] = np.einsum("pd,pd->p", rows, columns)
    return out


def _nearest_both(
    x: Stored, y: Stored, k: int, tile_rows: int, threads: int | None
) -> tuple[Nearest, Nearest]:
    forward: list[pa.Table] = []
    backward = {start: NEIGHBOR.empty_table() for start in range(0, len(y), tile_rows)}
    for rows, _ in _blocks(x, tile_rows):
        nearest = NEIGHBOR.empty_table()
        for columns, start in _blocks(y, tile_rows):
            found = search_tile_both(rows, columns, k, threads=threads)
            nearest = merge_neighbors([nearest, found[0]], k)
            backward[start] = merge_neighbors([backward[start], found[1]], k)
        forward.append(nearest)
    return _dense(forward, len(x)), _dense(list(backward.values()), len(y))


def _blocks(array: Stored, tile_rows: int) -> Iterator[tuple[Vectors, int]]:
    width = len(str(len(array)))  # padded, so that ids sort as numbers
    for start in range(0, len(array), tile_rows):
        block = array[start : start + tile_rows]
        ids = pa.array([f"{row:0{width}d}" for row in range(start, start + len(block))])
        yield Vectors(ids, block), start


def _dense(tables: list[pa.Table], rows: int) -> Nearest:
    """Neighbours by (query, rank), as many for each query."""
    table = pa.concat_tables(tables)
    index = table["index_id"].cast(pa.int64()).to_numpy().reshape(rows, -1)
    return Nearest(index=index, similarity=table["similarity"].to_numpy().reshape(rows, -1))
