"""Backends: fast kernels that nominate candidates. What is written is always re-scored.

Q queries, N index rows, D dimensions, P nominees a query.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mining.contract.errors import ConfigError, InputError

_UNIT_ROUNDOFF_F32 = 2.0**-24


@dataclass(frozen=True, kw_only=True)
class Nominees:
    """What a backend believes to be the nearest rows, in any order within a query.

    Attributes:
        similarity: float32 [Q, P], as the backend computed it.
        row: int64 [Q, P], distinct index rows within a query.
    """

    similarity: NDArray[np.float32]
    row: NDArray[np.int64]


class Nominator(Protocol):
    """A kernel that nominates. It may be wrong by its error bound, and by no more."""

    def nominate(
        self, queries: NDArray[np.float32], index: NDArray[np.float32], count: int
    ) -> Nominees:
        """Nominate ``count`` <= N rows a query: no other row is more similar, as computed here.

        Args:
            queries: float32 [Q, D]; not modified.
            index: float32 [N, D]; not modified.
            count: P, nominees a query.
        """

    def error_bound(self, dim: int) -> float:
        """Proven bound of |similarity computed here - exact similarity| for vectors of norm 1."""


@dataclass(frozen=True, kw_only=True)
class FaissFlat:
    """FAISS brute force in float32 (the kernel of ``IndexFlatIP``, without its copy of the index).

    Attributes:
        threads: FAISS threads; None: as the process has them.
    """

    threads: int | None = None

    def nominate(
        self, queries: NDArray[np.float32], index: NDArray[np.float32], count: int
    ) -> Nominees:
        """See :class:`Nominator`."""
        faiss = _faiss()
        with _faiss_threads(faiss, self.threads):
            similarity, row = faiss.knn(queries, index, count, metric=faiss.METRIC_INNER_PRODUCT)
        if row.size and row.min() < 0:  # FAISS pads with -1, which must never pass for a row
            raise InputError(
                f"faiss-flat: every row must find {count} neighbours, but some did not; vectors "
                "must be finite"
            )
        return Nominees(similarity=similarity, row=row)

    def error_bound(self, dim: int) -> float:
        """Dot product of D terms in any order of summation: D u / (1 - D u), u = 2^-24.

        Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.1, with
        |x|.|y| <= norm(x) norm(y) = 1.
        """
        return dim * _UNIT_ROUNDOFF_F32 / (1.0 - dim * _UNIT_ROUNDOFF_F32)


BACKENDS: Mapping[str, Callable[[int | None], Nominator]] = {
    "faiss-flat": lambda threads: FaissFlat(threads=threads),
}


def nominator(name: str, threads: int | None) -> Nominator:
    """The backend of that name.

    Raises:
        ConfigError: for an unknown name, naming those there are.
    """
    if name not in BACKENDS:
        raise ConfigError(f"knn backend: must be one of {sorted(BACKENDS)}, but is {name!r}")
    return BACKENDS[name](threads)


def _faiss() -> ModuleType:
    try:
        import faiss
    except ImportError as error:
        raise ConfigError(
            f"knn backend faiss-flat: needs the package faiss ({error}); install the extra "
            "cpu or gpu"
        ) from None
    module: ModuleType = faiss
    return module


@contextmanager
def _faiss_threads(faiss: ModuleType, threads: int | None) -> Iterator[None]:
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(threads or before)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
