from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from mining.contract.errors import InputError, SchemaError
from mining.contract.schemas import BACKWARD, FORWARD, NEIGHBOR
from mining.score import CANDIDATE, ScoreSettings, score_candidates
from tests.reference.neighbors import neighbor_table

# two sources, three targets, k = 2; r finds b, but b does not find r
FORWARD_ROWS = [("a", "p", 0.75, 1), ("a", "q", 0.5, 2), ("b", "q", 0.5, 1), ("b", "p", 0.25, 2)]
BACKWARD_ROWS = [
    ("p", "a", 0.75, 1),
    ("p", "b", 0.25, 2),
    ("q", "a", 0.5, 1),
    ("q", "b", 0.5, 2),
    ("r", "b", 0.125, 1),
]
TABLES = (neighbor_table(FORWARD_ROWS, FORWARD), neighbor_table(BACKWARD_ROWS, BACKWARD))
EMPTY = NEIGHBOR.empty_table()


def rows(settings: ScoreSettings, tables=TABLES) -> dict[str, dict]:
    found = score_candidates(*tables, settings)
    assert found.schema.equals(CANDIDATE)
    return {row["src_segment_id"] + row["tgt_segment_id"]: row for row in found.to_pylist()}


def test_ratio_of_hand_computed_pairs():
    found = rows(ScoreSettings(k=2))
    assert list(found) == ["ap", "bq", "aq", "bp", "br"]
    # src means: a 0.625, b 0.375; tgt means: p 0.5, q 0.5, r 0.125 (its only neighbour)
    scores = {"ap": 0.75 / 0.5625, "aq": 0.5 / 0.5625, "bq": 0.5 / 0.4375, "bp": 0.25 / 0.4375}
    scores["br"] = 0.125 / 0.25
    for name, score in scores.items():
        assert found[name]["margin_score"] == np.float32(score)
    assert found["br"]["forward_rank"] is None
    assert found["br"]["backward_rank"] == 1
    assert found["bp"]["forward_rank"] == 2
    assert found["ap"]["src_mean_similarity"] == 0.625
    assert found["br"]["tgt_mean_similarity"] == 0.125


def test_distance_and_absolute():
    assert rows(ScoreSettings(k=2, margin="distance"))["ap"]["margin_score"] == 0.75 - 0.5625
    assert rows(ScoreSettings(k=2, margin="absolute"))["ap"]["margin_score"] == 0.75


def test_mutual_means_best_of_both_sides():
    found = rows(ScoreSettings(k=2))
    assert [name for name, row in found.items() if row["mutual"]] == ["ap", "bq"]
    assert [name for name, row in found.items() if row["src_best"]] == ["ap", "bq"]
    assert [name for name, row in found.items() if row["tgt_best"]] == ["ap", "bq", "br"]


def test_neighbours_ranked_beyond_k_are_not_looked_at():
    narrow = tuple(t.filter(pa.compute.equal(t["rank"], 1)) for t in TABLES)
    settings = ScoreSettings(k=1)
    assert score_candidates(*TABLES, settings).equals(score_candidates(*narrow, settings))


def test_the_order_and_chunks_of_rows_change_nothing():
    shuffled = tuple(t.take(np.random.default_rng(0).permutation(t.num_rows)) for t in TABLES)
    chunked = tuple(pa.concat_tables([t.slice(2), t.slice(0, 2), EMPTY]) for t in shuffled)
    settings = ScoreSettings(k=2)
    assert score_candidates(*chunked, settings).equals(score_candidates(*TABLES, settings))


def test_a_ratio_to_a_mean_of_zero_or_less_scores_zero():
    tables = (
        neighbor_table([("a", "p", -0.25, 1), ("b", "q", 0.0, 1)], FORWARD),
        neighbor_table([("p", "a", -0.25, 1), ("q", "b", 0.0, 1)], BACKWARD),
    )
    found = rows(ScoreSettings(k=1), tables)
    assert [row["margin_score"] for row in found.values()] == [0.0, 0.0]
    assert list(found) == ["bq", "ap"]


def test_two_empty_sides_have_no_candidates():
    assert rows(ScoreSettings(), (EMPTY, EMPTY)) == {}


def test_a_row_without_neighbours_of_its_own_is_refused():
    with pytest.raises(InputError, match="'p' only stands among those of others"):
        score_candidates(TABLES[0], EMPTY, ScoreSettings())


def test_an_unmerged_pair_is_refused():
    twice = pa.concat_tables([TABLES[0], TABLES[0].slice(0, 1)])
    with pytest.raises(InputError, match="stand twice"):
        score_candidates(twice, TABLES[1], ScoreSettings())


def test_another_schema_is_refused():
    with pytest.raises(SchemaError, match="forward neighbours"):
        score_candidates(TABLES[0].drop_columns(["rank"]), TABLES[1], ScoreSettings())
