"""The exact similarity of stored vectors, for the few pairs that need it.

Q queries, N index rows, D dimensions, P rows a query.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import njit
from numpy.typing import NDArray

SCALE = np.float32(2.0**112)  # the difference of the biases of float32's and float16's exponents
_SIGN_AND_VALUE = np.int32(0x8FFFE000 - 2**32)
_ZERO = np.uint64(0)  # unsigned: LLVM vectorises the products better then
_ROUNDING = 1.1 * 2.0**-24  # a term, see float32_bound, for norms of up to 1.004
_SPAN = 2048  # queries a thread takes at a time


def exact_similarity(
    queries: NDArray[np.float16],
    index: NDArray[np.float16],
    rows: NDArray[np.int64],
    threads: int = 1,
) -> NDArray[np.float32]:
    """Similarity of each query and its rows: float64 products and sums, rounded once to float32.

    Stored values are multiples of 2^-24 and norms are about 1, so products are multiples of 2^-48 and
    every partial sum fits in the 53 bits of a float64: exact in any order, on any machine.

    Args:
        queries: float16 [Q, D].
        index: float16 [N, D].
        rows: int64 [Q, P].
        threads: decides the time, never the result.

    Returns:
        float32 [Q, P].
    """
    out = np.empty(rows.shape, dtype=np.float32)
    a, b = queries.view(np.uint16), index.view(np.uint16)

    def work(start: int) -> None:
        span = slice(start, start + _SPAN)
        _similarity(a[span], b, rows[span], out[span])

    starts = range(0, len(queries), _SPAN)
    if threads == 1 or len(starts) < 2:
        for start in starts:
            work(start)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, starts))
    return out


@njit(nogil=True, boundscheck=False, cache=True)
def _similarity(queries, index, rows, out):  # type: ignore[no-untyped-def]
    scaled = np.empty((1, queries.shape[1]), np.float32)
    for q in range(queries.shape[0]):
        for d in range(queries.shape[1]):
            scaled[0, d] = widened(queries[q, d]) * SCALE
        for p in range(rows.shape[1]):
            out[q, p] = product(scaled, 0, index, rows[q, p])


@njit(nogil=True, boundscheck=False, fastmath={"reassoc", "contract"}, cache=True)
def product(scaled, i, stored, j):  # type: ignore[no-untyped-def]
    """Exact similarity of a row of float32 [N, D], times SCALE, and one of stored bits, uint16 [M, D].

    Numbers of rows, since a view of one counts a reference.
    """
    total = 0.0  # exact, so that the order which the compiler chooses does not matter
    for d in range(_ZERO, np.uint64(scaled.shape[1])):
        total += np.float64(scaled[i, d]) * np.float64(_shrunk(stored[j, d]))
    return np.float32(total)


@njit(nogil=True, boundscheck=False, fastmath={"reassoc", "contract"}, cache=True)
def rough_product(scaled, i, stored, j):  # type: ignore[no-untyped-def]
    """The same in float32, wrong by at most the float32 bound of D terms; in half the time."""
    total = np.float32(0.0)
    for d in range(_ZERO, np.uint64(scaled.shape[1])):
        total += scaled[i, d] * _shrunk(stored[j, d])
    return total


@njit(nogil=True, inline="always", cache=True)
def rough_error(dim):  # type: ignore[no-untyped-def]
    """That bound, float32."""
    return np.float32(_ROUNDING * (dim + 2))


@njit(nogil=True, inline="always", cache=True)
def widened(bits):  # type: ignore[no-untyped-def]
    """The float32 of a float16's bits, of subnormal ones, too; not of infinities and NaN."""
    return _shrunk(bits) * SCALE


@njit(nogil=True, inline="always", cache=True)
def _shrunk(bits):  # type: ignore[no-untyped-def]
    """The same over SCALE: sign, exponent and fraction are moved, the exponent keeps its bias."""
    wide = np.int32(np.int16(bits)) << np.int32(13)  # the sign fills all upper bits
    return np.int32(wide & _SIGN_AND_VALUE).view(np.float32)
