from __future__ import annotations

import numpy as np
import pytest

from mining.contract.errors import ConfigError, InputError
from mining.contract.vectors import to_stored
from mining.mine import Search, mine_pairs
from mining.score import ScoreSettings
from tests.reference import rules
from tests.reference.neighbors import similarity_matrix

RNG = np.random.default_rng(0)
Y = RNG.standard_normal((40, 12))
X = np.concatenate([Y[::-1][:25] * 3 + 0.5 * RNG.standard_normal((25, 12)), Y[:4], Y[:4]])


def rows(table):
    return list(zip(table["src_row"].to_pylist(), table["tgt_row"].to_pylist(), strict=True))


@pytest.mark.parametrize("select", ["max", "intersection", "union", "forward", "backward", "all"])
@pytest.mark.parametrize("margin", ["ratio", "distance", "absolute"])
def test_pairs_are_those_of_the_plain_rules(select, margin):
    settings = ScoreSettings(k=3, margin=margin, select=select, threshold=0.3)
    similarity = similarity_matrix(to_stored(X)[0], to_stored(Y)[0])
    expected = rules.candidates(similarity, settings)
    pairs, _ = rules.choose(expected, settings)
    found = mine_pairs(X, Y, k=3, margin=margin, select=select, threshold=0.3, distinct=False)
    assert rows(found) == pairs
    assert found["margin_score"].to_pylist() == [expected[pair].score for pair in pairs]
    assert found["similarity"].to_pylist() == [expected[pair].similarity for pair in pairs]


def test_planted_pairs_are_found():
    found = mine_pairs(X[:25], Y, select="intersection", threshold=1.1)
    assert set(rows(found)) == {(i, 39 - i) for i in range(25)}


def test_equal_scores_go_by_row_number_not_by_its_spelling():
    found = mine_pairs(np.ones((12, 4)), np.ones((12, 4)), k=12, select="all", distinct=False)
    assert rows(found) == [(i, j) for i in range(12) for j in range(12)]


@pytest.mark.parametrize("select", ["max", "all"])
def test_copies_shift_no_margin(select):
    plain = mine_pairs(Y[::-1][:25], Y, select=select)
    copied_x = np.concatenate([Y[::-1][:25], 2 * Y[::-1][3:9], Y[::-1][3:9]])
    copied_y = np.concatenate([Y, np.repeat(Y[:7], 5, axis=0)])
    assert mine_pairs(copied_x, copied_y, select=select) == plain
    crowded = mine_pairs(copied_x, copied_y, select=select, distinct=False)
    assert crowded["margin_score"].to_pylist()[: len(plain)] != plain["margin_score"].to_pylist()


def test_copies_stand_for_their_first_row_wherever_they_are():
    y = np.concatenate([Y[:3], Y])
    assert rows(mine_pairs(Y[1:2], y, select="max")) == [(0, 1)]


def test_vectors_that_are_stored_already_are_taken_as_they_are():
    stored, _ = to_stored(X)
    found = mine_pairs(stored, to_stored(Y)[0], select="all")
    assert found == mine_pairs(X, Y, select="all")


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_memory_mapped_arrays_are_read_and_left_alone(dtype, tmp_path):
    paths = [tmp_path / "x.npy", tmp_path / "y.npy"]
    for path, array in zip(paths, (X, Y), strict=True):
        np.save(path, array.astype(dtype))
    before = [path.read_bytes() for path in paths]
    mapped = [np.load(path, mmap_mode="r+") for path in paths]
    found = mine_pairs(*mapped)
    assert found == mine_pairs(X.astype(dtype), Y.astype(dtype))
    for array in mapped:
        array.flush()
    assert [path.read_bytes() for path in paths] == before


@pytest.mark.parametrize(("x", "y"), [(X, Y[:0]), (X[:0], Y), (X[:0], Y[:0])])
def test_an_empty_side_has_no_pairs(x, y):
    found = mine_pairs(x, y)
    assert found.schema == mine_pairs(X, Y).schema
    assert found.num_rows == 0


def test_a_side_smaller_than_k_is_mined():
    assert rows(mine_pairs(Y[:1], Y[:2], k=16)) == [(0, 0)]


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X[0], Y, r"x must be floats \[rows, D\], but is float64 \[12\]"),
        (X, Y[:, :0], r"y must be floats \[rows, D\], but is float64 \[40, 0\]"),
        (X.astype(int), Y, "x must be floats .* int64"),
        (X, Y[:, :5], "have 12 and 5"),
    ],
)
def test_arrays_of_a_wrong_shape_or_type_are_refused(x, y, message):
    with pytest.raises(InputError, match=message):
        mine_pairs(x, y)


def test_bad_rows_are_named():
    bad = np.ones((300, 3))
    bad[[2, 150]] = 0
    bad[299, 1] = np.nan
    with pytest.raises(InputError, match=r"y must hold .* rows \[2, 150, 299\] are"):
        mine_pairs(np.ones((2, 3)), bad)
    with pytest.raises(InputError, match=r"x must hold .*9\] and 10 more are"):
        mine_pairs(np.zeros((20, 3)), bad)


@pytest.mark.parametrize(
    "setting",
    [
        {"k": 0},
        {"margin": "x"},
        {"select": "x"},
        {"search": Search(backend="x")},
        {"search": Search(index="x")},
        {"search": Search(index="ivf-flat", probes=0)},
    ],
)
def test_settings_out_of_range_are_refused(setting):
    with pytest.raises(ConfigError):
        mine_pairs(X, Y, **setting)


def test_what_is_done_is_said_and_threads_change_nothing():
    said = []
    search = Search(threads=1)
    assert mine_pairs(X, Y, search=search, say=said.append) == mine_pairs(X, Y)
    assert said[0].startswith("k-NN by exact: ")
    copies = np.ones((30, 4))
    mine_pairs(copies, copies, distinct=False, say=said.append)
    assert said[-1] == "k-NN: 60 of 60 rows could not be told apart and were searched again"


def test_an_approximate_index_says_what_it_missed():
    said = []
    search = Search(index="ivf-flat", probes=2, threads=1)
    found = mine_pairs(X, Y, search=search, say=said.append)
    assert len(found)
    assert "found" in said[-1]
    assert "sampled rows" in said[-1]
