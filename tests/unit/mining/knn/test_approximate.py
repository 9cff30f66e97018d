"""Approximate neighbours are real ones, what is missed is measured, and nothing is a sentinel."""

from __future__ import annotations

import numpy as np
import pytest

from mining.contract.errors import ConfigError, InputError
from mining.contract.vectors import to_stored
from mining.knn import approximate_arrays, measure_recall, search_arrays
from mining.knn.approximate import list_count

RNG = np.random.default_rng(0)
CENTRES = RNG.standard_normal((40, 32))
X = to_stored(0.7 * CENTRES[RNG.integers(0, 40, 900)] + RNG.standard_normal((900, 32)))[0]
Y = to_stored(X[RNG.permutation(900)] + 0.15 * RNG.standard_normal((900, 32)))[0]


@pytest.mark.parametrize(
    "index", ["ivf-flat", "ivf-fastscan", pytest.param("ivf-pq", marks=pytest.mark.slow)]
)
def test_what_is_found_is_exactly_as_similar_as_it_says(index):
    found = approximate_arrays(X, Y, 4, index=index, probes=8, threads=1)
    for (a, b), one in zip(((X, Y), (Y, X)), found, strict=True):
        exact = np.einsum("qd,qkd->qk", a.astype(float), b[one.row].astype(float))
        np.testing.assert_array_equal(one.similarity, exact.astype(np.float32))
        assert np.all(np.diff(one.similarity, axis=1) <= 0)
        assert all(len(set(row)) == 4 for row in one.row.tolist())


def test_all_lists_find_everything_and_few_find_less():
    exact = search_arrays(X, Y, 4, threads=1)
    every = approximate_arrays(X, Y, 4, index="ivf-flat", probes=900, threads=1)
    for one, other in zip(every, exact, strict=True):
        np.testing.assert_array_equal(one.row, other.row)
    assert measure_recall(X, Y, every, sample=300, threads=1).recall == 1.0
    assert measure_recall(X, Y, every, sample=300, threads=1).best_kept == 1.0
    few = measure_recall(
        X,
        Y,
        approximate_arrays(X, Y, 4, index="ivf-flat", probes=1, threads=1),
        sample=300,
        threads=1,
    )
    assert few.recall < 0.9
    assert few.best_kept < 1.0
    assert few.queries == 300


def test_the_measured_recall_is_that_of_all_rows():
    exact, found = (
        search_arrays(X, Y, 4, threads=1),
        approximate_arrays(X, Y, 4, index="ivf-flat", probes=2, threads=1),
    )
    hits = [
        len(set(a) & set(b))
        for a, b in zip(exact[0].row.tolist(), found[0].row.tolist(), strict=True)
    ]
    assert measure_recall(X, Y, found, sample=900, threads=1).recall == pytest.approx(
        sum(hits) / 3600
    )


def test_a_query_whose_lists_are_too_small_is_searched_in_full():
    y = np.concatenate([Y[:30], Y[:1]])  # a list may hold one row, and eight neighbours are wanted
    found = approximate_arrays(X, y, 8, index="ivf-flat", probes=1, threads=1)
    assert found[0].rescanned > 0
    assert found[0].row.min() >= 0
    short = search_arrays(X, y, 8, threads=1)[0]
    rescanned = [a == b for a, b in zip(found[0].row.tolist(), short.row.tolist(), strict=True)]
    assert sum(rescanned) >= found[0].rescanned


@pytest.mark.parametrize(
    ("rows", "lists"), [(100, 10), (10_000, 100), (10_001, 1024), (80_000, 1024), (10**6, 16384),
                        (10**9, 262144)],
)  # fmt: skip
def test_lists_follow_the_table(rows, lists):
    assert list_count(rows) == lists


def test_what_does_not_fit_an_index_is_refused():
    with pytest.raises(InputError, match="multiple of 8, but is 31"):
        approximate_arrays(X[:, :31], Y[:, :31], 4, index="ivf-pq", probes=1, threads=1)
    with pytest.raises(InputError, match="even, but is 31"):
        approximate_arrays(X[:, :31], Y[:, :31], 4, index="ivf-fastscan", probes=1, threads=1)
    with pytest.raises(InputError, match="needs 256 rows"):
        approximate_arrays(X[:100], Y, 4, index="ivf-pq", probes=1, threads=1)
    with pytest.raises(ConfigError, match="hnsw"):
        approximate_arrays(X, Y, 4, index="hnsw", probes=1, threads=1)
