"""Exact retrieval of gold targets by gold sources: ranks and xsim, in bounded memory.

Shapes: Q queries, N pool, D dim, K neighbours. Similarities are float64 products of float16
vectors, which are exact, so that neither chunks nor row order move a figure. Every tie counts
against.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_TILE_VALUES = 1 << 23  # similarities held at once: 64 MiB
_CHUNK_ROWS = 4096


@dataclass(frozen=True, kw_only=True, eq=False)
class Scan:
    """What one pass of Q queries over a pool finds.

    Attributes:
        similarity: float64 [Q, K], the largest similarities, falling.
        index: int64 [Q, K], rows of the pool.
        at_least: int64 [Q], rows of the pool whose similarity is at least the query's floor.
    """

    similarity: NDArray[np.float64]
    index: NDArray[np.int64]
    at_least: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Retrieval:
    """What became of Q queries.

    Attributes:
        rank: float64 [Q], place of the nearest right target, from 1; inf if the pool holds none.
        error: bool [Q], whether the best margin among the k nearest is not that of a right target.
    """

    rank: NDArray[np.float64]
    error: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class Pools:
    """Both sides of a language pair with their meanings.

    Attributes:
        src_vectors: float [M, D], L2-normalised, all sources; ``src_gold`` int64 [M], -1 for none.
        tgt_vectors: float [N, D], L2-normalised, all targets; ``tgt_gold`` int64 [N], -1 for none.
    """

    src_vectors: NDArray[np.floating]
    src_gold: NDArray[np.int64]
    tgt_vectors: NDArray[np.floating]
    tgt_gold: NDArray[np.int64]


def retrieve(pools: Pools, k: int = 4, margin: str = "ratio") -> Retrieval:
    """Search every source that has a meaning among all targets.

    xsim takes the best margin among the k nearest targets, where a target's own neighbours are all
    sources (Artetxe and Schwenk 2019, section 3; k = 4 and forward in LASER's xsim).

    Args:
        pools: both sides.
        k: neighbours; at most the size of a side is used.
        margin: ratio, distance or absolute.
    """
    rows = np.flatnonzero(pools.src_gold >= 0)
    queries, wanted = pools.src_vectors[rows], pools.src_gold[rows]
    query, target = right_targets(wanted, pools.tgt_gold)
    similarity = _paired_similarity(queries, pools.tgt_vectors, query, target)
    best = np.full(len(rows), -np.inf)
    np.maximum.at(best, query, similarity)
    scan = nearest(queries, pools.tgt_vectors, k, floor=best)
    ties = np.bincount(query[similarity == best[query]], minlength=len(rows))
    rank = np.where(np.isfinite(best), scan.at_least - ties + 1.0, np.inf)
    score = _margins(scan, pools, k, margin)
    right = pools.tgt_gold[scan.index] == wanted[:, None]
    best_right = np.where(right, score, -np.inf).max(axis=1, initial=-np.inf)
    best_wrong = np.where(right, -np.inf, score).max(axis=1, initial=-np.inf)
    return Retrieval(rank=rank, error=~(best_right > best_wrong))


def nearest(
    queries: NDArray[np.floating],
    pool: NDArray[np.floating],
    k: int,
    floor: NDArray[np.float64] | None = None,
) -> Scan:
    """The k nearest of a pool and, per query, how many are at least as near as its floor."""
    k = min(k, len(pool))
    found = Scan(
        similarity=np.full((len(queries), k), -np.inf),
        index=np.zeros((len(queries), k), dtype=np.int64),
        at_least=np.zeros(len(queries), dtype=np.int64),
    )
    step = max(1, _TILE_VALUES // _CHUNK_ROWS)
    for start in range(0, len(pool), _CHUNK_ROWS):
        tile_t = _exact(pool[start : start + _CHUNK_ROWS]).T
        for first in range(0, len(queries), step):
            rows = slice(first, first + step)
            similarity = _exact(queries[rows]) @ tile_t
            if floor is not None:
                found.at_least[rows] += (similarity >= floor[rows, None]).sum(axis=1)
            _merge(found, rows, similarity, start)
    return found


def right_targets(
    wanted: NDArray[np.int64], tgt_gold: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All (query, target) rows of equal meaning: two int64 arrays of one length."""
    order = np.argsort(tgt_gold, kind="stable")
    first = np.searchsorted(tgt_gold[order], wanted, side="left")
    counts = np.searchsorted(tgt_gold[order], wanted, side="right") - first
    at = np.repeat(first - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
    return np.repeat(np.arange(len(wanted)), counts), order[at]


def _merge(found: Scan, rows: slice, similarity: NDArray[np.float64], start: int) -> None:
    """Merge one tile into the k nearest found so far, in place."""
    k = found.similarity.shape[1]
    if similarity.shape[1] > k:
        near = np.argpartition(-similarity, k - 1, axis=1)[:, :k]
    else:
        near = np.broadcast_to(np.arange(similarity.shape[1]), similarity.shape)
    values = np.hstack([found.similarity[rows], np.take_along_axis(similarity, near, axis=1)])
    index = np.hstack([found.index[rows], near + start])
    order = np.lexsort((index, -values), axis=1)[:, :k]
    found.similarity[rows] = np.take_along_axis(values, order, axis=1)
    found.index[rows] = np.take_along_axis(index, order, axis=1)


def _margins(scan: Scan, pools: Pools, k: int, margin: str) -> NDArray[np.float64]:
    """Margin of every query and each of its nearest: float64 [Q, K]."""
    if margin == "absolute" or not scan.similarity.size:
        return scan.similarity
    targets, inverse = np.unique(scan.index, return_inverse=True)
    back = nearest(pools.tgt_vectors[targets], pools.src_vectors, k).similarity.mean(axis=1)
    forward = scan.similarity.mean(axis=1, keepdims=True)
    mean = (forward + back[inverse].reshape(scan.index.shape)) / 2
    if margin == "distance":
        difference: NDArray[np.float64] = scan.similarity - mean
        return difference
    # A mean of zero or less has no ratio; such a pair scores 0, as in mining.score.
    ratio = np.zeros_like(scan.similarity)
    np.divide(scan.similarity, mean, out=ratio, where=mean > 0)
    return ratio


def _paired_similarity(
    queries: NDArray[np.floating],
    pool: NDArray[np.floating],
    query: NDArray[np.int64],
    target: NDArray[np.int64],
) -> NDArray[np.float64]:
    parts = [
        np.einsum("bd,bd->b", _exact(queries[query[rows]]), _exact(pool[target[rows]]))
        for start in range(0, len(query), _CHUNK_ROWS)
        for rows in (slice(start, start + _CHUNK_ROWS),)
    ]
    return np.concatenate([np.zeros(0), *parts])


def _exact(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    return vectors.astype(np.float16).astype(np.float64)
