"""Scores and selections are those of the plain loops, and presets those of their tools."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from mining.contract.ids import pair_id
from mining.contract.schemas import BACKWARD, FORWARD
from mining.score import (
    Nearest,
    ScoreSettings,
    score_arrays,
    score_candidates,
    score_given,
    select,
    select_arrays,
    select_neighbors,
)
from tests.reference import rules, tools
from tests.reference.neighbors import neighbor_rows, neighbor_table

# few values, so that ties abound; 0 and less, so that means without meaning occur
tied = st.sampled_from([-0.5, 0.0, 0.25, 0.5, 0.625, 0.75])
smooth = st.floats(-0.25, 1.0, width=32)
SHAPES = array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9)
matrices = st.one_of(arrays(np.float32, SHAPES, elements=e) for e in (tied, smooth))
limits = st.one_of(st.none(), st.sampled_from([0.0, 0.25, 0.5, 1.0, 1.25]), st.floats(0.5, 1.5))
score_settings = st.builds(
    ScoreSettings,
    k=st.integers(1, 5),
    margin=st.sampled_from(["ratio", "distance", "absolute"]),
    select=st.sampled_from(["forward", "backward", "intersection", "max", "union", "all"]),
    threshold=limits,
    strict=st.booleans(),
    score_max=limits,
    best=st.sampled_from(["margin", "nearest"]),
)


def tables(similarity: np.ndarray, k: int) -> tuple[pa.Table, pa.Table]:
    src = [f"s{i}" for i in range(similarity.shape[0])]
    tgt = [f"t{j}" for j in range(similarity.shape[1])]
    return (
        neighbor_table(neighbor_rows(similarity, src, tgt, k), FORWARD),
        neighbor_table(neighbor_rows(similarity.T, tgt, src, k), BACKWARD),
    )


def pairs_of(table: pa.Table) -> list[tuple[int, int]]:
    return [
        (int(row["src_segment_id"][1:]), int(row["tgt_segment_id"][1:]))
        for row in table.select(["src_segment_id", "tgt_segment_id"]).to_pylist()
    ]


@settings(max_examples=200, deadline=None)
@given(matrices, score_settings)
def test_candidates_and_selection_equal_the_plain_loops(similarity, how):
    expected = rules.candidates(similarity, how)
    found = score_candidates(*tables(similarity, how.k), how)
    assert pairs_of(found) == rules.ranked(expected)
    forward, backward = rules.bests(expected, how)
    for pair, row in zip(pairs_of(found), found.to_pylist(), strict=True):
        assert (
            rules.Candidate(
                similarity=row["similarity"],
                score=row["margin_score"],
                forward_rank=row["forward_rank"],
                backward_rank=row["backward_rank"],
                src_mean=row["src_mean_similarity"],
                tgt_mean=row["tgt_mean_similarity"],
            )
            == expected[pair]
        )
        assert row["src_best"] == (pair in forward)
        assert row["tgt_best"] == (pair in backward)
        assert row["mutual"] == (pair in forward & backward)

    kept, rejected = select(found, how)
    expected_pairs, reasons = rules.choose(expected, how)
    assert pairs_of(kept) == expected_pairs
    named = {pair_id(f"s{i}", f"t{j}"): reason for (i, j), reason in reasons.items()}
    assert {row["row_id"]: row["reason"] for row in rejected.to_pylist()} == named


@settings(max_examples=60, deadline=None)
@given(matrices, score_settings, st.randoms(use_true_random=False))
def test_the_order_of_neighbour_rows_changes_nothing(similarity, how, random):
    ordered = tables(similarity, how.k)
    shuffled = [t.take(random.sample(range(t.num_rows), t.num_rows)) for t in ordered]
    assert score_candidates(*shuffled, how).equals(score_candidates(*ordered, how))


def nearest(similarity: np.ndarray, k: int) -> Nearest:
    rows = [rules.nearest(row, k) for row in similarity.tolist()]
    index = np.array(rows, np.int64)
    return Nearest(index=index, similarity=np.take_along_axis(similarity, index, axis=1))


@settings(max_examples=200, deadline=None)
@given(matrices, score_settings)
def test_arrays_give_what_tables_give(similarity, how):
    both = nearest(similarity, how.k), nearest(similarity.T, how.k)
    table = score_candidates(*tables(similarity, how.k), how)
    kept, _ = select(table, how)
    for found, expected in ((score_arrays(*both, how), table), (select_arrays(*both, how), kept)):
        numbers = zip(found.src.tolist(), found.tgt.tolist(), strict=True)
        assert list(numbers) == pairs_of(expected)
        for name in ("similarity", "margin_score", "src_best", "tgt_best", "mutual"):
            assert getattr(found, name).tolist() == expected[name].to_pylist()
        for name in ("forward_rank", "backward_rank"):
            assert (
                getattr(found, name).tolist() == pa.compute.fill_null(expected[name], 0).to_pylist()
            )
        assert found.src_mean.tolist() == expected["src_mean_similarity"].to_pylist()
        assert found.tgt_mean.tolist() == expected["tgt_mean_similarity"].to_pylist()


@settings(max_examples=150, deadline=None)
@given(matrices, score_settings, st.data())
def test_given_pairs_get_the_figures_of_the_plain_loops(similarity, how, data):
    n, m = similarity.shape
    row = st.tuples(st.integers(0, n - 1), st.integers(0, m - 1))
    pairs = data.draw(st.lists(row, min_size=1, max_size=12))
    src, tgt = np.array(pairs, np.int64).T
    both = nearest(similarity, how.k), nearest(similarity.T, how.k)
    found = score_given((src, tgt), similarity[src, tgt], *both, how)
    for at, (expected, mutual) in enumerate(rules.given(similarity, pairs, how)):
        assert expected == rules.Candidate(
            similarity=float(found.similarity[at]),
            score=float(found.margin_score[at]),
            forward_rank=int(found.forward_rank[at]) or None,
            backward_rank=int(found.backward_rank[at]) or None,
            src_mean=float(found.src_mean[at]),
            tgt_mean=float(found.tgt_mean[at]),
        )
        assert found.mutual[at] == mutual


@settings(max_examples=60, deadline=None)
@given(matrices, score_settings)
def test_neighbours_to_pairs_at_once_is_step_by_step(similarity, how):
    candidates = score_candidates(*tables(similarity, how.k), how)
    kept, rejected = select(candidates, how)
    found = select_neighbors(*tables(similarity, how.k), how)
    assert found.kept.equals(kept)
    assert found.rejected.equals(rejected)
    assert found.candidates == candidates.num_rows


def mined(similarity: np.ndarray, how: ScoreSettings) -> list[tuple[int, int, float]]:
    kept, _ = select(score_candidates(*tables(similarity, how.k), how), how)
    scores = kept["margin_score"].to_pylist()
    return [(i, j, score) for (i, j), score in zip(pairs_of(kept), scores, strict=True)]


TOOLS = {
    "laser": tools.laser,
    "stopes": tools.stopes,
    "sentence-transformers": tools.sentence_transformers,
}


@settings(max_examples=80, deadline=None)
@given(matrices)
@pytest.mark.parametrize("name", TOOLS)
def test_presets_equal_their_tools(name, similarity):
    assert mined(similarity, ScoreSettings.preset(name)) == TOOLS[name](similarity)


def planted() -> np.ndarray:
    rng = np.random.default_rng(0)
    similarity = rng.uniform(0.3, 0.7, (60, 70)).astype(np.float32)
    similarity[np.arange(60), np.arange(60)] += np.float32(0.15)
    return similarity


@pytest.mark.parametrize("name", TOOLS)
def test_presets_equal_their_tools_on_planted_pairs(name):
    found = mined(planted(), ScoreSettings.preset(name))
    assert len(found) > 20
    assert found == TOOLS[name](planted())


@settings(max_examples=80, deadline=None)
@given(st.one_of(matrices, st.just(planted())))
def test_speech_vecalign_scores_every_neighbour_as_its_tool_does(similarity):
    how = ScoreSettings.preset("speech-vecalign")
    scores = tools.speech_vecalign(similarity)
    found = mined(similarity, how)
    assert found == [(i, j, float(scores[i, j])) for i, j, _ in found]
    assert {(i, j) for i, j, _ in found} == set(rules.candidates(similarity, how))
