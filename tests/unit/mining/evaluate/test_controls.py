"""Controls know lengths only, or nothing."""

from __future__ import annotations

import numpy as np

from mining.evaluate.controls import (
    Lengths,
    length_pairs,
    length_ranks,
    log_lengths,
    random_pairs,
    random_ranks,
)


def _lengths(src: list[int], tgt: list[int], golds: int) -> Lengths:
    """Source i and target i mean the same for i < golds."""
    source, target = log_lengths(np.array(src), np.array(tgt))
    meaning = np.arange(max(len(src), len(tgt)))
    meaning[golds:] = -1
    return Lengths(
        src=source,
        src_gold=meaning[: len(src)],
        tgt=target,
        tgt_gold=meaning[: len(tgt)],
        golds=golds,
    )


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_lengths_are_compared_at_the_ratio_of_the_medians():
    # twice as long throughout: the length ratio is constant, so length alone finds every pair
    lengths = _lengths([10, 20, 40, 80, 160], [20, 40, 80, 160, 320], 4)
    score = length_pairs(lengths, rng())
    assert (score.precision, score.recall) == (0.8, 1.0)
    assert length_ranks(lengths, rng()).tolist() == [1, 1, 1, 1]


def test_a_rank_counts_the_targets_that_are_closer():
    lengths = _lengths([100, 100, 100], [130, 100, 90], 1)  # medians agree
    assert length_ranks(lengths, rng()).tolist() == [3]


def test_equal_lengths_are_ordered_by_chance():
    lengths = _lengths([50] * 400, [50] * 400, 400)
    ranks = length_ranks(lengths, rng())
    assert 1 <= ranks.min() < 10
    assert 390 < ranks.max() <= 400
    assert abs(ranks.mean() - 200) < 25
    assert length_pairs(lengths, rng()).f1 < 0.05


def test_chance_finds_as_much_as_chance_would():
    lengths = _lengths([50] * 400, [50] * 400, 400)
    ranks = random_ranks(lengths, rng())
    assert abs(ranks.mean() - 200) < 25
    assert random_pairs(lengths, rng()).f1 < 0.05


def test_a_gold_whose_target_is_missing_has_no_rank():
    lengths = _lengths([5, 6], [7], 2)
    assert length_ranks(lengths, rng())[1] == np.inf
    assert random_ranks(lengths, rng())[1] == np.inf


def test_an_empty_side_has_no_pairs():
    lengths = _lengths([5, 6], [], 0)
    assert length_pairs(lengths, rng()).mined == 0
    assert random_pairs(lengths, rng()).mined == 0
