from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mining.contract.schemas import FORWARD
from mining.report import Hubness, hubness
from tests.reference import hubs
from tests.reference.neighbors import neighbor_rows, neighbor_table


def tables(found: list[str], pieces: int) -> list[pa.Table]:
    rows = [(f"q{n}", name, 0.5, 1) for n, name in enumerate(found)]
    return [neighbor_table(rows[n::pieces], FORWARD) for n in range(pieces)]


@given(st.integers(1, 12), st.data(), st.integers(1, 4))
def test_figures_are_those_of_the_plain_loops(rows, data, pieces):
    names = [f"r{n:02d}" for n in range(rows)]
    found = data.draw(st.lists(st.sampled_from(names), max_size=40))
    counts = hubs.occurrences(found, names)
    got = hubness(tables(found, pieces), rows)
    assert got.anti_hubs == sum(count == 0 for count in counts.values()) / rows
    ranked = sorted(((-count, name) for name, count in counts.items() if count))[:5]
    assert got.largest == tuple((name, -count) for count, name in ranked)
    assert got.places == len(found)
    expected = hubs.skewness(list(counts.values()))
    assert got.skewness == (None if expected is None else pytest.approx(expected, abs=1e-9))


def test_a_planted_hub_is_the_largest_and_leans_the_distribution():
    rng = np.random.default_rng(0)
    queries, index = rng.normal(size=(150, 8)), rng.normal(size=(200, 8))
    index /= np.linalg.norm(index, axis=1, keepdims=True)

    def of(vectors: np.ndarray) -> Hubness:
        similarity = (queries @ vectors.T).astype(np.float32)
        ids = [f"t{n:03d}" for n in range(len(vectors))]
        rows = neighbor_rows(similarity, [f"s{n:03d}" for n in range(150)], ids, 4)
        return hubness([neighbor_table(rows, FORWARD)], len(vectors))

    plain = of(index)
    assert plain.largest[0][1] < 30
    index[17] *= 100  # to half of the queries nearer than anything else can be
    hub = of(index)
    assert hub.largest[0][0] == "t017"
    assert hub.largest[0][1] > 50
    assert hub.skewness > plain.skewness + 1


def test_draws_by_chance_look_like_chance():
    rng = np.random.default_rng(0)
    found = [f"{n:05d}" for n in rng.integers(0, 20_000, 80_000)]
    got = hubness(tables(found, 3), 20_000)
    assert got.skewness == pytest.approx(got.skewness_by_chance, rel=0.1)
    assert got.anti_hubs == pytest.approx(got.anti_hubs_by_chance, rel=0.1)


def test_rows_that_are_found_equally_often_lean_nowhere():
    got = hubness(tables(["a", "b", "a", "b"], 1), 2)
    assert (got.skewness, got.anti_hubs) == (None, 0.0)
    assert hubness([], 3).skewness_by_chance is None
