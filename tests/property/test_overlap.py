"""Means over neighbours that lie apart are those of the plain loop; no speech is used twice."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from mining.contract.ids import pair_id
from mining.contract.schemas import BACKWARD, FORWARD
from mining.score import ScoreSettings, score_candidates, select, select_spans
from tests.reference import speech
from tests.reference.neighbors import neighbor_rows, neighbor_table

SIDE = 7
span = st.one_of(
    st.just((None, 0, 0)),
    st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(1, 4)).map(
        lambda s: (s[0], s[1], s[1] + s[2])
    ),
)
sides = st.one_of(st.none(), st.lists(span, min_size=SIDE, max_size=SIDE))
matrices = st.lists(
    st.lists(
        st.one_of(st.sampled_from([0.25, 0.5, 0.75]), st.floats(0.125, 1.0, width=32)),
        min_size=SIDE, max_size=SIDE,
    ),
    min_size=1, max_size=SIDE,
).map(lambda rows: np.array(rows, np.float32))  # fmt: skip
how = st.builds(
    lambda k, more, **rest: ScoreSettings(k=k, speech_k=k + more, **rest),
    k=st.integers(1, 3),
    more=st.integers(0, 6),
    margin=st.sampled_from(["ratio", "absolute"]),
    select=st.sampled_from(["forward", "backward", "intersection", "max", "union", "all"]),
    threshold=st.sampled_from([None, 0.5, 1.0]),
)


def scored(similarity, src_spans, tgt_spans, how):
    """Candidates, the spans given, and each direction's rows."""
    src = [f"s{i}" for i in range(similarity.shape[0])]
    tgt = [f"t{j}" for j in range(similarity.shape[1])]
    rows = (
        neighbor_rows(similarity, src, tgt, how.neighbors(of_speech=tgt_spans is not None)),
        neighbor_rows(similarity.T, tgt, src, how.neighbors(of_speech=src_spans is not None)),
    )
    places = {}
    for names, spans in ((src, src_spans), (tgt, tgt_spans)):
        places |= dict(zip(names, spans or [(None, 0, 0)] * SIDE, strict=False))
    built = [
        None if spans is None else speech.spans_of({n: places[n] for n in names})
        for names, spans in ((src, src_spans), (tgt, tgt_spans))
    ]
    tables = neighbor_table(rows[0], FORWARD), neighbor_table(rows[1], BACKWARD)
    return score_candidates(*tables, how, *built), built, rows, places, tables


@settings(max_examples=150, deadline=None)
@given(matrices, sides, sides, how)
def test_means_equal_the_plain_loop_and_ranks_stay(similarity, src_spans, tgt_spans, how):
    found, _, rows, places, _ = scored(similarity, src_spans, tgt_spans, how)
    for direction, name in ((0, "src"), (1, "tgt")):
        ranked: dict[str, list[tuple[str, float]]] = {}
        for query, index, value, _ in rows[direction]:
            ranked.setdefault(query, []).append((index, value))
        ranks = {(q, i): rank for q, i, _, rank in rows[direction]}
        for row in found.to_pylist():
            query, index = row["src_segment_id"], row["tgt_segment_id"]
            query, index = (query, index) if name == "src" else (index, query)
            best = speech.apart([places[i] for i, _ in ranked[query]], how.k)
            mean = sum(ranked[query][place][1] for place in best) / len(best)
            assert row[f"{name}_mean_similarity"] == np.float32(mean)
            assert row[("forward_rank", "backward_rank")[direction]] == ranks.get((query, index))


@settings(max_examples=60, deadline=None)
@given(matrices, how)
def test_where_nothing_overlaps_all_is_as_without_spans(similarity, how):
    how = replace(how, speech_k=how.k)
    apart = [(0, i, i + 1) for i in range(SIDE)]
    plain, _, _, _, _ = scored(similarity, None, None, how)
    for spans in (apart, [(None, 0, 0)] * SIDE):
        found, built, _, _, _ = scored(similarity, spans, spans, how)
        assert found.equals(plain)
        for a, b in zip(select_spans(found, how, *built), select(plain, how), strict=True):
            assert a.equals(b)


@settings(max_examples=200, deadline=None)
@given(matrices, sides, sides, how)
def test_kept_speech_lies_apart_and_every_refusal_has_its_cause(
    similarity, src_spans, tgt_spans, how
):
    found, built, _, places, _ = scored(similarity, src_spans, tgt_spans, how)
    kept, rejected = select_spans(found, how, *built)
    assert kept.num_rows + rejected.num_rows == found.num_rows
    ids = [(row["src_segment_id"], row["tgt_segment_id"]) for row in found.to_pylist()]
    pairs = [(row["src_segment_id"], row["tgt_segment_id"]) for row in kept.to_pylist()]
    assert pairs == [pair for pair in ids if pair in set(pairs)]  # best first, as they were
    for side in (0, 1):
        used = [pair[side] for pair in pairs]
        if how.select == "max":
            assert len(set(used)) == len(used)
        for a, b in combinations(sorted(set(used)), 2):
            assert not speech.overlap(places[a], places[b])

    fit = {(r["src_segment_id"], r["tgt_segment_id"]) for r in fit_rows(found, how)}
    assert set(pairs) <= fit
    names = {pair_id(*pair): pair for pair in ids}
    reasons = {names[row["row_id"]]: row for row in rejected.to_pylist()}
    for pair in fit - set(pairs):
        reason, detail = reasons[pair]["reason"], reasons[pair]["detail"]
        if reason == "overlap":
            rival = names[detail.rsplit(" ", 1)[1]]
            assert rival in pairs
            assert any(
                speech.overlap(places[a], places[b]) and a != b
                for a, b in zip(pair, rival, strict=True)
            )
        else:
            assert (reason, how.select) == ("not_best", "max")
            assert any(a == b for other in pairs for a, b in zip(pair, other, strict=True))
    assert not fit or pairs


def fit_rows(found: pa.Table, how: ScoreSettings) -> list[dict]:
    """Candidates that nothing but other pairs refuse."""
    alone = replace(how, select="union") if how.select == "max" else how
    return select(found, alone)[0].to_pylist()
