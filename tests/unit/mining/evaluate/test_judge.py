"""Figures of language pairs: values, intervals, controls, mean, and their rendering."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from mining.contract.errors import InputError
from mining.evaluate.bitext import precision_recall_f1
from mining.evaluate.gold import GOLD, PairKey, pair_gold
from mining.evaluate.judge import Evaluation, Figure, JudgeSettings, Side, Trial, evaluate
from mining.evaluate.render import render
from mining.evaluate.totals import METRICS


def make_trial(lang: str, golds: int = 80, distractors: int = 80, seed: int = 0) -> Trial:
    """Noisy copies of vectors; each source is paired with its nearest target."""
    rng = np.random.default_rng([seed, *lang.encode()])
    size = golds + distractors
    src = rng.standard_normal((size, 8))
    tgt = rng.standard_normal((size, 8))
    tgt[:golds] = src[:golds] + 0.7 * tgt[:golds]
    src, tgt = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (src, tgt))
    src_ids = [f"{lang}{i}" for i in range(size)]
    tgt_ids = [f"{lang}-eng{i}" for i in range(size)]
    key = PairKey(src_lang=lang, tgt_lang="eng")
    rows = [
        {"meaning_id": f"m{i}", "lang": code, "modality": "text", "segment_id": ids[i]}
        for i in range(golds)
        for code, ids in ((lang, src_ids), ("eng", tgt_ids))
    ]
    nearest = (src @ tgt.T).argmax(axis=1)
    return Trial(
        key=key,
        gold=pair_gold(pa.Table.from_pylist(rows, schema=GOLD), key),
        pairs=pa.table(
            {
                "src_segment_id": src_ids,
                "tgt_segment_id": [tgt_ids[j] for j in nearest],
                "margin_score": (src @ tgt.T).max(axis=1).astype(np.float32),
            }
        ),
        source=Side(ids=pa.array(src_ids), lengths=rng.integers(20, 90, size), vectors=src),
        target=Side(ids=pa.array(tgt_ids), lengths=rng.integers(20, 90, size), vectors=tgt),
    )


SETTINGS = JudgeSettings(resamples=300)


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return evaluate([make_trial("deu"), make_trial("fra", golds=40)], SETTINGS)


def test_figures_are_those_of_the_pairs(evaluation: Evaluation):
    trial = make_trial("deu")
    score = precision_recall_f1(trial.pairs, trial.gold, -np.inf)
    best = precision_recall_f1(trial.pairs, trial.gold)
    judged = evaluation.pairs[0]
    value = {name: figure.value for name, figure in judged.figures.items()}
    assert set(value) == set(METRICS)
    assert (value["precision"], value["recall"], value["f1"]) == pytest.approx(
        (score.precision, score.recall, score.f1)
    )
    assert value["best_f1"] == pytest.approx(best.f1)
    assert (judged.golds, judged.mined, judged.best_threshold) == (80, 160, best.threshold)
    assert value["recall_at_1"] == pytest.approx(score.recall)  # forward, no margin
    assert value["recall_at_1"] <= value["mrr"] <= value["recall_at_5"]


def test_the_mean_is_plain_over_language_pairs(evaluation: Evaluation):
    for metric in METRICS:
        parts = [judged.figures[metric] for judged in evaluation.pairs]
        for field in ("value", "length_only", "random"):
            assert getattr(evaluation.macro[metric], field) == pytest.approx(
                np.mean([getattr(part, field) for part in parts])
            )


def test_controls_fall_far_behind(evaluation: Evaluation):
    for judged in evaluation.pairs:
        for metric in ("best_f1", "recall_at_1", "mrr"):
            figure = judged.figures[metric]
            assert max(figure.length_only, figure.random) < figure.low
        assert judged.figures["xsim"].random > judged.figures["xsim"].high


def test_intervals_hold_their_values(evaluation: Evaluation):
    for figures in (*(judged.figures for judged in evaluation.pairs), evaluation.macro):
        for figure in figures.values():
            assert 0 <= figure.low <= figure.value <= figure.high <= 1


def test_an_interval_of_a_share_is_that_of_the_binomial(evaluation: Evaluation):
    figure = evaluation.pairs[0].figures["recall_at_1"]
    expected = 2 * 1.96 * np.sqrt(figure.value * (1 - figure.value) / 80)
    assert figure.high - figure.low == pytest.approx(expected, rel=0.2)


def test_intervals_cover_the_truth():
    """The share of populations' means that lie in the intervals of small draws."""
    trials = [make_trial("deu", golds=50, distractors=50, seed=seed) for seed in range(60)]
    settings = JudgeSettings(resamples=200)
    all_figures = [evaluate([trial], settings).macro for trial in trials]
    for metric in ("precision", "recall", "recall_at_1"):
        truth = np.mean([figures[metric].value for figures in all_figures])
        held = [figures[metric].low <= truth <= figures[metric].high for figures in all_figures]
        assert np.mean(held) >= 0.85


def test_the_seed_decides_everything():
    trial = make_trial("deu", golds=20)
    assert evaluate([trial], SETTINGS) == evaluate([trial], SETTINGS)
    other = evaluate([trial], JudgeSettings(resamples=300, seed=1))
    assert other != evaluate([trial], SETTINGS)


def test_without_vectors_there_is_no_retrieval():
    trial = make_trial("deu", golds=20)
    trial = replace(trial, source=replace(trial.source, vectors=None))
    evaluation = evaluate([trial], SETTINGS)
    assert set(evaluation.macro) == set(METRICS[:6])
    assert "R@1" not in render(evaluation)


def test_a_pair_without_gold_is_an_error_that_names_it():
    trial = make_trial("deu", golds=0)
    with pytest.raises(InputError, match="deu-eng must have gold"):
        evaluate([trial], SETTINGS)
    with pytest.raises(InputError, match="at least one language pair"):
        evaluate([], SETTINGS)


def test_the_table_has_a_row_per_pair_and_metric(evaluation: Evaluation):
    table = evaluation.to_table()
    assert table.num_rows == 3 * len(METRICS)
    assert table["pair"].unique().to_pylist() == ["deu-eng", "fra-eng", "macro"]
    first = table.slice(0, 1).to_pylist()[0]
    assert first["metric"] == "precision"
    assert first["value"] == evaluation.pairs[0].figures["precision"].value


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, ".00"), (0.934, ".93"), (0.9951, ".995"), (0.99999, ".999"), (1, "1.0")],
)
def test_only_one_is_shown_as_one(value: float, shown: str):
    figure = Figure(value=value, low=0.5, high=0.5, length_only=0.5, random=0.5)
    assert f"{shown} [.50,.50] .50 .50" in render(Evaluation(pairs=(), macro={"f1": figure}))


def test_the_rendering_is_aligned_and_shows_every_figure(evaluation: Evaluation):
    text = render(evaluation)
    figure = evaluation.macro["f1"]
    shown = [f"{v:.2f}"[1:] for v in (figure.value, figure.low, figure.high, figure.length_only)]
    assert f"{shown[0]} [{shown[1]},{shown[2]}] {shown[3]} " in text
    for block in text.split("\n\n")[:-1]:
        lines = block.splitlines()
        assert [line.split()[0] for line in lines[1:]] == ["deu-eng", "fra-eng", "macro"]
        assert len({len(line) for line in lines}) == 1
        assert len(lines[0]) <= 140
