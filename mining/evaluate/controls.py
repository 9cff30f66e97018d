"""Controls: what a figure would be if the encoder knew nothing but lengths, or nothing at all.

Both are mined and ranked in the way of the pairs they stand beside: best candidates both ways, one
to one, the threshold of best F1; but where speech overlaps, they may use a stretch of it twice. Where
there is speech, a third control keeps the vectors and the
pairs and deals the audio out to other segments: what is then still right is not owed to what was said.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mining.evaluate.bitext import Labelled, Score, best_score, pr_curve
from mining.evaluate.retrieval import right_targets


@dataclass(frozen=True, kw_only=True, eq=False)
class Lengths:
    """Both sides of a language pair by length and meaning.

    Attributes:
        src: float64 [M], log lengths of all sources; ``src_gold`` int64 [M], -1 for none.
        tgt: float64 [N], log lengths of all targets, shifted so that both sides have one median;
            ``tgt_gold`` int64 [N], -1 for none.
        golds: meanings to find.
    """

    src: NDArray[np.float64]
    src_gold: NDArray[np.int64]
    tgt: NDArray[np.float64]
    tgt_gold: NDArray[np.int64]
    golds: int


def log_lengths(
    src: NDArray[np.int64], tgt: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Log lengths of both sides; the targets' are shifted by the ratio of the medians."""
    source, target = np.log(np.maximum(src, 1)), np.log(np.maximum(tgt, 1))
    if len(source) and len(target):
        target += np.median(source) - np.median(target)
    return source, target


def length_pairs(lengths: Lengths, rng: np.random.Generator) -> Score:
    """Best F1 of pairs mined by length alone; equal lengths are told apart by chance."""
    if not len(lengths.src) or not len(lengths.tgt):
        return _best(lengths, np.zeros((0, 3)))
    forward = _nearest_length(lengths.src, lengths.tgt, rng)
    backward = _nearest_length(lengths.tgt, lengths.src, rng)
    src = np.concatenate([np.arange(len(lengths.src)), backward])
    tgt = np.concatenate([forward, np.arange(len(lengths.tgt))])
    score = -np.abs(lengths.src[src] - lengths.tgt[tgt])
    return _best(lengths, np.stack([src, tgt, score], axis=1))


def random_pairs(lengths: Lengths, rng: np.random.Generator) -> Score:
    """Best F1 of pairs mined by similarities that are pure chance."""
    m, n = len(lengths.src), len(lengths.tgt)
    if not m or not n:
        return _best(lengths, np.zeros((0, 3)))
    src = np.concatenate([np.arange(m), rng.integers(0, m, n)])
    tgt = np.concatenate([rng.integers(0, n, m), np.arange(n)])
    return _best(lengths, np.stack([src, tgt, rng.random(m + n)], axis=1))


def length_ranks(lengths: Lengths, rng: np.random.Generator) -> NDArray[np.float64]:
    """Rank of the right target by length for every source with a meaning: float64 [Q].

    Targets of equal closeness are ordered by chance.
    """
    rows = np.flatnonzero(lengths.src_gold >= 0)
    query, target = right_targets(lengths.src_gold[rows], lengths.tgt_gold)
    distance = np.full(len(rows), np.inf)
    np.minimum.at(distance, query, np.abs(lengths.src[rows][query] - lengths.tgt[target]))
    near = np.flatnonzero(np.isfinite(distance))
    ordered, centre, reach = np.sort(lengths.tgt), lengths.src[rows[near]], distance[near]
    slack = 1e-9  # the same two lengths, subtracted the other way round
    closer = _within(ordered, centre, reach - slack)
    tied = np.maximum(_within(ordered, centre, reach + slack) - closer, 1)
    rank = np.full(len(rows), np.inf)
    rank[near] = closer + 1 + rng.integers(0, tied)
    return rank


def random_ranks(lengths: Lengths, rng: np.random.Generator) -> NDArray[np.float64]:
    """Rank of the right target by chance for every source with a meaning: float64 [Q]."""
    wanted = lengths.src_gold[lengths.src_gold >= 0]
    query, _ = right_targets(wanted, lengths.tgt_gold)
    rank = np.full(len(wanted), np.inf)
    np.minimum.at(rank, query, rng.integers(1, max(len(lengths.tgt), 1) + 1, len(query)))
    return rank


def shuffled_rows(count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """For each row another that is given its vector, none twice: int64 [count].

    One cycle through all rows (Sattolo 1986), so that no row keeps its own.
    """
    cycle = rng.permutation(count)
    to = np.empty(count, dtype=np.int64)
    to[cycle] = np.roll(cycle, 1)
    return to


def _within(
    ordered: NDArray[np.float64], centre: NDArray[np.float64], reach: NDArray[np.float64]
) -> NDArray[np.int64]:
    """How many values lie within ``reach`` of each centre; none if it is negative."""
    count: NDArray[np.int64] = np.searchsorted(
        ordered, centre + reach, side="right"
    ) - np.searchsorted(ordered, centre - reach, side="left")
    return np.maximum(count, 0, out=count)


def _nearest_length(
    queries: NDArray[np.float64], pool: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """A row of the pool whose length is nearest to each query's, drawn among equals."""
    order = np.argsort(pool, kind="stable")
    values, first, counts = np.unique(pool[order], return_index=True, return_counts=True)
    right = np.clip(np.searchsorted(values, queries), 0, len(values) - 1)
    left = np.maximum(right - 1, 0)
    pick = np.where(np.abs(values[left] - queries) < np.abs(values[right] - queries), left, right)
    row: NDArray[np.int64] = order[first[pick] + rng.integers(0, counts[pick])]
    return row


def _best(lengths: Lengths, candidates: NDArray[np.float64]) -> Score:
    """One-to-one selection of candidates [C, (source row, target row, score)] and its best F1."""
    order = np.argsort(-candidates[:, 2], kind="stable")
    source = candidates[order, 0].astype(np.int64)
    target = candidates[order, 1].astype(np.int64)
    kept = _one_to_one(source, target)
    gold = lengths.src_gold[source[kept]]
    right = (gold >= 0) & (gold == lengths.tgt_gold[target[kept]])
    return best_score(
        pr_curve(
            Labelled(
                score=candidates[order[kept], 2],
                gold=np.where(right, gold, -1),
                source_gold=gold,
                golds=lengths.golds,
            )
        )
    )


def _one_to_one(source: NDArray[np.int64], target: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions that a greedy pass over sorted candidates keeps: no row of either side twice."""
    left, right, kept = set[int](), set[int](), []
    for place, (s, t) in enumerate(zip(source.tolist(), target.tolist(), strict=True)):
        if s not in left and t not in right:
            left.add(s)
            right.add(t)
            kept.append(place)
    return np.array(kept, dtype=np.int64)
