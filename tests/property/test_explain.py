"""A pair explained by its neighbours alone has the scores that the whole language pair gives it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import given, settings
from hypothesis import strategies as st

from mining.contract.ids import pair_id
from mining.contract.vectors import to_stored
from mining.explain import loss_of, neighbourhood, similarity_of, touched, true_rank
from mining.score import CANDIDATE, ScoreSettings, Spans, score_candidates, select_spans
from tests.property.test_score import matrices, score_settings, tables
from tests.reference.neighbors import neighbor_rows, similarity_matrix

_SCORED = [name for name in CANDIDATE.names if name != "mutual"]


def needed(both: tuple[pa.Table, pa.Table], src: str, tgt: str) -> tuple[pa.Table, pa.Table]:
    """Only the rows that explain reads: first those of the pair, then those of its rivals."""
    forward, backward = both
    seen = (
        forward.filter((pc.field("query_id") == src) | (pc.field("index_id") == tgt)),
        backward.filter((pc.field("query_id") == tgt) | (pc.field("index_id") == src)),
    )
    sources, targets = touched(*seen, src, tgt)
    return (
        forward.filter(pc.field("query_id").isin(sources)),
        backward.filter(pc.field("query_id").isin(targets)),
    )


@settings(max_examples=80, deadline=None)
@given(matrices, score_settings)
def test_every_candidate_is_scored_and_refused_as_among_all(similarity, how):
    both = tables(similarity, how.k)
    agree(both, how, (None, None))


@settings(max_examples=40, deadline=None)
@given(st.data(), matrices, score_settings)
def test_so_it_is_where_speech_overlaps(data, similarity, how):
    # every source is a stretch of one recording; the targets are text
    starts = data.draw(
        st.lists(st.integers(0, 12), min_size=len(similarity), max_size=len(similarity))
    )
    spans = Spans(
        ids=pa.array([f"s{row}" for row in range(len(similarity))]),
        group=np.zeros(len(similarity), np.int64),
        start=np.array(starts, np.int64),
        end=np.array(starts, np.int64) + 3,
    )
    agree(tables(similarity, how.neighbors(of_speech=True)), how, (spans, None))


def agree(both, how: ScoreSettings, spans) -> None:
    expected = score_candidates(*both, how, *spans)
    kept, rejected = select_spans(expected, how, *spans)
    reasons = {row["row_id"]: row for row in rejected.to_pylist()}
    for row in expected.to_pylist():
        src, tgt = row["src_segment_id"], row["tgt_segment_id"]
        found = neighbourhood(needed(both, src, tgt), how, (src, tgt), spans)
        assert found.pair is not None
        assert {name: getattr(found.pair, name) for name in _SCORED} == {
            name: row[name] for name in _SCORED
        }
        refused = reasons.get(pair_id(src, tgt))
        if refused is None:
            continue
        loss = loss_of(found.pair, how, how.threshold, (refused["reason"], refused["detail"]))
        assert loss.reason == refused["reason"]
        if not loss.by_itself:  # then some pair that was taken stands in its way
            taken = kept.to_pylist()
            rivals = [
                one for one in taken
                if pair_id(one["src_segment_id"], one["tgt_segment_id"]) == loss.rival
                or one["src_segment_id"] == src or one["tgt_segment_id"] == tgt
            ]  # fmt: skip
            assert rivals
        if loss.rival is not None:
            assert refused["reason"] == "overlap"
    names = {(r["src_segment_id"], r["tgt_segment_id"]) for r in expected.to_pylist()}
    for src in pc.unique(both[0]["query_id"]).to_pylist():
        for tgt in pc.unique(both[1]["query_id"]).to_pylist():
            if (src, tgt) not in names:
                assert neighbourhood(needed(both, src, tgt), how, (src, tgt), spans).pair is None


vectors = st.lists(st.lists(st.integers(-2, 2), min_size=3, max_size=3).filter(any), min_size=1,
                   max_size=12)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(vectors, vectors, st.integers(1, 5))
def test_the_true_rank_is_that_of_a_whole_search(x, y, block):
    queries, index = (to_stored(np.array(side, np.float64))[0] for side in (x, y))
    similarity = similarity_matrix(queries, index)
    names = [f"t{row:02d}" for row in range(len(y))]
    whole = neighbor_rows(similarity, [f"s{row:02d}" for row in range(len(x))], names, len(y))
    ids = pa.array(names)
    for query_id, index_id, score, rank in whole:
        query, row = queries[int(query_id[1:])], int(index_id[1:])
        assert similarity_of(query, index[row]) == score
        blocks = (
            (ids.slice(start, block), index[start : start + block])
            for start in range(0, len(y), block)
        )
        assert true_rank(query, blocks, index_id, score) == rank
