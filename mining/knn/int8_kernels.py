"""Compiled rounding of vectors to int8, and tiles of bounds from the products of what is rounded.

N rows, B rows and W columns of a tile, D dimensions.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from mining.knn.rescore import widened

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
def bounds(products, rows, columns, sign, out):  # type: ignore[no-untyped-def]
    """Similarities from products of codes, and as much more or less as these may be wrong by.

    Args:
        products: int32 [B, W].
        rows: float32 [5, B], of :func:`encode`; the second less the centres' product.
        columns: float32 [5, W], of :func:`encode`.
        sign: float32, 1 for upper and -1 for lower bounds.
        out: float32 [B, at least W], written.
    """
    steps, shifts, lost, lengths = columns[0], columns[1], columns[2], columns[4]
    for i in range(products.shape[0]):
        step, shift = rows[0, i], rows[1, i]
        row_lost, row_kept = sign * rows[2, i], sign * rows[3, i]
        own, bound = products[i], out[i]
        for j in range(products.shape[1]):
            value = (steps[j] * step) * np.float32(own[j]) + (shift + shifts[j])
            bound[j] = value + row_lost * lengths[j] + row_kept * lost[j]
