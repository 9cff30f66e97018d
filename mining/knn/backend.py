"""Backends: fast kernels that nominate candidates. What is written has been computed exactly.

N rows, M columns, D dimensions, P nominees.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mining.contract.errors import InputError
from mining.contract.vectors import NORM_TOLERANCE
from mining.knn.keys import EMPTY, rows, similarities

Stored = NDArray[np.float16]

_UNIT_ROUNDOFF_F32 = 2.0**-24


@dataclass(frozen=True, kw_only=True)
class Nominees:
    """What a backend believes to be the nearest of each query, in any order within a query.

    Attributes:
        row: int64 [Q, P], distinct index rows within a query.
        others: float64 [Q], proven: no row that is not nominated is more similar than that. Minus
            infinity where all are, or where those that are have been found exactly.
        similarity: float32 [Q, P], exact; None: still to be computed.
    """

    row: NDArray[np.int64]
    others: NDArray[np.float64]
    similarity: NDArray[np.float32] | None = None


class Nominator(Protocol):
    """A kernel that nominates. It may be wrong, but knows by how much."""

    def nominate(
        self, rows: Stored, columns: Stored, forward: int, backward: int
    ) -> tuple[Nominees, Nominees]:
        """Nominate columns for every row, and rows for every column.

        Args:
            rows: float16 [N, D], N > 0, norms of about 1; may be memory-mapped; not modified.
            columns: float16 [M, D], M > 0; likewise.
            forward: neighbours wanted of a row, 1 to M. A kernel whose similarities are not exact
                nominates some more (:func:`with_spares`).
            backward: of a column, 1 to N.
        """


def with_spares(k: int, index_rows: int) -> int:
    """Nominees for k neighbours: float32 rarely confuses more than the next two."""
    return min(index_rows, k + max(2, k // 8))


def nominees_above(heaps: NDArray[np.int64], index_rows: int, bound: float) -> Nominees:
    """Nominees of similarities that are wrong by at most ``bound`` for vectors of norm 1.

    Args:
        heaps: int64 [Q, P], keys of the P most similar as computed.
        index_rows: N; where all are nominated nothing else can be near.
        bound: error of a similarity.

    Raises:
        InputError: if a place is empty, as a NaN leaves it.
    """
    check_full(heaps)
    lowest = similarities(heaps).min(axis=1).astype(np.float64)
    others = lowest + bound * (1.0 + NORM_TOLERANCE) ** 2
    if heaps.shape[1] >= index_rows:
        others = np.full(len(heaps), -np.inf)
    return Nominees(row=rows(heaps), others=others)


def check_full(heaps: NDArray[np.int64]) -> None:
    """Refuse heaps with an empty place: it would pass for a row.

    Raises:
        InputError: if there is one.
    """
    if (heaps == EMPTY).any():
        raise InputError(
            "knn: every row must find its nominees, but some did not; vectors must be finite"
        )


def float32_bound(dim: int) -> float:
    """Error of a float32 dot product of D terms in any order of summation, for vectors of norm 1.

    D u / (1 - D u), u = 2^-24: Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed.,
    section 3.1, with |x|.|y| <= norm(x) norm(y) = 1.
    """
    return dim * _UNIT_ROUNDOFF_F32 / (1.0 - dim * _UNIT_ROUNDOFF_F32)
