from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mining.contract.errors import InputError
from mining.score.intervals import schedule
from tests.reference import speech

BIG = 2**62
interval = st.tuples(
    st.integers(0, 2), st.integers(0, 8), st.integers(1, 5), st.sampled_from([-1, 0, 1, 2, 3, BIG])
)


def chosen(rows: list[tuple[int, int, int]], weights: list[int]) -> tuple[int, ...]:
    """Positions chosen of rows (group, start, end)."""
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    taken = schedule(table[:, 1], table[:, 2], np.array(weights, np.int64), table[:, 0])
    assert taken.dtype == bool
    return tuple(np.flatnonzero(taken).tolist())


@settings(max_examples=300, deadline=None)
@given(st.lists(interval, max_size=10))
def test_the_choice_is_the_best_of_all_subsets(rows):
    spans = [(group, start, start + length) for group, start, length, _ in rows]
    weights = [row[3] for row in rows]
    found = chosen(spans, weights)
    assert not any(speech.overlap(spans[a], spans[b]) for a, b in combinations(found, 2))
    assert speech.worth(spans, weights, found) == speech.best_worth(spans, weights)


def test_the_whole_beats_fragments_of_less():
    assert chosen([(0, 0, 2), (0, 0, 4), (0, 2, 4)], [2, 5, 2]) == (1,)
    assert chosen([(0, 0, 2), (0, 0, 4), (0, 2, 4)], [3, 5, 3]) == (0, 2)


def test_of_equal_weight_the_one_that_covers_more_then_the_fewer():
    assert chosen([(0, 0, 2), (0, 0, 4)], [1, 1]) == (1,)
    assert chosen([(0, 0, 2), (0, 2, 4), (0, 0, 4)], [1, 1, 2]) == (2,)


def test_what_is_still_equal_goes_to_the_earlier_end_then_the_order_given():
    assert chosen([(0, 1, 3), (0, 0, 2)], [1, 1]) == (1,)
    assert chosen([(0, 0, 2), (0, 0, 2)], [1, 1]) == (0,)


def test_weight_zero_is_taken_where_it_harms_nothing_and_less_never():
    assert chosen([(0, 0, 2), (0, 1, 3), (0, 3, 4)], [0, 1, 0]) == (1, 2)
    assert chosen([(0, 0, 2)], [-1]) == ()


def test_groups_do_not_overlap_and_touching_is_allowed():
    assert chosen([(0, 0, 4), (7, 0, 4), (0, 4, 5)], [1, 1, 1]) == (0, 1, 2)


def test_sums_beyond_64_bits_are_exact():
    rows = [(0, i, i + 1) for i in range(5)] + [(0, 0, 5)]
    assert chosen(rows, [BIG] * 5 + [BIG]) == (0, 1, 2, 3, 4)


def test_nothing_is_chosen_of_nothing():
    assert chosen([], []) == ()


def test_an_empty_interval_is_refused():
    with pytest.raises(InputError, match="must end after its start"):
        chosen([(0, 2, 2)], [1])
