"""Pairs from two arrays of vectors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mining.contract.errors import InputError
from mining.contract.vectors import as_stored
from mining.knn import (
    AUTO,
    TopK,
    approximate_arrays,
    choose_backend,
    first_rows,
    measure_recall,
    search_arrays,
)
from mining.score import Nearest, ScoreSettings, select_arrays
from mining.score.settings import Margin, Select

Array = NDArray[np.floating[Any]]
Stored = NDArray[np.float16]

_SHOWN_ROWS = 10  # bad rows that an error names


@dataclass(frozen=True, kw_only=True)
class Search:
    """How neighbours are found.

    Attributes:
        backend: of exact search: a key of :data:`mining.knn.BACKENDS`, or ``auto``. Decides time, never
            the result.
        threads: None: one a core.
        index: ``exact``, or one of :data:`mining.knn.INDEXES`: faster on millions of rows, and misses
            some neighbours.
        probes: lists of an approximate index that a query looks into; 128 in stopes.
    """

    backend: str = AUTO
    threads: int | None = None
    index: str = "exact"
    probes: int = 128


def mine_pairs(
    x: Array,
    y: Array,
    *,
    k: int = 4,
    margin: Margin = "ratio",
    select: Select = "max",
    threshold: float | None = None,
    distinct: bool = True,
    search: Search | None = None,
    say: Callable[[str], None] | None = None,
) -> pa.Table:
    """Mine pairs of rows of ``x`` and rows of ``y``.

    The rows are compared as a run compares them: L2-normalised, rounded to float16, by exact
    similarity. Equal scores break by row number. Memory: 2 bytes a number of both arrays (none for
    float16 arrays of unit rows, which are read where they are), some 50 (k + 2) a row, and buffers of
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
        search: how neighbours are found; None: exactly, by the backend that suits.
        say: takes lines for people: which backend and why, what an approximate index missed.

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
    kept = [_distinct(side) if distinct else np.arange(len(side)) for side in sides]
    src, tgt = (s if len(rows) == len(s) else s[rows] for s, rows in zip(sides, kept, strict=True))
    forward, backward = _search(src, tgt, k, search or Search(), say or (lambda line: None))
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


def _search(
    x: Stored, y: Stored, k: int, how: Search, say: Callable[[str], None]
) -> tuple[TopK, TopK]:
    """Neighbours both ways; says what people should know."""
    if how.index != "exact":
        found = approximate_arrays(x, y, k, index=how.index, probes=how.probes, threads=how.threads)
        seen = measure_recall(x, y, found, threads=how.threads)
        say(f"k-NN by {how.index}, {how.probes} lists a query: {seen}")
        return found
    backend = how.backend
    if backend == AUTO:
        choice = choose_backend(len(x), len(y), x.shape[1])
        backend = choice.backend
        say(f"k-NN by {backend}: {choice.reason}")
    found = search_arrays(x, y, k, backend=backend, threads=how.threads)
    if again := sum(one.rescanned for one in found):
        say(
            f"k-NN: {again} of {len(x) + len(y)} rows could not be told apart and were searched again"
        )
    return found


def _distinct(side: Stored) -> NDArray[np.int64]:
    """Rows that are the first to hold their vector."""
    return np.flatnonzero(first_rows(side) == np.arange(len(side)))


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
