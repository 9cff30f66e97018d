from __future__ import annotations

import numpy as np
import pytest

from mining.score.one_to_one import one_to_one
from tests.reference.rules import greedy


def both(src: np.ndarray, tgt: np.ndarray) -> tuple[list[bool], list[bool]]:
    return one_to_one(src, tgt).tolist(), greedy(list(zip(src.tolist(), tgt.tolist(), strict=True)))


@pytest.mark.parametrize("sources", [1, 5, 80, 3000])
@pytest.mark.parametrize("targets", [1, 60, 3000])
def test_pairs_are_those_of_the_plain_loop(sources, targets):
    rng = np.random.default_rng(sources + targets)
    found, expected = both(rng.integers(0, sources, 4000), rng.integers(0, targets, 4000))
    assert found == expected


def test_a_chain_in_which_each_pair_blocks_the_next():
    steps = np.arange(2000)
    found, expected = both((steps + 1) // 2, steps // 2)
    assert found == expected
    assert sum(found) == 1000


def test_no_pairs_take_none():
    assert both(np.empty(0, np.int64), np.empty(0, np.int64)) == ([], [])
