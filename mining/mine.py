"""Pairs from two arrays of vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mining.contract.errors import InputError
from mining.contract.vectors import as_stored
from mining.knn import AUTO, TopK, first_rows, search_arrays
from mining.score import Nearest, ScoreSettings, select_arrays
from mining.score.settings import Margin, Select

Array = NDArray[np.floating[Any]]
Stored = NDArray[np.float16]

_SHOWN_ROWS = 10  # bad rows that an error names


def mine_pairs(
    x: Array,
    y: Array,
    *,
    k: int = 4,
    margin: Margin = "ratio",
    select: Select = "max",
    threshold: float | None = None,
    distinct: bool = True,
    backend: str = AUTO,
    threads: int | None = None,
) -> pa.Table:
    """Mine pairs of rows of ``x`` and rows of ``y``.

    The rows are compared as a run compares them: L2-normalised, rounded to float16, by exact
    similarity. Equal scores break by row number. Memory: 2 bytes a number of both arrays (none for
    float16 arrays of unit rows, which are read where they are), some 16 (k + 2) a row, and buffers of
    the backend.

    Args:
        x: N source vectors [N, D] of any float dtype; need not be normalised, may be a
            ``numpy.memmap``; not modified.
        y: M target vectors [M, D].
        k: neighbours a side.
        margin: ``ratio``, ``distance`` or ``absolute``; see :class:`mining.score.ScoreSettings`.
        select: ``max``, ``intersection``, ``union``, ``forward``, ``backward`` or ``all``.
        threshold: lowest margin score kept; None keeps all that are selected.
        distinct: a vector that stands in several rows is mined once, as the first of them, so that
            copies crowd no neighbourhood; False: every row is a row of its own.
        backend: a key of :data:`mining.knn.BACKENDS`, or ``auto``. Decides time, never the result.
        threads: of the backend; None: one a core.

    Returns:
        Table, best first: src_row and tgt_row (int64), similarity and margin_score (float32),
        mutual (bool: each is the other's best). Empty if a side is empty.

    Raises:
        InputError: if an array has not the shape [rows, D] of its fellow or is not of floats, or if
            rows are NaN, infinite or zero (naming them).
        ConfigError: if a setting is out of its range.
    """
    settings = ScoreSettings(k=k, margin=margin, select=select, threshold=threshold)
    _check_shapes(x, y)
    sides = [_stored(array, name) for name, array in (("x", x), ("y", y))]
    kept = [np.unique(first_rows(side)) if distinct else np.arange(len(side)) for side in sides]
    src, tgt = (s if len(rows) == len(s) else s[rows] for s, rows in zip(sides, kept, strict=True))
    forward, backward = search_arrays(src, tgt, k, backend=backend, threads=threads)
    pairs = select_arrays(_nearest(forward), _nearest(backward), settings)
    return pa.table(
        {
            "src_row": kept[0][pairs.src],
            "tgt_row": kept[1][pairs.tgt],
            "similarity": pairs.similarity,
            "margin_score": pairs.margin_score,
            "mutual": pairs.mutual,
        }
    )


def _nearest(found: TopK) -> Nearest:
    return Nearest(index=found.row, similarity=found.similarity)


def _check_shapes(x: Array, y: Array) -> None:
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


def _stored(array: Array, name: str) -> Stored:
    """As vectors are stored; rows without a direction are named."""
    stored, bad = as_stored(array)
    rows = np.flatnonzero(bad).tolist()
    if rows:
        more = f" and {len(rows) - _SHOWN_ROWS} more" if len(rows) > _SHOWN_ROWS else ""
        raise InputError(
            f"mine_pairs: {name} must hold no NaN, infinite or zero rows, but rows "
            f"{rows[:_SHOWN_ROWS]}{more} are; drop them first"
        )
    return stored
