from __future__ import annotations

import numpy as np
import pytest

from mining.contract.errors import InputError
from mining.contract.ids import pair_id
from mining.contract.schemas import BACKWARD, FORWARD, NEIGHBOR, REJECT, checked
from mining.score import CANDIDATE, ScoreSettings, score_candidates, select
from tests.reference.neighbors import neighbor_rows, neighbor_table

# margins by hand are not needed here: absolute scores are the similarities
SIMILARITY = np.array([[0.9, 0.8, 0.1], [0.85, 0.3, 0.2]], np.float32)
SRC, TGT = ["a", "b"], ["p", "q", "r"]


def selected(**fields) -> tuple[list[str], dict[str, str]]:
    settings = ScoreSettings(**{"k": 2, "margin": "absolute"} | fields)
    forward = neighbor_table(neighbor_rows(SIMILARITY, SRC, TGT, settings.k), FORWARD)
    backward = neighbor_table(neighbor_rows(SIMILARITY.T, TGT, SRC, settings.k), BACKWARD)
    candidates = score_candidates(forward, backward, settings)
    kept, rejected = select(candidates, settings)
    assert kept.schema.equals(CANDIDATE)
    checked(rejected, REJECT, "rejects")
    assert kept.num_rows + rejected.num_rows == candidates.num_rows
    names = {pair_id(s, t): s + t for s in SRC for t in TGT}
    pairs = [r["src_segment_id"] + r["tgt_segment_id"] for r in kept.to_pylist()]
    reasons = {names[r["row_id"]]: r["reason"] for r in rejected.to_pylist()}
    assert not set(pairs) & set(reasons)
    return pairs, reasons


@pytest.mark.parametrize(
    ("strategy", "pairs"),
    [
        ("forward", ["ap", "bp"]),
        ("backward", ["ap", "aq", "br"]),
        ("intersection", ["ap"]),
        ("union", ["ap", "bp", "aq", "br"]),
        ("max", ["ap", "br"]),
        ("all", ["ap", "bp", "aq", "bq", "br", "ar"]),
    ],
)
def test_strategies(strategy, pairs):
    assert selected(select=strategy)[0] == pairs


def test_reasons_of_an_intersection():
    assert selected(select="intersection")[1] == {
        "bp": "not_mutual",
        "aq": "not_mutual",
        "br": "not_mutual",
        "bq": "not_best",
        "ar": "not_best",
    }


@pytest.mark.parametrize("strategy", ["forward", "backward", "intersection", "max", "union", "all"])
def test_every_strategy_honours_threshold_and_score_max(strategy):
    pairs, reasons = selected(select=strategy, threshold=0.95)
    assert pairs == []
    assert reasons["ap"] == "below_threshold"
    pairs, reasons = selected(select=strategy, score_max=0.05)
    assert pairs == []
    assert reasons["ap"] == "above_score_max"


def test_a_score_equal_to_the_threshold_is_kept_unless_strict():
    threshold = float(np.float32(0.9))
    assert selected(select="all", threshold=threshold)[0] == ["ap"]
    assert selected(select="all", threshold=threshold, strict=True)[0] == []
    assert selected(select="all", score_max=float(np.float32(0.1)))[0] == ["ar"]


def test_what_score_max_drops_frees_its_source_and_target():
    assert selected(select="max", score_max=0.87)[0] == ["bp", "aq"]


def test_the_detail_of_a_reject_is_its_score():
    forward = neighbor_table([("a", "p", 0.5, 1)], FORWARD)
    backward = neighbor_table([("p", "a", 0.5, 1)], BACKWARD)
    settings = ScoreSettings(margin="absolute", threshold=0.6)
    _, rejected = select(score_candidates(forward, backward, settings), settings)
    assert rejected.to_pylist() == [
        {
            "row_id": pair_id("a", "p"),
            "stage": "pairs",
            "reason": "below_threshold",
            "detail": "margin_score 0.5",
        }
    ]


def test_nothing_is_selected_from_nothing():
    empty = NEIGHBOR.empty_table()
    for strategy in ("max", "all"):
        settings = ScoreSettings(select=strategy)
        kept, rejected = select(score_candidates(empty, empty, settings), settings)
        assert (kept.num_rows, rejected.num_rows) == (0, 0)


def test_candidates_out_of_order_are_refused():
    settings = ScoreSettings(k=2, margin="absolute")
    forward = neighbor_table(neighbor_rows(SIMILARITY, SRC, TGT, 2), FORWARD)
    backward = neighbor_table(neighbor_rows(SIMILARITY.T, TGT, SRC, 2), BACKWARD)
    candidates = score_candidates(forward, backward, settings)
    with pytest.raises(InputError, match="best first"):
        select(candidates.take([1, 0, 2]), settings)
