"""Distractors follow the gold's lengths, not the pool's."""

from __future__ import annotations

import numpy as np
import pytest

from mining.contract.errors import InputError
from mining.evaluate.distractors import length_matched


def test_lengths_follow_the_gold_and_not_the_pool():
    rng = np.random.default_rng(0)
    gold, pool = rng.normal(60, 5, 300), rng.uniform(10, 200, 50000)
    drawn = length_matched(gold, pool, 1000, 3)
    assert len(np.unique(drawn)) == 1000
    wanted, found = (np.quantile(v, np.linspace(0.05, 0.95, 19)) for v in (gold, pool[drawn]))
    assert np.abs(wanted - found).max() < 0.5
    assert not np.abs(wanted - np.quantile(pool, np.linspace(0.05, 0.95, 19))).max() < 20


def test_the_seed_decides_and_equal_lengths_are_left_to_chance():
    pool = np.full(500, 7)
    one, again, other = (length_matched([7, 7], pool, 50, seed) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert one.max() > 250 > one.min()


def test_a_pool_that_is_used_up_gives_all_its_rows():
    assert length_matched([3], [9, 1, 5, 5], 4, 0).tolist() == [0, 1, 2, 3]
    assert length_matched([3], [9, 1], 0, 0).tolist() == []


@pytest.mark.parametrize(
    ("gold", "pool", "message"),
    [([], [1], "gold"), ([0], [1], "positive"), ([1], [-1], "positive"), ([1], [], "1 rows")],
)
def test_what_cannot_be_drawn_is_an_error(gold: list, pool: list, message: str):
    with pytest.raises(InputError, match=message):
        length_matched(gold, pool, 1, 0)
