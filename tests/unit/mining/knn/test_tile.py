from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from mining.contract.errors import CapacityError, ConfigError, InputError
from mining.contract.schemas import BACKWARD, FORWARD, NEIGHBOR, checked
from mining.contract.vectors import pack, to_stored
from mining.knn import BACKENDS, Nominees, Vectors, exact, one_pass, search_tile_both
from mining.knn.faiss_flat import gpus
from tests.reference.neighbors import as_rows, neighbor_rows


def block(values: np.ndarray, prefix: str) -> Vectors:
    stored, bad = to_stored(values)
    assert not bad.any()
    return Vectors(pa.array([f"{prefix}{i:05d}" for i in range(len(values))], pa.string()), stored)


def brute(queries: Vectors, index: Vectors, k: int) -> list[tuple]:
    similarity = (queries.values.astype(np.float64) @ index.values.astype(np.float64).T).astype(
        np.float32
    )
    return neighbor_rows(similarity, queries.ids.to_pylist(), index.ids.to_pylist(), k)


def gaussian(seed: int, rows: int, dim: int = 24) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, dim))


def clustered() -> tuple[np.ndarray, np.ndarray]:
    centres = gaussian(1, 5)
    return (
        centres[np.arange(120) % 5] + 1e-3 * gaussian(2, 120),
        centres[np.arange(90) % 5] + 1e-3 * gaussian(3, 90),
    )


def hubs() -> tuple[np.ndarray, np.ndarray]:
    """Three rows of y are near to every row of x."""
    x = gaussian(4, 80) + 5 * np.ones(24)
    y = gaussian(5, 100)
    y[[10, 50, 99]] = np.ones(24) + 0.01 * gaussian(6, 3)
    return x, y


def duplicates() -> tuple[np.ndarray, np.ndarray]:
    base = gaussian(7, 6)
    return base[np.arange(60) % 6], base[np.arange(70) % 3]


def within_rounding() -> tuple[np.ndarray, np.ndarray]:
    """All similarities lie closer together than float32 can tell apart."""
    x = np.tile(gaussian(8, 1), (90, 1))
    y = np.tile(gaussian(8, 1), (110, 1))
    x[:, :3] = 1e-5 * gaussian(9, 90, 3)
    y[:, :3] = 1e-5 * gaussian(10, 110, 3)
    return x, y


SETS = {
    "gaussian": lambda: (gaussian(0, 150), gaussian(11, 200)),
    "clustered": clustered,
    "hubs": hubs,
    "duplicates": duplicates,
    "within rounding": within_rounding,
    "one row": lambda: (gaussian(0, 1), gaussian(1, 40)),
    "fewer than k": lambda: (gaussian(0, 3), gaussian(1, 2)),
    "empty": lambda: (gaussian(0, 0), gaussian(1, 30)),
    "negative": lambda: (np.abs(gaussian(0, 30)), -np.abs(gaussian(1, 40))),
}


def needs_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


ON_THIS_MACHINE = [
    pytest.param(
        name,
        marks=[pytest.mark.gpu, pytest.mark.skipif(not needs_cuda(), reason="needs a CUDA device")]
        if "cuda" in name
        else [pytest.mark.gpu, pytest.mark.skipif(not gpus(), reason="needs a GPU that FAISS sees")]
        if "gpu" in name
        else [],
    )
    for name in BACKENDS
]


@pytest.mark.parametrize("backend", ON_THIS_MACHINE)
@pytest.mark.parametrize("k", [1, 4, 16, 40])
@pytest.mark.parametrize("name", SETS)
def test_both_directions_equal_float64_brute_force(name, k, backend):
    x, y = SETS[name]()
    rows, columns = block(x, "x"), block(y, "y")
    forward, backward = search_tile_both(rows, columns, k, backend=backend)
    assert as_rows(checked(forward, NEIGHBOR, "forward")) == brute(rows, columns, k)
    assert as_rows(checked(backward, NEIGHBOR, "backward")) == brute(columns, rows, k)
    assert set(forward["direction"].to_pylist()) <= {FORWARD}
    assert set(backward["direction"].to_pylist()) <= {BACKWARD}


@pytest.mark.parametrize("backend", ON_THIS_MACHINE)
def test_each_direction_has_its_own_k(backend):
    x, y = SETS["gaussian"]()
    rows, columns = block(x, "x"), block(y, "y")
    forward, backward = search_tile_both(rows, columns, 3, backward_k=70, backend=backend)
    assert as_rows(forward) == brute(rows, columns, 3)
    assert as_rows(backward) == brute(columns, rows, 70)


def scanned_queries(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many queries each exact scan was made for."""
    scanned: list[int] = []
    scan = exact._scan

    def counting(queries, index, k):
        scanned.append(len(queries))
        return scan(queries, index, k)

    monkeypatch.setattr(exact, "_scan", counting)
    return scanned


@pytest.mark.parametrize("backend", ON_THIS_MACHINE)
def test_rows_that_float32_cannot_rank_are_scanned_again_and_others_are_not(backend, monkeypatch):
    scanned = scanned_queries(monkeypatch)
    x, y = within_rounding()
    search_tile_both(block(x, "x"), block(y, "y"), 4, backend=backend)
    assert sum(scanned) == len(x) + len(y)
    scanned.clear()
    found = block(gaussian(0, 150), "x"), block(gaussian(1, 200), "y")
    search_tile_both(*found, 4, backend=backend)
    assert sum(scanned) < 15


def test_a_scan_over_many_blocks_is_exact(monkeypatch):
    monkeypatch.setattr(exact, "_SCAN_QUERIES", 7)
    monkeypatch.setattr(exact, "_SCAN_ROWS", 13)
    x, y = within_rounding()
    rows, columns = block(x, "x"), block(y, "y")
    assert as_rows(search_tile_both(rows, columns, 5)[0]) == brute(rows, columns, 5)


class Coarse:
    """A backend that rounds similarities to tenths: as wrong as its bound allows."""

    def nominate(self, rows, columns, forward, backward):
        similarity = np.round(rows.astype(np.float32) @ columns.astype(np.float32).T, 1)
        return self.highest(similarity, forward), self.highest(similarity.T, backward)

    def highest(self, similarity, count):
        row = np.argsort(similarity, axis=1)[:, -count:]
        return Nominees(row=row, others=np.take_along_axis(similarity, row, axis=1)[:, 0] + 0.0501)


@pytest.mark.parametrize("name", ["gaussian", "clustered", "hubs", "duplicates"])
def test_an_inexact_backend_changes_nothing(name, monkeypatch):
    monkeypatch.setitem(BACKENDS, "coarse", lambda threads: Coarse())
    x, y = SETS[name]()
    rows, columns = block(x, "x"), block(y, "y")
    coarse = search_tile_both(rows, columns, 4, backend="coarse")
    assert coarse == search_tile_both(rows, columns, 4)


class Contrary(Coarse):
    """A backend without error that nominates the highest ids of equal similarity."""

    def nominate(self, rows, columns, forward, backward):
        similarity = (rows.astype(np.float64) @ columns.astype(np.float64).T).astype(np.float32)
        return self.highest(similarity, forward), self.highest(similarity.T, backward)

    def highest(self, similarity, count):
        row = np.argsort(similarity, axis=1, kind="stable")[:, -count:]
        return Nominees(row=row, others=np.take_along_axis(similarity, row, axis=1)[:, 0])


def test_ties_with_rows_that_were_not_nominated_go_by_id(monkeypatch):
    monkeypatch.setitem(BACKENDS, "contrary", lambda threads: Contrary())
    x, y = duplicates()
    rows, columns = block(x, "x"), block(y, "y")
    found, _ = search_tile_both(rows, columns, 4, backend="contrary")
    assert as_rows(found) == brute(rows, columns, 4)


class JustBelow(Coarse):
    """Nominates the second row and says truly that no other product reaches 0.75."""

    def nominate(self, rows, columns, forward, backward):
        others = np.array([0.75 - 2.0**-26])
        return (
            Nominees(row=np.array([[1]]), others=others),
            Nominees(row=np.zeros((2, 1), np.int64), others=np.full(2, -np.inf)),
        )


def test_a_product_that_rounds_up_to_a_tie_is_seen():
    query = np.array([[0.75, 2.0**-13, 0.66]], np.float16)
    index = np.array([[1.0, -(2.0**-13), 0.0], [1.0, 0.0, 0.0]], np.float16)
    found, _ = exact.search_both(query, index, (1, 1), JustBelow(), 1)
    assert found.rescanned == 1
    assert found.row.tolist() == [[0]]


@pytest.mark.parametrize("backend", ["exact", "exact-torch"])
def test_heaps_that_no_first_tile_fills_and_many_threads(backend, monkeypatch):
    monkeypatch.setattr(one_pass, "_PANEL_VALUES", 2048 * 24)
    rows, columns = block(gaussian(0, 1700), "x"), block(gaussian(1, 4200), "y")
    found = search_tile_both(rows, columns, 60, backend=backend, threads=3)
    assert found == search_tile_both(rows, columns, 60, backend="faiss-flat")


@pytest.mark.parametrize("backend", ON_THIS_MACHINE)
def test_threads_change_nothing_and_are_put_back(backend):
    import faiss
    import torch

    before = faiss.omp_get_max_threads(), torch.get_num_threads()
    rows, columns = block(gaussian(0, 1900), "x"), block(gaussian(1, 2200), "y")
    one = search_tile_both(rows, columns, 4, threads=1, backend=backend)
    assert one == search_tile_both(rows, columns, 4, threads=before[0] + 1, backend=backend)
    assert (faiss.omp_get_max_threads(), torch.get_num_threads()) == before


@pytest.mark.parametrize("shape", [(1, 1), (767, 65), (769, 2049), (1, 2111), (1537, 64)])
def test_blocks_that_are_not_full_are_searched_whole(shape):
    rows, columns = block(gaussian(0, shape[0]), "x"), block(gaussian(1, shape[1]), "y")
    for backend in ("exact", "exact-torch"):
        assert search_tile_both(rows, columns, 5, backend=backend) == search_tile_both(
            rows, columns, 5, backend="faiss-flat"
        )


def test_panels_of_columns_are_merged(monkeypatch):
    rows, columns = block(gaussian(0, 900), "x"), block(gaussian(1, 5000), "y")
    whole = search_tile_both(rows, columns, 5)
    monkeypatch.setattr(one_pass, "_PANEL_VALUES", 2048 * 24)
    assert search_tile_both(rows, columns, 5) == whole


def test_the_callers_vectors_are_not_modified():
    stored, _ = to_stored(gaussian(0, 20))
    stored.setflags(write=False)
    before = stored.copy()
    ids = pa.array([f"{i:02d}" for i in range(20)])
    search_tile_both(Vectors(ids, stored), Vectors(ids, stored), 3)
    np.testing.assert_array_equal(stored, before)


def test_rows_of_a_table_are_sorted_by_id():
    stored, _ = to_stored(gaussian(0, 3))
    table = pa.table({"segment_id": ["b", "c", "a"], "vector": pack(stored)})
    vectors = Vectors.from_arrow(table, 24)
    assert vectors.ids.to_pylist() == ["a", "b", "c"]
    np.testing.assert_array_equal(vectors.values, stored[[2, 0, 1]])
    assert len(vectors) == 3


@pytest.mark.parametrize(
    ("ids", "values", "message"),
    [
        (["a", "a"], np.eye(2), "'a' is followed by 'a'"),
        (["b", "a"], np.eye(2), "'b' is followed by 'a'"),
        (["a"], np.eye(2), "1 and 2"),
        (["a", "b"], np.diag([1, 0]), "'b' has 0.0"),
        (["a", "b"], np.diag([1, np.nan]), "'b' has nan"),
        (["a", "b"], np.diag([1, 2]), "'b' has 2.0"),
    ],
)
def test_unusable_vectors_are_refused(ids, values, message):
    with pytest.raises(InputError, match=message):
        Vectors(pa.array(ids), values.astype(np.float16))


def test_other_dtypes_are_refused():
    with pytest.raises(InputError, match="float32"):
        Vectors(pa.array(["a"]), np.ones((1, 1), np.float32))


def test_faiss_without_a_gpu_is_refused_in_one_line():
    if gpus():
        pytest.skip("FAISS sees a GPU")
    rows = block(gaussian(0, 3), "x")
    with pytest.raises(
        CapacityError, match=r"^knn backend faiss-gpu: needs .* sees none; install"
    ) as one:
        search_tile_both(rows, rows, 1, backend="faiss-gpu")
    assert "\n" not in str(one.value)


def test_unusable_searches_are_refused():
    rows = block(gaussian(0, 3), "x")
    with pytest.raises(InputError, match="24 and 5"):
        search_tile_both(rows, block(gaussian(0, 3, 5), "y"), 1)
    with pytest.raises(InputError, match="k must be at least 1"):
        search_tile_both(rows, rows, 0)
    with pytest.raises(ConfigError, match=r"one of .*faiss-flat.*, but is 'fais'"):
        search_tile_both(rows, rows, 1, backend="fais")
