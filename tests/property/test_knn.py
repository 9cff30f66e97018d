"""Neighbours are those of the definition, however the sides are cut into tiles."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from mining.contract.schemas import BACKWARD, FORWARD
from mining.contract.vectors import pack, to_stored
from mining.knn import Vectors, merge_neighbors, search_tile_both
from tests.reference.neighbors import as_rows, neighbor_rows, similarity_matrix

# few directions, so that equal vectors and equal similarities abound
components = st.lists(st.integers(-2, 2), min_size=3, max_size=3).filter(any)


@st.composite
def sides(draw: st.DrawFn, prefix: str) -> tuple[list[str], np.ndarray]:
    rows = draw(st.lists(components, min_size=0, max_size=14))
    names = draw(st.permutations([f"{prefix}{i:x}" for i in range(len(rows))]))
    return list(names), to_stored(np.array(rows, np.float64).reshape(-1, 3))[0]


def cut(draw: st.DrawFn, side: tuple[list[str], np.ndarray]) -> list[Vectors]:
    """The side dealt at random into up to four blocks."""
    names, stored = side
    where = np.array([draw(st.integers(0, 3)) for _ in names], dtype=int)
    table = pa.table({"segment_id": pa.array(names, pa.string()), "vector": pack(stored)})
    return [Vectors.from_arrow(table.filter(pa.array(where == b)), 3) for b in range(4)]


@settings(max_examples=120, deadline=None)
@given(data=st.data(), x=sides("x"), y=sides("y"), k=st.integers(1, 6))
def test_any_tiles_give_the_neighbours_of_the_definition(data, x, y, k):
    similarity = similarity_matrix(x[1], y[1])
    expected = {
        FORWARD: neighbor_rows(similarity, x[0], y[0], k),
        BACKWARD: neighbor_rows(similarity.T, y[0], x[0], k),
    }
    rows, columns = cut(data.draw, x), cut(data.draw, y)
    tiles = [search_tile_both(r, c, k) for r in rows for c in columns]
    for side, direction in enumerate((FORWARD, BACKWARD)):
        merged = merge_neighbors([tile[side] for tile in tiles], k)
        assert as_rows(merged) == expected[direction]
