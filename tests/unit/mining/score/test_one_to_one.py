from __future__ import annotations

import numpy as np
import pytest

from mining.score import one_to_one as module
from mining.score.one_to_one import one_to_one
from tests.reference.rules import greedy

BOTH_LOOPS = pytest.mark.parametrize("few", [0, 1 << 16], ids=["compiled", "plain"])


def both(src: np.ndarray, tgt: np.ndarray) -> tuple[list[bool], list[bool]]:
    return one_to_one(src, tgt).tolist(), greedy(list(zip(src.tolist(), tgt.tolist(), strict=True)))


@BOTH_LOOPS
@pytest.mark.parametrize("sources", [1, 5, 80, 3000])
@pytest.mark.parametrize("targets", [1, 60, 3000])
def test_both_loops_equal_the_reference(monkeypatch, few, sources, targets):
    monkeypatch.setattr(module, "_FEW", few)
    rng = np.random.default_rng(sources + targets)
    found, expected = both(rng.integers(0, sources, 4000), rng.integers(0, targets, 4000))
    assert found == expected


@BOTH_LOOPS
def test_a_chain_in_which_each_pair_blocks_the_next(monkeypatch, few):
    monkeypatch.setattr(module, "_FEW", few)
    steps = np.arange(2000)
    found, expected = both((steps + 1) // 2, steps // 2)
    assert found == expected
    assert sum(found) == 1000


@BOTH_LOOPS
def test_no_pairs_take_none(monkeypatch, few):
    monkeypatch.setattr(module, "_FEW", few)
    assert both(np.empty(0, np.int64), np.empty(0, np.int64)) == ([], [])
