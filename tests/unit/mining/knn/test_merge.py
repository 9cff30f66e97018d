from __future__ import annotations

import pytest

from mining.contract.errors import InputError
from mining.contract.schemas import BACKWARD, FORWARD, NEIGHBOR, checked
from mining.knn import merge_neighbors
from tests.reference.neighbors import as_rows, neighbor_table


def test_the_best_k_of_all_tiles_are_ranked_with_ties_by_id():
    tiles = [
        neighbor_table([("q2", "c", 0.5, 1), ("q1", "c", 0.5, 1), ("q1", "d", 0.25, 2)], FORWARD),
        neighbor_table([("q1", "a", 0.5, 1), ("q1", "b", -1.0, 2)], FORWARD),
        neighbor_table([("q1", "e", 0.75, 1)], FORWARD),
    ]
    merged = merge_neighbors(tiles, 3)
    assert as_rows(checked(merged, NEIGHBOR, "merged")) == [
        ("q1", "e", 0.75, 1),
        ("q1", "a", 0.5, 2),
        ("q1", "c", 0.5, 3),
        ("q2", "c", 0.5, 1),
    ]


@pytest.mark.parametrize("tables", [[], [NEIGHBOR.empty_table()]])
def test_nothing_merges_to_nothing(tables):
    assert checked(merge_neighbors(tables, 4), NEIGHBOR, "merged").num_rows == 0


def test_directions_are_not_mixed():
    rows = [("a", "b", 0.5, 1)]
    with pytest.raises(InputError, match="one direction"):
        merge_neighbors([neighbor_table(rows, FORWARD), neighbor_table(rows, BACKWARD)], 1)
