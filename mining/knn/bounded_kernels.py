"""Compiled scan of a tile of upper bounds: only what could be among the nearest is computed, exactly.

B rows and W columns of the tile, W a multiple of 64; D dimensions, H of them in a head and 2 H in a
longer head; K places in a heap. Heaps hold exact similarities, so that what is not above a full heap's
lowest can be left out for good.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from mining.knn.keys import EMPTY, key_of, similarity_of
from mining.knn.rescore import product, rough_product
from mining.knn.scan_kernels import compare, flag, push

_ROUNDING = 1.1 * 2.0**-24  # a term, see float32_bound, for norms of up to 1.004


@njit(nogil=True, boundscheck=False, cache=True)
def scan_bounds(  # type: ignore[no-untyped-def]
    tile, first_row, first_column, rows, columns, slack, row_state, column_state, own
):
    """Put the exact similarity of every pair whose bound is above a threshold into both heaps.

    Args:
        tile: float32 [B, W], upper bounds of similarities but for ``slack``.
        first_row: number of the tile's first row.
        first_column: likewise.
        rows: float32 [B, D] stored values times ``SCALE``; float32 [B, H], float32 [B] and float32 [B]:
            the second half of the longer head, and the lengths of what lies beyond the head and the
            longer head.
        columns: uint16 [W, D] bits of stored values, and the rest as of the rows.
        slack: float32, what rounding may have taken from a bound.
        row_state: int64 [B, K] heaps and float32 [B] thresholds: the lowest similarity of a full heap.
        column_state: int64 [W, K'] and float32 [W].
        own: of :func:`mining.knn.scan_kernels.scratch`.
    """
    mask, words, flagged = own[0], own[1], own[2]
    row_heaps, row_thresholds = row_state
    column_heaps, column_thresholds = column_state
    rounding = np.float32(_ROUNDING * (rows[0].shape[1] + 2))  # of a rough product
    lowered = own[6][: tile.shape[1]]  # thresholds that bounds are held against
    for at in range(tile.shape[1]):
        lowered[at] = column_thresholds[at] - slack
    for i in range(tile.shape[0]):
        row = tile[i]
        threshold = row_thresholds[i] - slack
        for q in range(flag(row, lowered, threshold, flagged)):
            strip = flagged[q]
            compare(row, lowered, strip, threshold, mask)
            for word in range(8):
                if words[word] == 0:
                    continue
                for bit in range(8 * word, 8 * word + 8):
                    j = np.int64(strip) + bit
                    if mask[bit] == 0 or not (tile[i, j] > threshold or tile[i, j] > lowered[j]):
                        continue
                    needed = min(threshold, lowered[j])
                    if _refined(tile[i, j], i, j, rows, columns) <= needed:
                        continue
                    rough = rough_product(rows[0][i], columns[0][j])
                    if rough + rounding <= needed:
                        continue
                    similarity = product(rows[0][i], columns[0][j])
                    key = key_of(similarity, first_column + j)
                    threshold = _offered(row_heaps, i, key, row_thresholds) - slack
                    key = key_of(similarity, first_row + i)
                    lowered[j] = _offered(column_heaps, j, key, column_thresholds) - slack


@njit(nogil=True, boundscheck=False, cache=True)
def _offered(heaps, row, key, thresholds):  # type: ignore[no-untyped-def]
    """The threshold of a row, after its heap has been offered a key."""
    if key > heaps[row, 0]:
        push(heaps, row, key)
        if heaps[row, 0] != EMPTY:
            thresholds[row] = max(thresholds[row], similarity_of(heaps[row, 0]))
    return thresholds[row]


@njit(nogil=True, boundscheck=False, fastmath={"reassoc", "contract"}, cache=True)
def _refined(bound, i, j, rows, columns):  # type: ignore[no-untyped-def]
    """A closer bound: that of twice the head."""
    x, y = rows[1], columns[1]
    total = np.float32(0.0)
    for d in range(x.shape[1]):
        total += x[i, d] * y[j, d]
    return bound - rows[2][i] * columns[2][j] + total + rows[3][i] * columns[3][j]
