"""Pairs from two arrays of vectors, in memory bounded by a tile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mining.contract.errors import ConfigError, InputError
from mining.contract.schemas import NEIGHBOR
from mining.contract.vectors import to_stored
from mining.knn import Vectors, merge_neighbors, search_tile_both
from mining.score import ScoreSettings, score_candidates
from mining.score import select as select_pairs
from mining.score.settings import Margin, Select

Array = NDArray[np.floating[Any]]

_SHOWN_ROWS = 10  # bad rows that an error names


def mine_pairs(
    x: Array,
    y: Array,
    *,
    k: int = 4,
    margin: Margin = "ratio",
    select: Select = "max",
    threshold: float | None = None,
    tile_rows: int = 16384,
    backend: str = "exact",
    threads: int | None = None,
) -> pa.Table:
    """Mine pairs of rows of ``x`` and rows of ``y``.

    The rows are compared as a run compares them: L2-normalised, rounded to float16, by exact
    similarity. Equal scores break by row number.

    Args:
        x: N source vectors [N, D] of any float dtype; need not be normalised, may be a
            ``numpy.memmap``; not modified.
        y: M target vectors [M, D].
        k: neighbours a side.
        margin: ``ratio``, ``distance`` or ``absolute``; see :class:`mining.score.ScoreSettings`.
        select: ``max``, ``intersection``, ``union``, ``forward``, ``backward`` or ``all``.
        threshold: lowest margin score kept; None keeps all that are selected.
        tile_rows: rows a side held and compared at a time. Decides memory, never the result.
        backend: a key of :data:`mining.knn.BACKENDS`. Decides time, never the result.
        threads: of the backend; None: as the process has them.

    Returns:
        Table, best first: src_row and tgt_row (int64), similarity and margin_score (float32),
        mutual (bool: each is the other's best). Empty if a side is empty.

    Raises:
        InputError: if an array has not the shape [rows, D] of its fellow or is not of floats, or if
            rows are NaN, infinite or zero (naming them).
        ConfigError: if a setting is out of its range.
    """
    settings = ScoreSettings(k=k, margin=margin, select=select, threshold=threshold)
    if tile_rows < 1:
        raise ConfigError(f"tile_rows: must be at least 1, but is {tile_rows}")
    _check(x, y, tile_rows)
    starts = range(0, len(y), tile_rows)
    forward: list[pa.Table] = []
    backward = {start: NEIGHBOR.empty_table() for start in starts}
    for rows, _ in _blocks(x, tile_rows):
        nearest = NEIGHBOR.empty_table()
        for columns, start in _blocks(y, tile_rows):
            found = search_tile_both(rows, columns, k, backend=backend, threads=threads)
            nearest = merge_neighbors([nearest, found[0]], k)
            backward[start] = merge_neighbors([backward[start], found[1]], k)
        forward.append(nearest)
    return _pairs(forward, list(backward.values()), settings)


def _pairs(forward: list[pa.Table], backward: list[pa.Table], settings: ScoreSettings) -> pa.Table:
    empty = NEIGHBOR.empty_table()
    candidates = score_candidates(
        pa.concat_tables([empty, *forward]), pa.concat_tables([empty, *backward]), settings
    )
    kept, _ = select_pairs(candidates, settings)
    columns = {
        "src_row": kept["src_segment_id"].cast(pa.int64()),
        "tgt_row": kept["tgt_segment_id"].cast(pa.int64()),
    }
    return pa.table(columns | {n: kept[n] for n in ("similarity", "margin_score", "mutual")})


def _check(x: Array, y: Array, tile_rows: int) -> None:
    for name, array in (("x", x), ("y", y)):
        if array.ndim != 2 or not array.shape[1] or not np.issubdtype(array.dtype, np.floating):
            raise InputError(
                f"mine_pairs: {name} must be floats [rows, D], but is {array.dtype} "
                f"{list(array.shape)}; pass one vector a row"
            )
    if x.shape[1] != y.shape[1]:
        raise InputError(
            f"mine_pairs: x and y must have one dimension, but have {x.shape[1]} and {y.shape[1]}; "
            "embed both with one encoder"
        )
    for name, array in (("x", x), ("y", y)):
        starts = range(0, len(array), tile_rows)
        bad = [s + np.flatnonzero(to_stored(array[s : s + tile_rows])[1]) for s in starts]
        rows = np.concatenate([np.empty(0, np.int64), *bad]).tolist()
        if rows:
            more = f" and {len(rows) - _SHOWN_ROWS} more" if len(rows) > _SHOWN_ROWS else ""
            raise InputError(
                f"mine_pairs: {name} must hold no NaN, infinite or zero rows, but rows "
                f"{rows[:_SHOWN_ROWS]}{more} are; drop them first"
            )


def _blocks(array: Array, tile_rows: int) -> Iterator[tuple[Vectors, int]]:
    """Stored vectors block by block, with the row each block begins at."""
    width = len(str(len(array)))  # padded, so that ids sort as numbers
    for start in range(0, len(array), tile_rows):
        stored, _ = to_stored(array[start : start + tile_rows])
        ids = pa.array([f"{row:0{width}d}" for row in range(start, start + len(stored))])
        yield Vectors(ids, stored), start
