from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mining.knn import distinct, first_rows


def slow(values: np.ndarray) -> list[int]:
    return [
        next(j for j in range(i + 1) if np.array_equal(values[j], values[i]))
        for i in range(len(values))
    ]


@given(rows=st.lists(st.tuples(*[st.sampled_from([0.0, -0.0, 1.0, -1.0])] * 5), max_size=30))
def test_each_row_is_led_by_the_first_that_equals_it(rows):
    values = np.array(rows, np.float16).reshape(-1, 5)
    assert first_rows(values).tolist() == slow(values)


@pytest.mark.parametrize("hashes", [[5] * 9, [5, 6, 6, 5, 5, 6, 6, 5, 5]])
def test_vectors_of_one_hash_are_told_apart(hashes, monkeypatch):
    values = np.array([[1], [2], [2], [1], [3], [0], [-0.0], [3], [1]], np.float16)
    monkeypatch.setattr(distinct, "_hashes", lambda words: np.array(hashes, np.uint64))
    assert first_rows(values).tolist() == slow(values)


def test_different_vectors_have_different_hashes():
    values = np.random.default_rng(0).standard_normal((3000, 5)).astype(np.float16)
    assert len(np.unique(distinct._hashes(distinct._words(values)))) == 3000
