"""Approximate search by FAISS' inverted lists. What it finds is re-scored.

Q queries, N index rows, D dimensions, K neighbours.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from mining.contract.errors import ConfigError, InputError
from mining.knn.arrays import checked
from mining.knn.backend import Nominees, Stored, with_spares
from mining.knn.backends import thread_count
from mining.knn.exact import TopK, search_both
from mining.knn.faiss_flat import faiss_with

INDEXES = ("ivf-flat", "ivf-pq", "ivf-fastscan")
_BLOCK_ROWS = 65536  # rows in float32 at a time
_TRAIN_ROWS = 64  # a list; FAISS warns below 39
# Lists by rows: facebookresearch/stopes, bitext mining, its table of index types.
_ROWS = (10_000, 80_000, 160_000, 250_000, 700_000, 4_000_000, 10_000_000, 100_000_000, 500_000_000)
_LISTS = (64, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072, 262144)
_CODES = (64, 32, 16, 8)  # bytes of a product quantiser that divide D
# Below these OPQ takes minutes to save what an exact search takes seconds for.
_TURNED_ROWS = 250_000
_FEWEST_CODED = 256  # codes of a byte
_TRAIN_CODED = 39 * 256  # rows that learn these; FAISS warns below
_REFINED = 8  # candidates of FastScan a neighbour, ranked again by their vectors


@dataclass(frozen=True, kw_only=True)
class Approximate:
    """An index of each side, its lists trained on that side, searched by the other.

    Lists trained on both sides together fall apart by language, and recall with them. Memory: the
    vectors of a side in float32 (``ivf-pq``: its codes), and
    64 rows a list while it learns.

    Attributes:
        index: one of :data:`INDEXES`: whole vectors; PQ, behind OPQ from 250,000 rows on, as in stopes;
            4-bit PQ (FastScan) with the best of it ranked again by whole vectors.
        probes: lists that a query looks into. 128 in stopes.
        threads: of FAISS.
    """

    index: str
    probes: int
    threads: int

    def __post_init__(self) -> None:
        if self.index not in INDEXES:
            raise ConfigError(f"index: must be one of {INDEXES} or exact, but is {self.index!r}")
        if self.probes < 1:
            raise ConfigError(f"probes: must be at least 1, but is {self.probes}")

    def nominate(
        self, rows: Stored, columns: Stored, forward: int, backward: int
    ) -> tuple[Nominees, Nominees]:
        """As :class:`mining.knn.backend.Nominator`, but what is not nominated may be nearer.

        A query whose lists hold too few rows is left to be searched in full.
        """
        check_dim(self.index, rows.shape[1])
        for side in (rows, columns):  # before one of them is learned
            if len(side) < (least := fewest_rows(self.index)):
                raise InputError(
                    f"index {self.index}: needs {least} rows a side to learn its codes of, but has "
                    f"{len(side)}; take ivf-flat or exact"
                )
        forward, backward = with_spares(forward, len(columns)), with_spares(backward, len(rows))
        with faiss_with(self.threads, f"index {self.index}") as faiss:
            return (
                self._search(faiss, rows, columns, forward),
                self._search(faiss, columns, rows, backward),
            )

    def _search(
        self,
        faiss: ModuleType,
        queries: Stored,
        index: Stored,
        count: int,
    ) -> Nominees:
        built = self._built(faiss, index)
        found = []
        for start in range(0, len(queries), _BLOCK_ROWS):
            block = queries[start : start + _BLOCK_ROWS].astype(np.float32)
            found.append(built.search(block, count)[1])
        row = np.concatenate(found)
        missing = (row < 0).any(axis=1)
        row[missing] = np.arange(count)  # any rows: these queries are searched again
        return Nominees(row=row, others=np.where(missing, np.inf, -np.inf))

    def _built(self, faiss: ModuleType, index: Stored) -> Any:
        lists = list_count(len(index))
        built = faiss.index_factory(
            index.shape[1],
            self._factory(len(index), index.shape[1], lists),
            faiss.METRIC_INNER_PRODUCT,
        )
        inverted = faiss.downcast_index(
            faiss.extract_index_ivf(built.base_index if self.index == "ivf-fastscan" else built)
        )
        # few rows a list make lists as good as any: FAISS would warn on stderr, past every --quiet
        for learned in (inverted, inverted.pq) if self.index != "ivf-flat" else (inverted,):
            learned.cp.min_points_per_centroid = 1
        step = max(1, len(index) // max(lists * _TRAIN_ROWS, _TRAIN_CODED))
        built.train(index[::step].astype(np.float32))
        for start in range(0, len(index), _BLOCK_ROWS):
            built.add(index[start : start + _BLOCK_ROWS].astype(np.float32))
        inverted.nprobe = self.probes
        if self.index == "ivf-fastscan":
            built.k_factor = _REFINED
        return built

    def _factory(self, rows: int, dim: int, lists: int) -> str:
        """FAISS' name of the index."""
        if self.index == "ivf-flat":
            return f"IVF{lists},Flat"
        if self.index == "ivf-fastscan":
            return f"IVF{lists},PQ{dim // 2}x4fs,RFlat"
        codes = next(size for size in _CODES if dim % size == 0)
        turned = f"OPQ{codes}," if rows >= _TURNED_ROWS else ""
        return f"{turned}IVF{lists},PQ{codes}"


def fewest_rows(index: str) -> int:
    """Rows a side that an index needs."""
    return 1 if index == "ivf-flat" else _FEWEST_CODED


def check_dim(index: str, dim: int) -> None:
    """Refuse vectors that an index cannot take.

    Raises:
        InputError: naming what it can.
    """
    if index == "ivf-fastscan" and dim % 2:
        raise InputError(f"index ivf-fastscan: D must be even, but is {dim}; take ivf-flat")
    if index == "ivf-pq" and dim % _CODES[-1]:
        raise InputError(
            f"index ivf-pq: D must be a multiple of {_CODES[-1]}, but is {dim}; take ivf-flat"
        )


def list_count(rows: int) -> int:
    """Lists of an index of so many rows: stopes' table; below 10,000 rows its square root."""
    place = bisect_left(_ROWS, rows)
    return _LISTS[place] if place else max(1, int(rows**0.5))


def approximate_arrays(
    x: Stored,
    y: Stored,
    k: int,
    *,
    index: str,
    probes: int,
    backward_k: int | None = None,
    threads: int | None = None,
) -> tuple[TopK, TopK]:
    """About the nearest rows of the other side, both ways; their similarities are exact.

    Arguments as of :func:`mining.knn.search_arrays` and :class:`Approximate`.

    Raises:
        ConfigError: if there is no such index.
        InputError: if the vectors do not fit it, or are none.
    """
    wanted = checked(x, y, k, backward_k)
    count = thread_count(threads)
    return search_both(x, y, wanted, Approximate(index=index, probes=probes, threads=count), count)
