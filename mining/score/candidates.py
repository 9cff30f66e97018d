"""Candidates of a language pair: the union of both directions' neighbours, with margin scores.

S sources, T targets, C candidates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mining.contract.errors import InputError
from mining.contract.schemas import NEIGHBOR, checked
from mining.score.one_to_one import is_first
from mining.score.settings import Margin, ScoreSettings
from mining.score.spans import Spans, apart

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

CANDIDATE = pa.schema(
    [
        pa.field("src_segment_id", pa.string(), nullable=False),
        pa.field("tgt_segment_id", pa.string(), nullable=False),
        pa.field("similarity", pa.float32(), nullable=False),
        pa.field("margin_score", pa.float32(), nullable=False),
        pa.field("src_best", pa.bool_(), nullable=False),  # the source's best candidate
        pa.field("tgt_best", pa.bool_(), nullable=False),  # the target's best candidate
        pa.field("mutual", pa.bool_(), nullable=False),  # both
        pa.field("forward_rank", pa.int16()),  # null: not among the source's k nearest
        pa.field("backward_rank", pa.int16()),
        pa.field("src_mean_similarity", pa.float32(), nullable=False),
        pa.field("tgt_mean_similarity", pa.float32(), nullable=False),
    ]
)


@dataclass(frozen=True, kw_only=True)
class _Neighbors:
    """A NEIGHBOR table with ids as codes, in the order of the ids."""

    query: Ints
    index: Ints
    similarity: NDArray[np.float32]
    rank: NDArray[np.int16]


@dataclass(frozen=True, kw_only=True)
class _Union:
    """Candidates sorted by (source, target); rank 0 where a direction did not find the pair."""

    src: Ints
    tgt: Ints
    similarity: NDArray[np.float32]
    forward_rank: NDArray[np.int16]
    backward_rank: NDArray[np.int16]


def score_candidates(
    forward: pa.Table,
    backward: pa.Table,
    settings: ScoreSettings,
    src_spans: Spans | None = None,
    tgt_spans: Spans | None = None,
) -> pa.Table:
    """Margin scores of every pair that is a neighbour in at least one direction.

    score = margin(a, b), b = (mean similarity of the source's k nearest targets + mean similarity
    of the target's k nearest sources) / 2 (Artetxe and Schwenk 2019, equation 2). A row with fewer
    than k neighbours is averaged over those it has. Computed in float64 from the stored float32
    similarities, summed by rank, rounded to float32 once.

    Where speech is searched, the k nearest are mostly versions of one stretch, all as similar, which
    would lift the mean and hide a right pair. With the spans of that side, its neighbours up to
    ``speech_k`` are candidates, and the mean is over the k best ranked that do not overlap.

    Args:
        forward: NEIGHBOR rows, sources search targets, in any order.
        backward: NEIGHBOR rows, targets search sources.
        settings: k, speech_k, margin and best are used here.
        src_spans: of all sources, if they are speech; None: they do not overlap.
        tgt_spans: of all targets.

    Returns:
        CANDIDATE table, best first: by margin_score and similarity, both descending, then by
        src_segment_id and tgt_segment_id.

    Raises:
        InputError: if a pair stands twice in one direction, or a row was found as a neighbour but
            has none of its own, or has no span where spans are given.
        SchemaError: if a table has not the NEIGHBOR schema.
    """
    forward = _within(
        checked(forward, NEIGHBOR, "score: forward neighbours"),
        settings.neighbors(of_speech=tgt_spans is not None),
    )
    backward = _within(
        checked(backward, NEIGHBOR, "score: backward neighbours"),
        settings.neighbors(of_speech=src_spans is not None),
    )
    src_ids, fwd_src, bwd_src = _codes(forward["query_id"], backward["index_id"])
    tgt_ids, bwd_tgt, fwd_tgt = _codes(backward["query_id"], forward["index_id"])
    fwd = _neighbors(forward, fwd_src, fwd_tgt)
    bwd = _neighbors(backward, bwd_tgt, bwd_src)
    src_mean = _means(_apart(fwd, tgt_ids, tgt_spans, settings.k), src_ids)
    tgt_mean = _means(_apart(bwd, src_ids, src_spans, settings.k), tgt_ids)

    union = _union(fwd, bwd, len(tgt_ids))
    average = (src_mean[union.src] + tgt_mean[union.tgt]) / 2.0
    score = margin_score(union.similarity.astype(np.float64), average, settings.margin)
    score32 = score.astype(np.float32)
    order = _best_first(score32, union.similarity)
    src, tgt = union.src[order], union.tgt[order]
    forward_rank, backward_rank = union.forward_rank[order], union.backward_rank[order]
    src_best = _best(src, forward_rank, settings)
    tgt_best = _best(tgt, backward_rank, settings)
    return pa.table(
        [
            src_ids.take(pa.array(src)),
            tgt_ids.take(pa.array(tgt)),
            pa.array(union.similarity[order]),
            pa.array(score32[order]),
            pa.array(src_best),
            pa.array(tgt_best),
            pa.array(src_best & tgt_best),
            pa.array(forward_rank, mask=forward_rank == 0),
            pa.array(backward_rank, mask=backward_rank == 0),
            pa.array(src_mean[src].astype(np.float32)),
            pa.array(tgt_mean[tgt].astype(np.float32)),
        ],
        schema=CANDIDATE,
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


def _best_first(score: NDArray[np.float32], similarity: NDArray[np.float32]) -> Ints:
    """Order of rows by score, then similarity, both descending, then as they stand.

    Both go into one int64, which sorts several times faster than two keys.
    """
    keys = (_ordinal(score) << 32) + _ordinal(similarity)
    return np.argsort(~keys, kind="stable")


def _ordinal(values: NDArray[np.float32]) -> Ints:
    """Integers from -2^31 to 2^31 - 1 in the order of the floats."""
    bits = (values + np.float32(0.0)).view(np.int32)  # -0.0 becomes 0.0
    ordered = bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))  # negative floats grow as bits fall
    return ordered.astype(np.int64)


def _within(table: pa.Table, k: int) -> pa.Table:
    keep = pc.less_equal(table["rank"], k)
    return table if pc.all(keep, min_count=0).as_py() else table.filter(keep)


def _codes(queries: pa.ChunkedArray, found: pa.ChunkedArray) -> tuple[pa.Array, Ints, Ints]:
    """Distinct ids in ascending order, and both columns as positions in them."""
    joined = pa.chunked_array([*queries.chunks, *found.chunks], pa.string())
    encoded = joined.dictionary_encode().unify_dictionaries()
    if not encoded.num_chunks:
        nothing = np.empty(0, np.int64)
        return pa.array([], pa.string()), nothing, nothing
    names = encoded.chunk(0).dictionary
    order = pc.sort_indices(names)
    place = np.empty(len(names), dtype=np.int64)
    place[order.to_numpy()] = np.arange(len(names))
    codes = place[np.concatenate([chunk.indices.to_numpy() for chunk in encoded.chunks])]
    return names.take(order), codes[: len(queries)], codes[len(queries) :]


def _neighbors(table: pa.Table, query: Ints, index: Ints) -> _Neighbors:
    return _Neighbors(
        query=query,
        index=index,
        similarity=table["similarity"].to_numpy(),
        rank=table["rank"].to_numpy(),
    )


def _apart(neighbors: _Neighbors, ids: pa.Array, spans: Spans | None, k: int) -> _Neighbors:
    """Of the neighbours of every query the k best that do not overlap; ``ids`` of those found."""
    if spans is None:
        return neighbors
    order = np.lexsort((neighbors.rank, neighbors.query))
    rows = order[apart(neighbors.query[order], neighbors.index[order], spans.take(ids), k)]
    return _Neighbors(
        query=neighbors.query[rows],
        index=neighbors.index[rows],
        similarity=neighbors.similarity[rows],
        rank=neighbors.rank[rows],
    )


def _means(neighbors: _Neighbors, ids: pa.Array) -> Floats:
    """Mean similarity of every id to its own neighbours: float64 [S] or [T], added up by rank."""
    by_rank = np.argsort(neighbors.rank, kind="stable")
    query = neighbors.query[by_rank]
    total = np.bincount(
        query, weights=neighbors.similarity[by_rank].astype(np.float64), minlength=len(ids)
    )
    count = np.bincount(query, minlength=len(ids))
    if not count.all():
        lone = ids[int(np.flatnonzero(count == 0)[0])].as_py()
        raise InputError(
            f"score: every row must have neighbours of its own, but {lone!r} only stands among "
            "those of others; pass all rows of both directions"
        )
    return total / count


def _union(fwd: _Neighbors, bwd: _Neighbors, targets: int) -> _Union:
    """Pairs of both directions, each once."""
    keys = np.concatenate([fwd.query * targets + fwd.index, bwd.index * targets + bwd.query])
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    first = np.ones(len(keys), dtype=bool)
    first[1:] = keys[1:] != keys[:-1]
    place = np.empty(len(keys), dtype=np.int64)
    place[order] = np.cumsum(first) - 1  # neighbour row -> candidate row
    pairs = keys[first]
    src, tgt = np.divmod(pairs, max(targets, 1))
    similarity = np.empty(len(pairs), dtype=np.float32)
    ranks = []
    split = len(fwd.query)
    for side, at in ((fwd, place[:split]), (bwd, place[split:])):
        rank = np.zeros(len(pairs), dtype=np.int16)
        rank[at] = side.rank
        similarity[at] = side.similarity
        if np.count_nonzero(rank) != len(at):
            raise InputError(
                "score: a pair must stand once in a direction, but some stand twice; merge the "
                "neighbours of all tiles first"
            )
        ranks.append(rank)
    return _Union(
        src=src, tgt=tgt, similarity=similarity, forward_rank=ranks[0], backward_rank=ranks[1]
    )


def _best(row: Ints, rank: NDArray[np.int16], settings: ScoreSettings) -> Bools:
    """Which candidates, best first, are their row's best among its own k nearest."""
    if settings.best == "nearest":
        return np.asarray(rank == 1, dtype=np.bool_)
    own = rank > 0
    best = np.zeros(len(row), dtype=bool)
    best[own] = is_first(row[own])
    return best
