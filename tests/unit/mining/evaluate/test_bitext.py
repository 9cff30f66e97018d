"""Precision, recall, F1 and the BUCC threshold, by hand."""

from __future__ import annotations

import math

import pyarrow as pa
import pytest

from mining.evaluate.bitext import precision_recall_f1
from mining.evaluate.gold import PairKey, pair_gold

KEY = PairKey(src_lang="deu", tgt_lang="eng")


def _gold(*extra: tuple[str, str, str]) -> pa.Table:
    rows = [(f"m{i}", lang, f"{lang[0]}{i}") for i in range(4) for lang in ("deu", "eng")]
    return pa.Table.from_pylist(
        [
            {"meaning_id": m, "lang": lang, "modality": "text", "segment_id": s}
            for m, lang, s in [*rows, *extra]
        ]
    )


def _pairs(*rows: tuple[str, str, float]) -> pa.Table:
    names = ("src_segment_id", "tgt_segment_id", "margin_score")
    columns = list(zip(*rows, strict=True)) if rows else [(), (), ()]
    kinds = (pa.string(), pa.string(), pa.float32())
    arrays = [pa.array(c, k) for c, k in zip(columns, kinds, strict=True)]
    return pa.table(dict(zip(names, arrays, strict=True)))


def test_the_threshold_is_the_midpoint_after_the_best_prefix():
    # prefixes: P 1, 1, 2/3, 3/4, 3/5; R 1/4, 2/4, 2/4, 3/4, 3/4; F1 .4, .67, .57, .75, .67
    pairs = _pairs(
        ("d0", "e0", 2.0),
        ("d1", "e1", 1.75),
        ("d2", "x", 1.5),
        ("d3", "e3", 1.25),
        ("y", "e2", 1.0),
    )
    score = precision_recall_f1(pairs, pair_gold(_gold(), KEY))
    assert score.threshold == 1.125
    assert (score.mined, score.right, score.golds) == (4, 3, 4)
    assert (score.precision, score.recall, score.f1) == (0.75, 0.75, 0.75)


def test_pairs_of_equal_score_are_kept_or_dropped_together():
    pairs = _pairs(
        ("d0", "e0", 2.0), ("d1", "x", 1.5), ("d1", "e1", 1.5), ("d2", "y", 1.5), ("d3", "z", 1.5)
    )
    score = precision_recall_f1(pairs, pair_gold(_gold(), KEY))
    # F1 of the first alone: 2/(1+4) = .40; of all five: 4/(5+4) = .44
    assert (score.mined, score.right, score.threshold) == (5, 2, 1.5)
    assert precision_recall_f1(pairs, pair_gold(_gold(), KEY), 1.6).mined == 1


def test_a_given_threshold_keeps_scores_that_reach_it():
    pairs = _pairs(("d0", "e0", 2.0), ("d1", "e1", 1.5), ("d2", "e3", 1.0))
    score = precision_recall_f1(pairs, pair_gold(_gold(), KEY), threshold=1.5)
    assert (score.mined, score.right, score.precision, score.recall) == (2, 2, 1.0, 0.5)
    assert score.f1 == pytest.approx(2 / 3)
    nothing = precision_recall_f1(pairs, pair_gold(_gold(), KEY), threshold=3.0)
    assert (nothing.mined, nothing.precision, nothing.recall, nothing.f1) == (0, 0, 0, 0)


def test_any_sentence_of_a_meaning_is_right_and_counts_once():
    gold = pair_gold(_gold(("m0", "eng", "e0b"), ("m0", "deu", "d0b")), KEY)
    assert precision_recall_f1(_pairs(("d0", "e0b", 1.0)), gold, 0).right == 1
    score = precision_recall_f1(_pairs(("d0", "e0b", 1.0), ("d0b", "e0", 0.5)), gold, 0)
    assert (score.mined, score.right, score.precision) == (1, 1, 1.0)


@pytest.mark.parametrize("pairs", [_pairs(), _pairs(("d0", "e1", 1.0))])
def test_without_a_right_pair_nothing_is_worth_keeping(pairs: pa.Table):
    score = precision_recall_f1(pairs, pair_gold(_gold(), KEY))
    assert (score.threshold, score.mined, score.f1) == (math.inf, 0, 0)
