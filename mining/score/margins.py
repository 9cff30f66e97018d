"""The arithmetic of candidates: union of both directions, means, margin, order. Rows are codes.

A code is a small integer that stands for a row, in the order of the rows' ids, so that what breaks a
tie by code breaks it by id. S sources, T targets, N neighbours, C candidates.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from mining.contract.errors import CapacityError, InputError
from mining.score.one_to_one import is_first
from mining.score.settings import Margin, ScoreSettings

Ints = NDArray[np.int64]
Ranks = NDArray[np.int16]
Singles = NDArray[np.float32]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_LOW = 0xFFFFFFFF
_MOST_ROWS = 2**31 - 2  # two positions share an int64


@dataclass(frozen=True, kw_only=True)
class Neighbors:
    """Neighbours of one direction, in any order of rows.

    Attributes:
        query: int64 [N], codes of the rows that search.
        index: int64 [N], codes of the rows found.
        similarity: float32 [N].
        rank: int16 [N], 1 is the nearest.
    """

    query: Ints
    index: Ints
    similarity: Singles
    rank: Ranks

    def take(self, rows: Ints) -> Neighbors:
        """Some of the rows."""
        return Neighbors(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


@dataclass(frozen=True, kw_only=True)
class Scored:
    """Candidates with their scores.

    Attributes:
        src: int64 [C], codes of the sources.
        tgt: int64 [C], codes of the targets.
        similarity: float32 [C].
        margin_score: float32 [C].
        src_best: bool [C], whether it is its source's best candidate.
        tgt_best: bool [C], whether it is its target's.
        forward_rank: int16 [C], 0: not among the source's k nearest.
        backward_rank: int16 [C], 0: not among the target's k nearest.
        src_mean: float32 [C], mean similarity of the source to its k nearest.
        tgt_mean: float32 [C], of the target.
    """

    src: Ints
    tgt: Ints
    similarity: Singles
    margin_score: Singles
    src_best: Bools
    tgt_best: Bools
    forward_rank: Ranks
    backward_rank: Ranks
    src_mean: Singles
    tgt_mean: Singles

    def __len__(self) -> int:
        return len(self.src)

    @property
    def mutual(self) -> Bools:
        """Which are the best of both their rows: bool [C]."""
        return np.asarray(self.src_best & self.tgt_best, dtype=np.bool_)

    def take(self, rows: Ints) -> Scored:
        """Some of the candidates."""
        return Scored(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


@dataclass(frozen=True, kw_only=True)
class _Union:
    """Candidates sorted by (source, target); rank 0 where a direction did not find the pair."""

    src: Ints
    tgt: Ints
    similarity: Singles
    forward_rank: Ranks
    backward_rank: Ranks


def scored(
    directions: tuple[Neighbors, Neighbors],
    averages: tuple[Floats, Floats],
    settings: ScoreSettings,
    *,
    floor: float | None,
) -> Scored:
    """Score the union of both directions' neighbours.

    Args:
        directions: forward (queries are sources) and backward (queries are targets).
        averages: float64 [S] and [T], mean similarity of every row to its own neighbours.
        settings: margin and best are used here.
        floor: candidates of lower margin score are left out, unsorted; None: none are. What is best
            is decided as if they were there: a row's best candidate is left out last.

    Returns:
        Candidates, best first: by margin_score and similarity, both descending, then by codes.

    Raises:
        InputError: if a pair stands twice in one direction.
        CapacityError: if a direction has more neighbours than can be numbered.
    """
    union = _union(*directions, (len(averages[0]), len(averages[1])))
    src_mean, tgt_mean = averages
    average = src_mean[union.src]
    average += tgt_mean[union.tgt]
    average /= 2.0
    wide = margin_score(union.similarity.astype(np.float64), average, settings.margin)
    score = wide.astype(np.float32)
    rows = None if floor is None else np.flatnonzero(score.astype(np.float64) >= floor)
    similarity = union.similarity if rows is None else union.similarity[rows]
    order = best_first(score if rows is None else score[rows], similarity)
    at = order if rows is None else rows[order]
    src, tgt = union.src[at], union.tgt[at]
    forward_rank, backward_rank = union.forward_rank[at], union.backward_rank[at]
    return Scored(
        src=src,
        tgt=tgt,
        similarity=similarity[order],
        margin_score=score[at],
        src_best=_best(src, forward_rank, settings),
        tgt_best=_best(tgt, backward_rank, settings),
        forward_rank=forward_rank,
        backward_rank=backward_rank,
        src_mean=src_mean.astype(np.float32)[src],
        tgt_mean=tgt_mean.astype(np.float32)[tgt],
    )


def margin_score(similarity: Floats, average: Floats, margin: Margin) -> Floats:
    """Margin of similarities against neighbourhood averages, float64 [C] each.

    A ratio to an average of zero or less would rank the least similar first, so it scores 0.
    """
    if margin == "absolute":
        return similarity
    if margin == "distance":
        return similarity - average
    ratio = np.zeros_like(similarity)
    np.divide(similarity, average, out=ratio, where=average > 0.0)
    return ratio


def means(neighbors: Neighbors, rows: int) -> Floats:
    """Mean similarity of every query to its neighbours, added up by rank: float64 [rows].

    Args:
        neighbors: at least one a query, unless there are none at all.
        rows: how many queries there are.
    """
    query, similarity = neighbors.query, neighbors.similarity
    changes = np.count_nonzero(query[1:] != query[:-1]) + 1
    rising = neighbors.rank[1:] > neighbors.rank[:-1]
    if changes > rows or not np.all(rising | (query[1:] != query[:-1])):  # not yet in that order
        by_rank = np.argsort(neighbors.rank, kind="stable")
        query, similarity = query[by_rank], similarity[by_rank]
    total = np.bincount(query, weights=similarity.astype(np.float64), minlength=rows)
    count = np.bincount(query, minlength=rows)
    return np.asarray(total / np.maximum(count, 1), dtype=np.float64)


def _union(fwd: Neighbors, bwd: Neighbors, shape: tuple[int, int]) -> _Union:
    """Pairs of both directions, each once.

    Each direction is a sparse matrix [S, T] of positions of neighbours, counted from 1, the backward
    ones in the upper half of the integer; the sum of both holds both positions of every pair.
    """
    if not len(fwd.query) and not len(bwd.query):
        nothing = np.empty(0, np.int64)
        return _Union(
            src=nothing,
            tgt=nothing,
            similarity=np.empty(0, np.float32),
            forward_rank=np.empty(0, np.int16),
            backward_rank=np.empty(0, np.int16),
        )
    both = _positions(fwd.query, fwd.index, shape, 0) + _positions(bwd.index, bwd.query, shape, 32)
    forward = (both.data & _LOW) - 1
    backward = (both.data >> 32) - 1
    found = backward >= 0
    similarity = fwd.similarity[forward]
    similarity[found] = bwd.similarity[backward[found]]
    ranks = []
    for side, at in ((fwd, forward), (bwd, backward)):
        rank = side.rank[at]
        rank[at < 0] = 0
        ranks.append(rank)
    return _Union(
        src=np.repeat(np.arange(shape[0]), np.diff(both.indptr)),
        tgt=both.indices.astype(np.int64),
        similarity=similarity,
        forward_rank=ranks[0],
        backward_rank=ranks[1],
    )


def _positions(src: Ints, tgt: Ints, shape: tuple[int, int], shift: int) -> csr_array:
    """1, 2, 3... for each neighbour, times 2^shift, at its source and target; sorted by both."""
    if len(src) > _MOST_ROWS:
        raise CapacityError(
            f"score: a direction must have at most {_MOST_ROWS} neighbours, but has {len(src)}; lower "
            "k, or mine the language pair in parts"
        )
    values = np.arange(1, len(src) + 1, dtype=np.int64) << shift
    kind = np.int32 if max(*shape, len(src)) <= np.iinfo(np.int32).max else np.int64
    tgt = tgt.astype(kind)
    if np.all(src[1:] >= src[:-1]):  # as a search leaves them: rows are in their places
        ends = np.cumsum(np.bincount(src, minlength=shape[0]))
        found = csr_array((values, tgt, np.append(0, ends).astype(kind)), shape=shape)
        found.sum_duplicates()
    else:
        found = coo_array((values, (src.astype(kind), tgt)), shape=shape).tocsr()
    if found.nnz != len(src):
        raise InputError(
            "score: a pair must stand once in a direction, but some stand twice; merge the "
            "neighbours of all tiles first"
        )
    return found


def best_first(score: Singles, similarity: Singles) -> Ints:
    """Order of rows by score, then similarity, both descending, then as they stand: int64 [C].

    Score and position go into one int64: sorting values is ten times as fast as sorting positions by
    value. Similarity is looked at where scores are equal.
    """
    keys = (~_ordinal(score)).astype(np.int64) << 32
    keys |= np.arange(len(score))
    keys.sort()
    order = keys & _LOW
    keys >>= 32
    same = keys[1:] == keys[:-1]
    tied = np.zeros(len(score), dtype=bool)
    tied[1:] = same
    tied[:-1] |= same
    rows = np.flatnonzero(tied)
    if rows.size:
        some = order[rows]
        both = (keys[rows] << 32) + ((~_ordinal(similarity[some])).astype(np.int64) + 2**31)
        order[rows] = some[np.argsort(both, kind="stable")]  # fast, since nearly in order
    return order


def _ordinal(values: Singles) -> NDArray[np.int32]:
    """Integers from -2^31 to 2^31 - 1 in the order of the floats."""
    bits = (values + np.float32(0.0)).view(np.int32)  # -0.0 becomes 0.0
    return np.asarray(bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF)), dtype=np.int32)


def _best(row: Ints, rank: Ranks, settings: ScoreSettings) -> Bools:
    """Which candidates, best first, are their row's best among its own k nearest."""
    if settings.best == "nearest":
        return np.asarray(rank == 1, dtype=np.bool_)
    own = rank > 0
    best = np.zeros(len(row), dtype=bool)
    best[own] = is_first(row[own])
    return best
