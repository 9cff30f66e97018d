"""Candidates of a language pair: the union of both directions' neighbours, with margin scores.

S sources, T targets, C candidates.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mining.contract.errors import InputError
from mining.contract.schemas import NEIGHBOR, checked
from mining.score.margins import Neighbors, Scored, means, scored
from mining.score.settings import ScoreSettings
from mining.score.spans import Spans, apart

Ints = NDArray[np.int64]

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
class Candidates:
    """Candidates as arrays, with the ids that their codes stand for.

    Attributes:
        src_ids: string [S], ids of the sources by code.
        tgt_ids: string [T].
        scored: C candidates, best first.
    """

    src_ids: pa.Array
    tgt_ids: pa.Array
    scored: Scored

    @classmethod
    def of(cls, table: pa.Table) -> Candidates:
        """Of a CANDIDATE table; codes are in no order."""
        src, src_ids = _encoded(table["src_segment_id"])
        tgt, tgt_ids = _encoded(table["tgt_segment_id"])
        ranks = (
            pc.fill_null(table[f"{side}_rank"], 0).to_numpy() for side in ("forward", "backward")
        )
        forward_rank, backward_rank = ranks
        return cls(
            src_ids=src_ids,
            tgt_ids=tgt_ids,
            scored=Scored(
                src=src,
                tgt=tgt,
                similarity=table["similarity"].to_numpy(),
                margin_score=table["margin_score"].to_numpy(),
                src_best=table["src_best"].to_numpy(),
                tgt_best=table["tgt_best"].to_numpy(),
                forward_rank=forward_rank,
                backward_rank=backward_rank,
                src_mean=table["src_mean_similarity"].to_numpy(),
                tgt_mean=table["tgt_mean_similarity"].to_numpy(),
            ),
        )

    def take(self, rows: Ints) -> Candidates:
        """Some of the candidates; the ids stay."""
        return replace(self, scored=self.scored.take(rows))

    def table(self) -> pa.Table:
        """The CANDIDATE table."""
        of = self.scored
        return pa.table(
            [
                self.src_ids.take(pa.array(of.src)),
                self.tgt_ids.take(pa.array(of.tgt)),
                pa.array(of.similarity),
                pa.array(of.margin_score),
                pa.array(of.src_best),
                pa.array(of.tgt_best),
                pa.array(of.mutual),
                pa.array(of.forward_rank, mask=of.forward_rank == 0),
                pa.array(of.backward_rank, mask=of.backward_rank == 0),
                pa.array(of.src_mean),
                pa.array(of.tgt_mean),
            ],
            schema=CANDIDATE,
        )


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
    return candidates_of(forward, backward, settings, src_spans, tgt_spans).table()


def candidates_of(
    forward: pa.Table,
    backward: pa.Table,
    settings: ScoreSettings,
    src_spans: Spans | None = None,
    tgt_spans: Spans | None = None,
) -> Candidates:
    """As :func:`score_candidates`, with no id written out for each candidate."""
    forward = _within(
        checked(forward, NEIGHBOR, "score: forward neighbours"),
        settings.neighbors(of_speech=tgt_spans is not None),
    )
    backward = _within(
        checked(backward, NEIGHBOR, "score: backward neighbours"),
        settings.neighbors(of_speech=src_spans is not None),
    )
    src_ids, fwd_src = _queries(forward["query_id"])
    tgt_ids, bwd_tgt = _queries(backward["query_id"])
    fwd = _neighbors(forward, fwd_src, _found(forward["index_id"], tgt_ids))
    bwd = _neighbors(backward, bwd_tgt, _found(backward["index_id"], src_ids))
    averages = (
        means(_apart(fwd, tgt_ids, tgt_spans, settings.k), len(src_ids)),
        means(_apart(bwd, src_ids, src_spans, settings.k), len(tgt_ids)),
    )
    return Candidates(
        src_ids=src_ids,
        tgt_ids=tgt_ids,
        scored=scored((fwd, bwd), averages, settings, floor=None),
    )


def _within(table: pa.Table, k: int) -> pa.Table:
    keep = pc.less_equal(table["rank"], k)
    return table if pc.all(keep, min_count=0).as_py() else table.filter(keep)


def _queries(column: pa.ChunkedArray) -> tuple[pa.Array, Ints]:
    """Distinct ids in ascending order, and the column as positions in them.

    Neighbours of a query mostly stand together, so that an id is looked at once a query.
    """
    heads, lengths = [], []
    for chunk in column.chunks:
        if not len(chunk):
            continue
        new = np.ones(len(chunk), dtype=bool)
        new[1:] = pc.not_equal(chunk[1:], chunk[:-1]).to_numpy(zero_copy_only=False)
        starts = np.flatnonzero(new)
        heads.append(chunk.take(pa.array(starts)))
        lengths.append(np.diff(np.append(starts, len(chunk))))
    names = pa.concat_arrays([pa.array([], pa.string()), *heads])
    codes = np.arange(len(names))
    if not _ascending(names):
        codes, names = _encoded(pa.chunked_array([names]))
        order = pc.sort_indices(names)
        place = np.empty(len(names), dtype=np.int64)
        place[order.to_numpy()] = np.arange(len(names))
        codes, names = place[codes], names.take(order)
    return names, np.repeat(codes, np.concatenate([np.empty(0, np.int64), *lengths]))


def _ascending(names: pa.Array) -> bool:
    return bool(pc.all(pc.greater(names[1:], names[:-1]), min_count=0).as_py())


def _found(column: pa.ChunkedArray, names: pa.Array) -> Ints:
    """The ids that were found, as positions in ``names``.

    Raises:
        InputError: if one is not there.
    """
    places = pc.index_in(column, value_set=names)
    if places.null_count:
        lone = column.filter(pc.is_null(places))[0].as_py()
        raise InputError(
            f"score: every row must have neighbours of its own, but {lone!r} only stands among "
            "those of others; pass all rows of both directions"
        )
    return np.asarray(places.to_numpy(), dtype=np.int64)


def _encoded(ids: pa.ChunkedArray) -> tuple[Ints, pa.Array]:
    """A code for each distinct id, int64 [N], and the ids these stand for, as they come."""
    encoded = ids.dictionary_encode().unify_dictionaries()
    if not encoded.num_chunks:
        return np.empty(0, np.int64), pa.array([], pa.string())
    found = [chunk.indices.to_numpy().astype(np.int64) for chunk in encoded.chunks]
    return np.concatenate(found), encoded.chunk(0).dictionary


def _neighbors(table: pa.Table, query: Ints, index: Ints) -> Neighbors:
    return Neighbors(
        query=query,
        index=index,
        similarity=table["similarity"].to_numpy(),
        rank=table["rank"].to_numpy(),
    )


def _apart(neighbors: Neighbors, ids: pa.Array, spans: Spans | None, k: int) -> Neighbors:
    """Of the neighbours of every query the k best that do not overlap; ``ids`` of those found."""
    if spans is None:
        return neighbors
    order = np.lexsort((neighbors.rank, neighbors.query))
    rows = order[apart(neighbors.query[order], neighbors.index[order], spans.take(ids), k)]
    return neighbors.take(rows)
