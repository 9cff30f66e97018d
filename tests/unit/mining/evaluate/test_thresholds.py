"""Thresholds for a wanted precision: disjoint halves, honest intervals, and saying no."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from mining.contract.errors import InputError
from mining.evaluate.bitext import label_pairs, pr_curve, score_at
from mining.evaluate.calibration import Conditions
from mining.evaluate.gold import GOLD, PairKey, pair_gold
from mining.evaluate.thresholds import (
    Sample,
    calibrate,
    in_calibration_half,
    predictive_interval,
)

CONDITIONS = Conditions(margin="ratio", k=4, src_pool_size=300, tgt_pool_size=500)


def make_sample(seed: int, golds: int = 160, distractors: int = 160, lang: str = "deu") -> Sample:
    """Right pairs score about 1.16, wrong ones about 1.0; unpaired sources give wrong pairs."""
    rng = np.random.default_rng(seed)
    size = golds + distractors
    gold_score = rng.normal(1.16, 0.08, size)
    wrong_score = rng.normal(1.0, 0.06, size)
    right = (np.arange(size) < golds) & (gold_score > wrong_score)
    mined = rng.random(size) < np.where(np.arange(size) < golds, 0.95, 0.6)
    src = np.array([f"{lang}{seed}s{i}" for i in range(size)])
    tgt = np.array([f"{seed}t{i}" if r else f"{seed}x{i}" for i, r in enumerate(right)])
    rows = [
        {"meaning_id": f"{seed}m{i}", "lang": code, "modality": "text", "segment_id": segment}
        for i in range(golds)
        for code, segment in ((lang, str(src[i])), ("eng", f"{seed}t{i}"))
    ]
    key = PairKey(src_lang=lang, tgt_lang="eng")
    return Sample(
        key=key,
        conditions=CONDITIONS,
        pairs=pa.table(
            {
                "src_segment_id": src[mined].tolist(),
                "tgt_segment_id": tgt[mined].tolist(),
                "margin_score": np.where(right, gold_score, wrong_score)[mined].astype(np.float32),
            }
        ),
        gold=pair_gold(pa.Table.from_pylist(rows, schema=GOLD), key),
    )


def test_the_threshold_is_chosen_on_one_half_and_judged_on_the_other():
    sample = make_sample(1)
    found = calibrate([sample], [0.9]).thresholds[0]
    labelled = label_pairs(sample.pairs, sample.gold)
    units = [
        sample.gold.meanings[g] if g >= 0 else s
        for g, s in zip(
            labelled.source_gold, sample.pairs["src_segment_id"].to_pylist(), strict=True
        )
    ]
    half = np.array([in_calibration_half(unit) for unit in units])
    golds = sum(map(in_calibration_half, sample.gold.meanings))
    curve = pr_curve(labelled.where(half, golds))
    reached = [t for t, p, n in zip(curve.threshold, curve.precision, curve.mined, strict=True)
               if p >= 0.9 and n >= 20]  # fmt: skip
    assert found.entry.threshold == min(reached)
    assert found.entry.golds == golds
    assert found.entry.mined == score_at(curve, min(reached)).mined
    others = labelled.where(~half, len(sample.gold.meanings) - golds)
    assert found.judged == score_at(pr_curve(others), min(reached))
    assert 0.3 < half.mean() < 0.7


def test_the_judged_half_moves_neither_threshold_nor_interval():
    sample = make_sample(2)
    source_gold = label_pairs(sample.pairs, sample.gold).source_gold
    scores = sample.pairs["margin_score"].to_numpy().copy()
    for row, source in enumerate(sample.pairs["src_segment_id"].to_pylist()):
        unit = sample.gold.meanings[source_gold[row]] if source_gold[row] >= 0 else source
        scores[row] = scores[row] if in_calibration_half(unit) else 0.5
    moved = Sample(
        key=sample.key,
        conditions=CONDITIONS,
        pairs=sample.pairs.set_column(2, "margin_score", pa.array(scores)),
        gold=sample.gold,
    )
    one, other = (calibrate([s], [0.9]).thresholds[0] for s in (sample, moved))
    assert one.entry == other.entry
    assert one.judged != other.judged


@pytest.mark.parametrize("distractors", [160, 320], ids=["plain", "doubled"])
def test_intervals_cover_the_judged_half(distractors: int):
    covered = {0.8: [], 0.9: [], 0.95: []}
    for seed in range(70):
        calibration = calibrate([make_sample(seed, distractors=distractors)], list(covered))
        for found in calibration.thresholds:
            if found.entry.key.src_lang == "deu" and found.covered is not None:
                covered[found.entry.target].append(found.covered)
    assert all(len(held) >= 55 for held in covered.values())
    assert np.mean([held for some in covered.values() for held in some]) >= 0.93
    assert min(np.mean(held) for held in covered.values()) >= 0.9


def test_intervals_are_no_wider_than_they_need():
    entries = [calibrate([make_sample(seed)], [0.9]).thresholds[0].entry for seed in range(20)]
    assert np.mean([entry.high - entry.low for entry in entries]) < 0.25
    assert all(entry.low <= entry.precision <= entry.high for entry in entries)


def test_a_target_out_of_reach_has_no_threshold_and_a_reason():
    rng = np.random.default_rng(0)
    sample = make_sample(3, golds=40, distractors=600)
    noise = pa.array(rng.random(sample.pairs.num_rows, np.float32))
    hopeless = Sample(
        key=sample.key,
        conditions=CONDITIONS,
        pairs=sample.pairs.set_column(2, "margin_score", noise),
        gold=sample.gold,
    )
    found = calibrate([hopeless], [0.95]).thresholds[0]
    assert found.entry.threshold is None
    assert "no threshold that keeps 20 pairs reaches it" in found.entry.reason
    assert found.judged is None
    assert found.covered is None


def test_language_pairs_are_pooled_under_a_star():
    samples = [make_sample(1), make_sample(2, lang="fra")]
    calibration = calibrate(samples, [None, 0.9])
    keys = [(c.entry.key.name, c.entry.target) for c in calibration.thresholds]
    names = ("deu-eng", "fra-eng", "*-*")
    assert keys == [(name, target) for name in names for target in (None, 0.9)]
    deu, fra, pooled = (c.entry for c in calibration.thresholds[1::2])
    assert pooled.golds == deu.golds + fra.golds
    assert min(deu.threshold, fra.threshold) <= pooled.threshold
    assert pooled.threshold <= max(deu.threshold, fra.threshold)
    assert set(calibration.curves["pair"].to_pylist()) == set(names)


def test_one_language_pair_pooled_is_itself():
    deu, pooled = calibrate([make_sample(1)], [0.9]).thresholds
    assert (pooled.entry.threshold, pooled.entry.low) == (deu.entry.threshold, deu.entry.low)
    assert pooled.judged == deu.judged


def test_row_order_is_irrelevant():
    sample = make_sample(4)
    order = np.random.default_rng(0).permutation(sample.pairs.num_rows)
    shuffled = Sample(
        key=sample.key, conditions=CONDITIONS, pairs=sample.pairs.take(order), gold=sample.gold
    )
    targets = [None, 0.8, 0.95]
    one, other = (calibrate([s], targets) for s in (sample, shuffled))
    assert one.thresholds == other.thresholds
    assert one.curves.equals(other.curves)


def test_without_gold_there_is_an_error_that_names_the_pair():
    with pytest.raises(InputError, match="deu-eng must have gold"):
        calibrate([make_sample(1, golds=0)], [0.9])
    with pytest.raises(InputError, match="at least one language pair"):
        calibrate([], [0.9])


@pytest.mark.parametrize(("precision", "count"), [(0.9, 60), (1.0, 25), (0.5, 1), (0.0, 10)])
def test_the_predictive_interval_is_that_of_simulation(precision: float, count: int):
    rng = np.random.default_rng(0)
    truth = rng.beta(precision * count + 0.5, (1 - precision) * count + 0.5, 200_000)
    low, high = np.quantile(rng.binomial(count, truth), [0.025, 0.975]) / count
    assert predictive_interval(precision, count) == pytest.approx((low, high), abs=1.01 / count)


def test_languages_with_themselves_are_pooled_apart():
    sample = make_sample(3)
    said = Sample(
        key=PairKey(src_lang="deu", tgt_lang="deu"),
        conditions=CONDITIONS,
        pairs=sample.pairs,
        gold=sample.gold,
    )
    found = calibrate([make_sample(1), make_sample(2, lang="fra"), said], [0.9]).thresholds
    golds = {c.entry.key.name: c.entry.golds for c in found}
    assert list(golds) == ["deu-eng", "fra-eng", "deu-deu", "=-=", "*-*"]
    assert golds["=-="] == golds["deu-deu"]
    assert golds["*-*"] == golds["deu-eng"] + golds["fra-eng"]
    assert [c.entry.key.name for c in calibrate([said], [0.9]).thresholds] == ["deu-deu", "=-="]
