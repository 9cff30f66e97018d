"""Compiled rounding of vectors to int8, and a scan of the bounds that products of these make.

N rows, B rows and W columns of a tile, V columns in whole strips, D dimensions, K neighbours.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from mining.knn.rescore import rough_error, rough_product, widened
from mining.knn.scan_kernels import LOWEST, STRIP, flag, keep_highest, likely_above

_ZERO = np.uint64(0)  # unsigned: LLVM vectorises loops over it
LEVELS = 127  # of a sign: -128 is left out, so that codes are symmetric


@njit(nogil=True, boundscheck=False, fastmath={"reassoc", "contract", "nnan", "nsz"}, cache=True)
def encode(bits, centre, other, codes, facts):  # type: ignore[no-untyped-def]
    """Round x - centre to whole multiples of a 127th of its largest number.

    Args:
        bits: uint16 [N, D], of stored float16 vectors.
        centre: float32 [D].
        other: float32 [D], what the other side is centred by.
        codes: int8 [N, D], written.
        facts: float64 [N, 5], written: the step s, x . other, and the lengths of what is lost
            (x - centre - s codes), of what is kept (s codes) and of x - centre.
    """
    dim = bits.shape[1]
    wide, centred = np.empty(dim, np.float32), np.empty(dim, np.float32)
    for i in range(bits.shape[0]):
        highest = np.float32(0.0)
        for d in range(dim):
            wide[d] = widened(bits[i, d])
            centred[d] = wide[d] - centre[d]
            highest = max(highest, abs(centred[d]))
        step = highest / np.float32(LEVELS)
        inverse = np.float32(LEVELS) / highest if highest > np.float32(1e-30) else np.float32(0.0)
        shifted, lost, kept, length = 0.0, 0.0, 0.0, 0.0
        for d in range(dim):
            code = np.rint(centred[d] * inverse)
            code = max(min(code, np.float32(LEVELS)), np.float32(-LEVELS))
            codes[i, d] = np.int8(code)
            left = np.float64(centred[d] - step * code)
            shifted += np.float64(wide[d]) * np.float64(other[d])
            lost += left * left
            kept += np.float64(code) * np.float64(code)
            length += np.float64(centred[d]) * np.float64(centred[d])
        facts[i, 0], facts[i, 1] = step, shifted
        facts[i, 2], facts[i, 3], facts[i, 4] = np.sqrt(lost), step * np.sqrt(kept), np.sqrt(length)


@njit(nogil=True, boundscheck=False, fastmath={"contract"}, cache=True)
def bound(products, i, rows, columns, out):  # type: ignore[no-untyped-def]
    """Upper bounds of a row's similarities: those from products of codes, and what they may lack.

    Args:
        products: int32 [B, W], of codes.
        i: the row.
        rows: float32 [5, B], of :func:`encode`; the second less the centres' product.
        columns: float32 [5, W], of :func:`encode`.
        out: float32 [V], written; what no column fills is lowest.
    """
    step, shift, row_lost, row_kept = rows[0, i], rows[1, i], rows[2, i], rows[3, i]
    count = np.uint64(products.shape[1])
    for j in range(_ZERO, count):
        value = (columns[0, j] * step) * np.float32(products[i, j]) + (shift + columns[1, j])
        out[j] = value + row_lost * columns[4, j] + row_kept * columns[2, j]
    out[count:] = LOWEST


@njit(nogil=True, boundscheck=False, cache=True)
def reach(products, facts, rows, columns, thresholds, own):  # type: ignore[no-untyped-def]
    """What the K-th nearest of each row reaches: similarities with the columns of the highest bounds.

    Args:
        products: int32 [B, W], of codes; W at least K.
        facts: float32 [5, B] and [5, W], of :func:`encode`.
        rows: float32 [B, D] stored values times ``SCALE``.
        columns: uint16 [W, D] bits of stored values.
        thresholds: float32 [B], written.
        own: of :func:`mining.knn.scan_kernels.scratch`, for V columns.
    """
    _, _, flagged, groups, top, _, _, none, bounds = own
    last = top.shape[0] - 1
    error = rough_error(rows.shape[1])
    for i in range(products.shape[0]):
        bound(products, i, facts[0], facts[1], bounds)
        likely = likely_above(bounds, groups, top)
        top[:] = LOWEST
        for q in range(flag(bounds, none, likely, flagged)):
            for j in range(np.int64(flagged[q]), np.int64(flagged[q]) + STRIP):
                if bounds[j] > likely:
                    keep_highest(top, rough_product(rows, i, columns, j) - error)
        thresholds[i] = top[last]
