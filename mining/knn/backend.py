"""Backends: fast kernels that nominate candidates. What is written is always re-scored.

N rows, M columns, D dimensions, P nominees.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

_UNIT_ROUNDOFF_F32 = 2.0**-24


@dataclass(frozen=True, kw_only=True)
class Nominees:
    """What a backend believes to be the nearest of each query, in any order within a query.

    Attributes:
        similarity: float32 [Q, P], as the backend computed it.
        row: int64 [Q, P], distinct index rows within a query.
    """

    similarity: NDArray[np.float32]
    row: NDArray[np.int64]


class Nominator(Protocol):
    """A kernel that nominates. It may be wrong by its error bound, and by no more."""

    def nominate(
        self,
        rows: NDArray[np.float16],
        columns: NDArray[np.float16],
        forward: int,
        backward: int,
    ) -> tuple[Nominees, Nominees]:
        """Nominate columns for every row, and rows for every column.

        No other is more similar, as computed here.

        Args:
            rows: float16 [N, D], N > 0; may be memory-mapped; not modified.
            columns: float16 [M, D], M > 0; likewise.
            forward: nominees of a row, 1 to M.
            backward: nominees of a column, 1 to N.
        """

    def error_bound(self, dim: int) -> float:
        """Proven bound of |similarity computed here - exact similarity| for vectors of norm 1."""


def float32_bound(dim: int) -> float:
    """Error of a float32 dot product of D terms in any order of summation, for vectors of norm 1.

    D u / (1 - D u), u = 2^-24: Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed.,
    section 3.1, with |x|.|y| <= norm(x) norm(y) = 1.
    """
    return dim * _UNIT_ROUNDOFF_F32 / (1.0 - dim * _UNIT_ROUNDOFF_F32)
