"""The exact similarity of stored vectors, for the few pairs that need it.

Q queries, N index rows, D dimensions, P rows a query.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import njit
from numpy.typing import NDArray

SCALE = np.float32(2.0**112)  # the difference of the biases of float32's and float16's exponents
_ZERO = np.uint64(0)  # unsigned: LLVM vectorises the products better then
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
    scaled = np.empty(queries.shape[1], np.float32)
    for q in range(queries.shape[0]):
        for d in range(queries.shape[1]):
            scaled[d] = widened(queries[q, d]) * SCALE
        for p in range(rows.shape[1]):
            out[q, p] = product(scaled, index[rows[q, p]])


@njit(nogil=True, boundscheck=False, fastmath={"reassoc", "contract"}, cache=True)
def product(scaled, stored):  # type: ignore[no-untyped-def]
    """Exact similarity of float32 [D], times SCALE, and of the bits of stored values, uint16 [D]."""
    total = 0.0  # exact, so that the order which the compiler chooses does not matter
    for d in range(_ZERO, np.uint64(scaled.shape[0])):
        total += np.float64(scaled[d]) * np.float64(_shrunk(stored[d]))
    return np.float32(total)


@njit(nogil=True, boundscheck=False, fastmath={"reassoc", "contract"}, cache=True)
def rough_product(scaled, stored):  # type: ignore[no-untyped-def]
    """The same in float32, wrong by at most the float32 bound of D terms; in half the time."""
    total = np.float32(0.0)
    for d in range(_ZERO, np.uint64(scaled.shape[0])):
        total += scaled[d] * _shrunk(stored[d])
    return total


@njit(nogil=True, inline="always", cache=True)
def widened(bits):  # type: ignore[no-untyped-def]
    """The float32 of a float16's bits, of subnormal ones, too; not of infinities and NaN."""
    return _shrunk(bits) * SCALE


@njit(nogil=True, inline="always", cache=True)
def _shrunk(bits):  # type: ignore[no-untyped-def]
    """The same over SCALE: sign, exponent and fraction are moved, the exponent keeps its bias."""
    wide = np.uint32(bits)
    sign = (wide & np.uint32(0x8000)) << np.uint32(16)
    return np.uint32(sign | ((wide & np.uint32(0x7FFF)) << np.uint32(13))).view(np.float32)
