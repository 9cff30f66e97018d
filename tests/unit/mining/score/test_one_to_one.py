from __future__ import annotations

import numpy as np
import pytest

from mining.score import one_to_one as module
from mining.score.one_to_one import one_to_one
from tests.reference.rules import greedy


def both(src: np.ndarray, tgt: np.ndarray) -> tuple[list[bool], list[bool]]:
    return one_to_one(src, tgt).tolist(), greedy(list(zip(src.tolist(), tgt.tolist(), strict=True)))


@pytest.mark.parametrize("sources", [1, 5, 80, 3000])
@pytest.mark.parametrize("targets", [1, 60, 3000])
def test_rounds_equal_the_plain_loop(sources, targets):
    rng = np.random.default_rng(sources + targets)
    found, expected = both(rng.integers(0, sources, 4000), rng.integers(0, targets, 4000))
    assert found == expected


def test_a_chain_that_settles_one_pair_a_round_equals_the_plain_loop(monkeypatch):
    steps = np.arange(2000)
    looped = []
    plain = module._plain
    monkeypatch.setattr(module, "_plain", lambda s, t: looped.append(len(s)) or plain(s, t))
    found, expected = both((steps + 1) // 2, steps // 2)
    assert found == expected
    assert sum(found) == 1000
    assert looped == [1998]


def test_no_pairs_take_none():
    assert both(np.empty(0, np.int64), np.empty(0, np.int64)) == ([], [])
