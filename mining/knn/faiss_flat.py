"""The backends ``faiss-flat`` and ``faiss-gpu``: two searches by FAISS, as other miners make them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mining.contract.errors import CapacityError, ConfigError, InputError
from mining.knn.backend import Nominees, Stored, float32_bound, nominees_above, with_spares
from mining.knn.keys import best, keys

_BLOCK_ROWS = 65536  # a side that is held in float32 at a time
_GPU_NOMINEES = 2048  # the most that FAISS selects on a GPU
_GPU_FACTOR = 2.0  # of the error bound: what is not documented of FAISS' products on GPUs


@dataclass(frozen=True, kw_only=True)
class FaissFlat:
    """Brute force in float32 (the kernel of ``IndexFlatIP``, without its copy of the index).

    Memory: float32 copies of 65,536 rows of each side; on GPUs 65,536 rows of the searched side on each,
    and FAISS' own 1.5 GiB.

    FAISS asks cuBLAS for products of float32 that are not reduced (StandardGpuResources.cpp). On a GPU
    this has never run: none was at hand that FAISS saw.

    Attributes:
        threads: of FAISS.
        gpu: on all GPUs, each of which takes some of the queries.
    """

    threads: int
    gpu: bool = False

    def nominate(
        self, rows: Stored, columns: Stored, forward: int, backward: int
    ) -> tuple[Nominees, Nominees]:
        """See :class:`mining.knn.backend.Nominator`."""
        bound = float32_bound(rows.shape[1]) * (_GPU_FACTOR if self.gpu else 1.0)
        forward, backward = with_spares(forward, len(columns)), with_spares(backward, len(rows))
        with faiss_with(self.threads, f"backend faiss-{'gpu' if self.gpu else 'flat'}") as faiss:
            nearest = _on_gpus(faiss, max(forward, backward)) if self.gpu else _on_cpu(faiss)
            return (
                nominees_above(_search(nearest, rows, columns, forward), len(columns), bound),
                nominees_above(_search(nearest, columns, rows, backward), len(rows), bound),
            )


Nearest = Callable[[Any, Any, int], tuple[Any, Any]]


def _on_cpu(faiss: ModuleType) -> Nearest:
    """Similarities and rows of the nearest of some rows, for some queries."""
    metric = faiss.METRIC_INNER_PRODUCT
    return lambda queries, others, count: faiss.knn(queries, others, count, metric=metric)


def _on_gpus(faiss: ModuleType, nominees: int) -> Nearest:
    """The same by every GPU that FAISS sees.

    Raises:
        CapacityError: if there is none, or more are wanted of a query than a GPU selects.
    """
    if not faiss.get_num_gpus():
        raise CapacityError(
            "knn backend faiss-gpu: needs FAISS for GPUs and a GPU, but FAISS sees none; install the "
            "extra gpu in place of cpu, or choose exact-cuda or exact"
        )
    if nominees > _GPU_NOMINEES:
        raise CapacityError(
            f"knn backend faiss-gpu: at most {_GPU_NOMINEES} nominees a row can be found on a GPU, but "
            f"{nominees} are wanted; lower k, or choose exact-cuda"
        )

    def nearest(queries: Any, others: Any, count: int) -> tuple[Any, Any]:
        index = faiss.index_cpu_to_all_gpus(faiss.IndexFlatIP(others.shape[1]))
        index.add(others)
        similarity, row = index.search(queries, count)
        return similarity, row

    return nearest


def _search(nearest: Nearest, queries: Stored, index: Stored, count: int) -> NDArray[np.int64]:
    """Keys of the ``count`` most similar, int64 [Q, count]."""
    found = [np.empty((0, count), np.int64)]
    for at in range(0, len(queries), _BLOCK_ROWS):
        block = queries[at : at + _BLOCK_ROWS].astype(np.float32)
        held = np.empty((len(block), 0), np.int64)
        for start in range(0, len(index), _BLOCK_ROWS):
            others = index[start : start + _BLOCK_ROWS].astype(np.float32)
            similarity, row = nearest(block, others, min(count, len(others)))
            if row.size and row.min() < 0:  # FAISS pads with -1, which must never pass for a row
                raise InputError(
                    f"knn by FAISS: every row must find {count} neighbours, but some did not; vectors "
                    "must be finite"
                )
            held = best(np.concatenate([held, keys(similarity, row + start)], axis=1), count)
        found.append(held)
    return np.concatenate(found)


def gpus() -> int:
    """How many GPUs FAISS sees; 0 where it is not installed, or for CPUs only."""
    try:
        import faiss
    except ImportError:
        return 0
    return int(faiss.get_num_gpus())


@contextmanager
def faiss_with(threads: int, what: str) -> Iterator[ModuleType]:
    """FAISS, with so many threads for a while.

    Raises:
        ConfigError: if it is not installed; ``what`` needs it.
    """
    try:
        import faiss
    except ImportError as error:
        raise ConfigError(
            f"knn {what}: needs the package faiss ({error}); install the extra cpu or gpu"
        ) from None
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(threads)
    try:
        yield faiss
    finally:
        faiss.omp_set_num_threads(before)
