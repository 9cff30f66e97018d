"""Exact top-k from nominees: re-scored, certified, and scanned again where the certificate fails.

Q queries, N index rows, D dimensions, P nominees and K neighbours a query.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mining.knn.backend import Nominator, Nominees
from mining.knn.keys import best, keys, rows, similarities
from mining.knn.rescore import exact_similarity
from mining.threads import full_products

_SCAN_QUERIES, _SCAN_ROWS = 512, 4096  # block of the exact scan: 16 MiB of float64


@dataclass(frozen=True, kw_only=True)
class TopK:
    """The K = min(k, N) most similar index rows of each query; equal similarities by lower row.

    Attributes:
        similarity: float32 [Q, K], nearest first.
        row: int64 [Q, K].
        rescanned: queries that the certificate did not cover.
    """

    similarity: NDArray[np.float32]
    row: NDArray[np.int64]
    rescanned: int = 0


def search_both(
    x: NDArray[np.float16],
    y: NDArray[np.float16],
    k: tuple[int, int],
    backend: Nominator,
    threads: int,
) -> tuple[TopK, TopK]:
    """Nearest rows of ``y`` for every row of ``x``, and the other way round.

    The backend nominates P >= K rows, and gives a bound of the similarity of all others; a query is
    certified when its exact K-th similarity is above that. What is left is scanned in full.

    Args:
        x: float16 [N, D], norms of about 1.
        y: float16 [M, D].
        k: neighbours wanted of a row of ``x``, and of ``y``.
        backend: nominates.
        threads: of the re-scoring.
    """
    forward, backward = (min(k[0], len(y)), min(k[1], len(x)))
    if not forward or not backward:
        return _none(len(x), forward), _none(len(y), backward)
    with full_products():
        nominees = backend.nominate(x, y, forward, backward)
    return (
        _certified(x, y, forward, nominees[0], threads),
        _certified(y, x, backward, nominees[1], threads),
    )


def _none(queries: int, k: int) -> TopK:
    shape = (queries, k)
    return TopK(similarity=np.empty(shape, np.float32), row=np.empty(shape, np.int64))


def _certified(
    queries: NDArray[np.float16],
    index: NDArray[np.float16],
    k: int,
    nominees: Nominees,
    threads: int,
) -> TopK:
    exact = nominees.similarity
    if exact is None:
        exact = exact_similarity(queries, index, nominees.row, threads)
    found = best(keys(exact, nominees.row), k)
    # rounded as similarities are: another row may be that similar, and lower
    doubtful = np.flatnonzero(similarities(found[:, -1]) <= nominees.others.astype(np.float32))
    for start in range(0, len(doubtful), _SCAN_QUERIES):
        some = doubtful[start : start + _SCAN_QUERIES]
        found[some] = _scan(queries[some], index, k)
    return TopK(similarity=similarities(found), row=rows(found), rescanned=len(doubtful))


def _scan(queries: NDArray[np.float16], index: NDArray[np.float16], k: int) -> NDArray[np.int64]:
    """Keys of the k nearest of all index rows: int64 [Q, k], best first."""
    import torch

    wide = torch.from_numpy(np.array(queries)).to(torch.float64)
    held = np.empty((len(queries), 0), dtype=np.int64)
    for start in range(0, len(index), _SCAN_ROWS):
        block = torch.from_numpy(np.array(index[start : start + _SCAN_ROWS])).to(torch.float64)
        exact = torch.mm(wide, block.T).to(torch.float32).numpy()
        row = np.arange(start, start + len(block), dtype=np.int64)
        held = best(np.concatenate([held, keys(exact, row)], axis=1), k)
    return held
