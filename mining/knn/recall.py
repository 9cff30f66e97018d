"""What an approximate search misses, measured on sampled queries.

Q queries, N and M rows, D dimensions, K neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mining.knn.backend import Stored
from mining.knn.backends import nominator, thread_count
from mining.knn.exact import TopK, search_both


@dataclass(frozen=True, kw_only=True)
class Recall:
    """What an approximate search found of the truth; counts, so that those of many searches add up.

    Attributes:
        queries: of one side, that were searched exactly.
        neighbors: their K nearest.
        found: of those.
        best_found: queries whose best candidate by ratio margin is the same, with exact means of both
            its rows: what mining would have paired.
    """

    queries: int
    neighbors: int
    found: int
    best_found: int

    @property
    def recall(self) -> float:
        """Share of the nearest that were found; 1 of none."""
        return self.found / self.neighbors if self.neighbors else 1.0

    @property
    def best_kept(self) -> float:
        """Share of queries whose best candidate is the same; 1 of none."""
        return self.best_found / self.queries if self.queries else 1.0

    def __str__(self) -> str:
        return (
            f"of {self.queries} sampled rows it found {self.recall:.2%} of the nearest and "
            f"{self.best_kept:.2%} of the best candidates"
        )


def measure_recall(
    x: Stored,
    y: Stored,
    found: tuple[TopK, TopK],
    *,
    sample: int = 500,
    threads: int | None = None,
) -> Recall:
    """Hold some rows of ``x``, evenly spread, against the truth.

    Args:
        x: float16 [N, D].
        y: float16 [M, D].
        found: what :func:`mining.knn.approximate_arrays` found.
        sample: rows of ``x``.
        threads: of the exact search.
    """
    if not len(x) or not len(y):
        return Recall(queries=0, neighbors=0, found=0, best_found=0)
    queries = np.unique(np.linspace(0, len(x) - 1, min(sample, len(x))).astype(np.int64))
    k = found[0].row.shape[1]
    exact = _exact(x[queries], y, k, threads)
    hits = [
        len(np.intersect1d(a, b)) for a, b in zip(exact.row, found[0].row[queries], strict=True)
    ]
    targets, place = np.unique(exact.row, return_inverse=True)
    means = _exact(y[targets], x, found[1].row.shape[1], threads).similarity.mean(axis=1)
    true = _best(exact.row, exact.similarity, means[place.reshape(exact.row.shape)])
    own = found[0].row[queries], found[0].similarity[queries]
    approximate = _best(*own, found[1].similarity.mean(axis=1)[own[0]])
    return Recall(
        queries=len(queries),
        neighbors=exact.row.size,
        found=sum(hits),
        best_found=int(np.count_nonzero(true == approximate)),
    )


def _exact(queries: Stored, index: Stored, k: int, threads: int | None) -> TopK:
    kernel = nominator("exact", threads, len(queries), len(index), queries.shape[1])
    return search_both(queries, index, (k, 1), kernel, thread_count(threads))[0]


def _best(
    row: NDArray[np.int64], similarity: NDArray[np.float32], means: NDArray[np.float32]
) -> NDArray[np.int64]:
    """The candidate of the highest ratio margin of each query: int64 [Q]."""
    own = similarity.mean(axis=1, keepdims=True)
    margin = similarity / np.maximum((own + means) / 2.0, 1e-6)
    return np.asarray(row[np.arange(len(row)), margin.argmax(axis=1)])
