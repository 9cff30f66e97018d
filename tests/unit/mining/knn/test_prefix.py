"""The bounds are bounds, and what they leave is exact."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mining.contract.vectors import to_stored
from mining.knn import bounded, prefix_bounds
from mining.knn.exact import search_both
from mining.knn.one_pass import OnePass
from mining.knn.prefix import Prefix
from mining.knn.prefix_bounds import PrefixBounds, plan_bounds


def stored(seed: int, rows: int, dim: int, kind: str) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((rows, dim))
    if kind == "anisotropic":  # as embeddings: a common direction, and axes that fade
        values = values * 0.9 ** np.arange(dim) + 1.5 * np.eye(dim)[0]
    if kind == "clustered":
        values = rng.standard_normal((9, dim))[np.arange(rows) % 9] + 1e-3 * values
    if kind == "copies":
        values = values[np.arange(rows) % 13]
    return to_stored(values)[0]


def random_basis(dim: int, longer: int, seed: int = 0) -> PrefixBounds:
    torch.manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(dim, longer, dtype=torch.float64)).Q.float()
    return PrefixBounds(basis=basis, cost=0.0)


KINDS = ["gaussian", "anisotropic", "clustered", "copies"]


class Given(Prefix):
    """By a basis that is given, however many rows there are."""

    def nominate(self, rows, columns, forward, backward):
        bounds = plan_bounds(rows, columns, forward, fewest=1) or random_basis(rows.shape[1], 14)
        return self.nominate_by(bounds, rows, columns, (forward, backward))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("k", "shape"), [((4, 4), (900, 2100)), ((1, 40), (70, 65)), ((9, 3), (5, 800))]
)
def test_what_the_bounds_leave_is_exact(kind, k, shape):
    x, y = stored(1, shape[0], 48, kind), stored(2, shape[1], 48, kind)
    found = search_both(x, y, k, Given(threads=2), 1)
    wanted = search_both(x, y, k, OnePass(threads=1), 1)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one.row, other.row)
        np.testing.assert_array_equal(one.similarity, other.similarity)
        assert one.rescanned == 0


def test_panels_of_columns_are_merged(monkeypatch):
    x, y = stored(1, 900, 48, "anisotropic"), stored(2, 5000, 48, "anisotropic")
    whole = search_both(x, y, (4, 4), Given(threads=1), 1)
    monkeypatch.setattr(bounded, "_PANEL_COLUMNS", 2048)
    cut = search_both(x, y, (4, 4), Given(threads=1), 1)
    for one, other in zip(whole, cut, strict=True):
        np.testing.assert_array_equal(one.row, other.row)


def test_a_planned_basis_gives_what_full_products_give():
    x, y = stored(1, 2300, 256, "anisotropic"), stored(2, 2500, 256, "anisotropic")
    assert plan_bounds(x, y, 4, fewest=1) is not None
    found = search_both(x, y, (4, 4), Given(threads=2), 1)
    wanted = search_both(x, y, (4, 4), OnePass(threads=1), 1)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one.row, other.row)


@given(seed=st.integers(0, 50), kind=st.sampled_from(KINDS), longer=st.sampled_from([2, 8, 30]))
def test_no_similarity_is_above_its_bounds(seed, kind, longer):
    x, y = stored(seed, 40, 32, kind), stored(seed + 99, 50, 32, kind)
    bounds = random_basis(32, longer, seed)
    a, b = bounds.of(x), bounds.of(y)
    exact = x.astype(np.float64) @ y.astype(np.float64).T
    head = a.operand.astype(np.float64) @ b.operand.astype(np.float64).T
    closer = (
        a.operand[:, :-1].astype(np.float64) @ b.operand[:, :-1].T
        + a.rest.astype(np.float64) @ b.rest.T
        + np.outer(a.beyond_longer, b.beyond_longer)
    )
    assert np.all(exact <= head + bounds.slack)
    assert np.all(exact <= closer + bounds.slack)
    assert np.mean(closer) <= np.mean(head) + bounds.slack


def test_a_basis_is_sought_where_it_saves_work_and_only_there():
    fading = stored(1, 3000, 256, "anisotropic"), stored(2, 3000, 256, "anisotropic")
    found = plan_bounds(*fading, 4, fewest=1000)
    assert found is not None
    assert found.head < 256 // 4
    assert found.cost < 1
    assert plan_bounds(*fading, 4) is None  # too few rows
    even = stored(1, 3000, 256, "gaussian"), stored(2, 3000, 256, "gaussian")
    assert plan_bounds(*even, 4, fewest=1000) is None
    assert prefix_bounds._FEWEST_ROWS > 3000
