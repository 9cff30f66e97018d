"""The backend ``faiss-flat``: two brute-force searches by FAISS, as other miners make them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from mining.contract.errors import ConfigError, InputError
from mining.knn.backend import Nominees, Stored, float32_bound, nominees_above, with_spares
from mining.knn.keys import best, keys

_BLOCK_ROWS = 65536  # a side that is held in float32 at a time


@dataclass(frozen=True, kw_only=True)
class FaissFlat:
    """Brute force in float32 (the kernel of ``IndexFlatIP``, without its copy of the index).

    Memory: float32 copies of 65,536 rows of each side.

    Attributes:
        threads: of FAISS.
    """

    threads: int

    def nominate(
        self, rows: Stored, columns: Stored, forward: int, backward: int
    ) -> tuple[Nominees, Nominees]:
        """See :class:`mining.knn.backend.Nominator`."""
        bound = float32_bound(rows.shape[1])
        forward, backward = with_spares(forward, len(columns)), with_spares(backward, len(rows))
        with faiss_with(self.threads, "backend faiss-flat") as faiss:
            return (
                nominees_above(_search(faiss, rows, columns, forward), len(columns), bound),
                nominees_above(_search(faiss, columns, rows, backward), len(rows), bound),
            )


def _search(faiss: ModuleType, queries: Stored, index: Stored, count: int) -> NDArray[np.int64]:
    """Keys of the ``count`` most similar, int64 [Q, count]."""
    found = [np.empty((0, count), np.int64)]
    for at in range(0, len(queries), _BLOCK_ROWS):
        block = queries[at : at + _BLOCK_ROWS].astype(np.float32)
        held = np.empty((len(block), 0), np.int64)
        for start in range(0, len(index), _BLOCK_ROWS):
            others = index[start : start + _BLOCK_ROWS].astype(np.float32)
            metric = faiss.METRIC_INNER_PRODUCT
            similarity, row = faiss.knn(block, others, min(count, len(others)), metric=metric)
            if row.size and row.min() < 0:  # FAISS pads with -1, which must never pass for a row
                raise InputError(
                    f"faiss-flat: every row must find {count} neighbours, but some did not; vectors "
                    "must be finite"
                )
            held = best(np.concatenate([held, keys(similarity, row + start)], axis=1), count)
        found.append(held)
    return np.concatenate(found)


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
