"""Bounds from int8 are bounds, products of codes are exact, and what the bounds leave is exact."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mining.contract.errors import InputError
from mining.contract.vectors import to_stored
from mining.knn import bounded, int8, int8_products, search_arrays
from mining.knn.bounded import Side
from mining.knn.exact import TopK, search_both
from mining.knn.int8 import Int8
from mining.knn.int8_codes import SLACK, Centres, means, plan_codes
from mining.knn.int8_kernels import bound
from mining.knn.int8_products import MOST_DIM, multiplies_int8, multiply
from mining.knn.scan_kernels import LOWEST


def stored(seed: int, rows: int, dim: int, kind: str) -> np.ndarray:
    """float16 [rows, dim]; zero rows stay zero."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((rows, dim))
    if kind == "anisotropic":  # a common direction: a mean cosine of 0.75, as real encoders have
        values += np.sqrt(3.0 * dim) * np.eye(dim)[0]
    if kind == "clustered":
        centres = np.random.default_rng(0).standard_normal((9, dim))
        values = centres[np.arange(rows) % 9] + 1e-3 * values
    if kind == "hubs":  # some rows are near to all of the other side
        values += 5.0
        values[::50] = 1.0 + 0.01 * rng.standard_normal(values[::50].shape)
    if kind == "copies":
        values = values[np.arange(rows) % 13]
    if kind == "constant":
        values = np.tile(rng.choice([-1.0, 1.0], (rows, 1)), (1, dim))
    if kind == "zeros":
        values[::3] = 0.0
    if kind == "spikes":  # one number takes the range of the codes
        values[:, 0] = 1000.0
    if kind == "within rounding":
        values = np.tile(np.random.default_rng(0).standard_normal(dim), (rows, 1))
        values[:, :1] += 1e-5 * rng.standard_normal((rows, 1))
    if kind == "opposite":
        values = np.abs(values) * (1 if seed % 2 else -1)
    return to_stored(values)[0]


KINDS = (
    "gaussian", "anisotropic", "clustered", "hubs", "copies", "constant", "zeros", "spikes",
    "within rounding", "opposite",
)  # fmt: skip


class Given(Int8):
    """By codes, however few rows there are and however little they help."""

    def nominate(self, rows, columns, forward, backward):
        return self.nominate_by(means(rows, columns), rows, columns, (forward, backward))


def brute(queries: np.ndarray, index: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and similarities of the definition."""
    similarity = (queries.astype(np.float64) @ index.astype(np.float64).T).astype(np.float32)
    row = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    return row, np.take_along_axis(similarity, row, axis=1)


def assert_of_the_definition(
    found: tuple[TopK, TopK], x: np.ndarray, y: np.ndarray, k: tuple[int, int]
) -> None:
    sides = ((x, y, k[0]), (y, x, k[1]))
    for one, (queries, index, count) in zip(found, sides, strict=True):
        row, similarity = brute(queries, index, count)
        np.testing.assert_array_equal(one.row, row)
        assert one.similarity.tobytes() == (similarity + np.float32(0.0)).tobytes()
        assert one.rescanned == 0  # bounds decide all


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("k", "shape"),
    [((4, 4), (900, 2100)), ((1, 40), (70, 65)), ((9, 3), (5, 800)), ((3, 3), (1, 1))],
)
def test_what_the_bounds_leave_is_exact(kind, k, shape):
    x, y = stored(1, shape[0], 48, kind), stored(2, shape[1], 48, kind)
    assert_of_the_definition(search_both(x, y, k, Given(threads=2), 1), x, y, k)


@given(
    seed=st.integers(0, 50),
    kind=st.sampled_from(KINDS),
    shape=st.tuples(st.integers(1, 90), st.integers(1, 90), st.integers(1, 70)),
    k=st.tuples(st.integers(1, 12), st.integers(1, 12)),
)
def test_any_shape_is_exact(seed, kind, shape, k):
    x, y = stored(seed, shape[0], shape[2], kind), stored(seed + 99, shape[1], shape[2], kind)
    assert_of_the_definition(search_both(x, y, k, Given(threads=1), 1), x, y, k)


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0)])
def test_an_empty_side_has_no_neighbours(shape):
    x, y = stored(1, shape[0], 8, "gaussian"), stored(2, shape[1], 8, "gaussian")
    found = search_arrays(x, y, 3, backend="exact-int8")
    assert found[0].row.shape == (shape[0], min(3, shape[1]))
    assert found[1].row.shape == (shape[1], min(3, shape[0]))


def test_panels_of_columns_samples_and_threads_change_nothing(monkeypatch):
    x, y = stored(1, 2300, 48, "anisotropic"), stored(2, 5000, 48, "anisotropic")
    monkeypatch.setattr(bounded, "_PANEL_COLUMNS", 2048)
    monkeypatch.setattr(int8, "_SAMPLE", 100)
    assert_of_the_definition(search_both(x, y, (4, 4), Given(threads=3), 1), x, y, (4, 4))


@pytest.mark.parametrize("kind", ["gaussian", "anisotropic"])
def test_a_planned_search_is_exact(kind, monkeypatch):
    x, y = stored(1, 2300, 256, kind), stored(2, 2200, 256, kind)
    monkeypatch.setattr(int8, "plan_codes", partial(plan_codes, fewest=1))
    assert int8.plan_codes(x, y, 4) is not None
    assert_of_the_definition(search_both(x, y, (4, 2), Int8(threads=2), 2), x, y, (4, 2))


@given(
    seed=st.integers(0, 50),
    kind=st.sampled_from(KINDS),
    dim=st.integers(1, 70),
    centred=st.booleans(),
)
def test_no_similarity_is_above_its_bound(seed, kind, dim, centred):
    x, y = stored(seed, 40, dim, kind), stored(seed + 99, 50, dim, kind)
    none = np.zeros(dim, np.float32)
    centres = means(x, y) if centred else Centres(row=none, column=none)
    exact = x.astype(np.float64) @ y.astype(np.float64).T
    rows, columns = centres.of_rows(x), centres.of_columns(y)
    products = rows.values.astype(np.int32) @ columns.values.astype(np.int32).T
    upper = np.empty((40, 64), np.float32)
    for row in range(40):
        bound(products, row, rows.facts, columns.facts, upper[row])
    assert np.all(exact <= upper[:, :50] + SLACK / 2)
    assert np.all(upper[:, 50:] == LOWEST)
    assert np.all(np.abs(rows.values.astype(int)) <= 127)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("k", "others"), [(4, 200), (1, 65), (7, 7), (40, 300)])
def test_what_neighbours_must_reach_they_do(kind, k, others):
    """And nearly no more than that: what bounds are held against first is of use."""
    x, y = stored(1, 90, 48, kind), stored(2, others, 48, kind)
    centres = means(x, y)
    side = Side(values=y, part=lambda some: centres.of_columns(y[some]),
                thresholds=np.full(len(y), LOWEST))  # fmt: skip
    Int8(threads=2)._reach(side, x, centres.of_rows(x), min(k, 90))
    kth = brute(y, x, min(k, 90))[1][:, -1]
    assert np.all(side.thresholds <= kth)
    if kind == "gaussian":
        assert np.mean(side.thresholds) > np.mean(kth) - 0.01


def test_centres_make_bounds_close():
    """Without them a common direction takes most of the range of the codes."""
    x, y = stored(1, 200, 256, "spikes"), stored(2, 200, 256, "spikes")
    none = np.zeros(256, np.float32)
    lost = [
        np.median(centres.of_rows(x).facts[2])
        for centres in (means(x, y), Centres(row=none, column=none))
    ]
    assert lost[0] < lost[1] / 20


@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (40, 50, 1), (3, 5, 7), (50, 90, 2), (768, 2048, 48), (65, 1, 1024)]
)
@pytest.mark.parametrize("instructions", [True, False])
def test_products_of_codes_are_exact(shape, instructions, monkeypatch):
    if instructions and not multiplies_int8():
        pytest.skip("needs a CPU that multiplies int8")
    monkeypatch.setattr(int8_products, "multiplies_int8", lambda: instructions)
    rng = np.random.default_rng(0)
    a, b = (rng.integers(-127, 128, (n, shape[2])).astype(np.int8) for n in shape[:2])
    a[0], b[-1] = 127, -127
    out = torch.empty(shape[:2], dtype=torch.int32)
    multiply(a, b, out)
    np.testing.assert_array_equal(out.numpy(), a.astype(np.int64) @ b.astype(np.int64).T)


def test_codes_are_used_where_they_save_work_and_only_there():
    x, y = stored(1, 3000, 256, "gaussian"), stored(2, 3000, 256, "gaussian")
    assert plan_codes(x, y, 4, fewest=1000) is not None
    assert plan_codes(x, y, 4) is None  # too few rows
    same = stored(1, 3000, 256, "within rounding"), stored(2, 3000, 256, "within rounding")
    assert plan_codes(*same, 4, fewest=1000) is None  # all pairs would be left
    wide = np.zeros((1, MOST_DIM + 1), np.float16)
    assert plan_codes(wide, wide, 1, fewest=1) is None  # sums might not fit
    assert MOST_DIM * 127**2 < 2**31


def test_without_the_instructions_it_is_exact_all_the_same(monkeypatch):
    x, y = stored(1, 300, 32, "gaussian"), stored(2, 200, 32, "gaussian")
    wanted = search_arrays(x, y, 4, backend="exact")
    monkeypatch.setattr(int8, "multiplies_int8", lambda: False)
    monkeypatch.setattr(int8, "plan_codes", lambda *_: pytest.fail("must not be planned"))
    for one, other in zip(search_arrays(x, y, 4, backend="exact-int8"), wanted, strict=True):
        np.testing.assert_array_equal(one.row, other.row)


@pytest.mark.parametrize("rows", [70, 8300])  # all of them in the sample, or half
@pytest.mark.parametrize("bad", [3, 4])
def test_vectors_that_are_not_finite_are_refused(rows, bad):
    x, y = stored(1, rows, 8, "gaussian"), stored(2, 70, 8, "gaussian")
    x[bad] = np.nan
    with pytest.raises(InputError, match="must be finite"):
        search_both(x, y, (2, 2), Given(threads=1), 1)
