from __future__ import annotations

import numpy as np
import pytest

from mining.contract.errors import InputError
from mining.score import Nearest, ScoreSettings, score_arrays, select_arrays


def nearest(index, similarity) -> Nearest:
    return Nearest(index=np.array(index), similarity=np.array(similarity, np.float32))


FORWARD = nearest([[0, 1], [1, 0]], [[0.75, 0.5], [0.5, 0.25]])
BACKWARD = nearest([[0, 1], [0, 1]], [[0.75, 0.25], [0.5, 0.5]])


def test_ratio_of_hand_computed_pairs():
    found = score_arrays(FORWARD, BACKWARD, ScoreSettings(k=2))
    # source means 0.625 and 0.375, target means 0.5 and 0.5
    pairs = {
        (0, 0): 0.75 / 0.5625,
        (1, 1): 0.5 / 0.4375,
        (0, 1): 0.5 / 0.5625,
        (1, 0): 0.25 / 0.4375,
    }
    assert list(zip(found.src.tolist(), found.tgt.tolist(), strict=True)) == list(pairs)
    assert found.margin_score.tolist() == [np.float32(score) for score in pairs.values()]
    assert found.mutual.tolist() == [True, True, False, False]


def test_what_is_kept_stands_best_first():
    found = select_arrays(FORWARD, BACKWARD, ScoreSettings(k=2, select="all", threshold=0.8))
    assert list(zip(found.src.tolist(), found.tgt.tolist(), strict=True)) == [
        (0, 0),
        (1, 1),
        (0, 1),
    ]


def test_two_empty_sides_have_no_candidates():
    nothing = nearest(np.empty((0, 0), np.int64), np.empty((0, 0)))
    assert len(score_arrays(nothing, nothing, ScoreSettings())) == 0


def test_one_empty_side_has_no_candidates():
    nothing = nearest(np.empty((0, 4), np.int64), np.empty((0, 4)))
    lone = nearest(np.empty((3, 0), np.int64), np.empty((3, 0)))
    assert len(select_arrays(lone, nothing, ScoreSettings(threshold=1.0))) == 0


@pytest.mark.parametrize(
    ("forward", "backward", "message"),
    [
        (nearest([[2, 1], [1, 0]], [[1, 1], [1, 1]]), BACKWARD, "rows 0 to 1 .* but are 0 to 2"),
        (FORWARD, nearest([[-1, 1], [0, 1]], [[1, 1], [1, 1]]), "backward .* but are -1 to 1"),
        (nearest([[1, 1], [1, 0]], [[1, 1], [1, 1]]), BACKWARD, "stand twice"),
        (nearest([[], []], [[], []]), BACKWARD, "every row must have forward neighbours"),
    ],
)
def test_impossible_neighbours_are_refused(forward, backward, message):
    with pytest.raises(InputError, match=message):
        score_arrays(forward, backward, ScoreSettings(k=2))


def test_arrays_of_another_shape_or_kind_are_refused():
    with pytest.raises(InputError, match=r"\[rows, K\] both, but are \[2\] and \[2\]"):
        nearest([1, 2], [0.5, 0.5])
    with pytest.raises(InputError, match="must be float32, but is float64"):
        Nearest(index=np.zeros((1, 1), np.int64), similarity=np.zeros((1, 1)))
