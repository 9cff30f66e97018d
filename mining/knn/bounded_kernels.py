"""Compiled scan of upper bounds: only what could be among the nearest is computed, exactly.

B rows and W columns of a tile, V columns in whole strips of 64; D dimensions, H of them in a head and
2 H in a longer head; K places in a heap. Heaps hold exact similarities, so that what is not above a full
heap's lowest can be left out for good.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from mining.knn.int8_kernels import bound
from mining.knn.keys import EMPTY, key_of, similarity_of
from mining.knn.rescore import product, rough_error, rough_product
from mining.knn.scan_kernels import LOWEST, STRIP, compare, flag, likely_above, push

NO_FACTS = (np.empty((5, 0), np.float32), np.empty((5, 0), np.float32))
_WORDS = STRIP // 8
_ZERO = np.uint64(0)  # unsigned: LLVM vectorises loops over it


@njit(nogil=True, boundscheck=False, cache=True)
def scan_bounds(  # type: ignore[no-untyped-def]
    tile, facts, first, rows, columns, slack, row_state, column_state, own
):
    """Put the exact similarity of every pair whose bound is above a threshold into both heaps.

    A row whose heap is empty has the K pairs of its highest bounds computed first, so that its
    threshold is high when the others come. Arrays that a pair needs are taken out of their tuples once:
    each time counts a reference, which would be a tenth of the time.

    Args:
        tile: int32 [B, W], products of codes; or, where there are no facts, the bits of float32 [B, V],
            upper bounds of similarities but for ``slack``, overwritten in part.
        facts: float32 [5, B] and float32 [5, W] of :func:`mining.knn.int8_kernels.encode`, or
            :data:`NO_FACTS`.
        first: numbers of the tile's first row and first column.
        rows: float32 [B, D] stored values times ``SCALE``; float32 [B, H], float32 [B] and float32 [B]:
            the second half of the longer head, and the lengths of what lies beyond the head and the
            longer head; H may be 0.
        columns: uint16 [W, D] bits of stored values, and the rest as of the rows.
        slack: float32, what rounding may have taken from a bound.
        row_state: int64 [B, K] heaps and float32 [B] thresholds: the lowest similarity of a full heap.
        column_state: int64 [V, K'] and float32 [V].
        own: of :func:`mining.knn.scan_kernels.scratch`.
    """
    mask, words, flagged, groups, top, _, lowered, none, buffer = own
    x, x_rest, x_beyond, x_longer = rows
    y, y_rest, y_beyond, y_longer = columns
    closer = x_rest.shape[1] > 0
    row_heaps, row_thresholds = row_state
    heaps, thresholds = column_state
    width = thresholds.shape[0]
    rounding = rough_error(x.shape[1])
    lowered, bounds = lowered[:width], buffer[:width]
    for at in range(width):
        lowered[at] = thresholds[at] - slack
    for i in range(tile.shape[0]):
        if facts[0].shape[1] == 0:
            bounds = tile[i].view(np.float32)
        else:
            bound(tile, i, facts[0], facts[1], bounds)
        if row_thresholds[i] == LOWEST:
            likely = likely_above(bounds, groups, top)
            for q in range(flag(bounds, none, likely, flagged)):
                for at in range(np.int64(flagged[q]), np.int64(flagged[q]) + STRIP):
                    if bounds[at] > likely:
                        similarity = product(x, i, y, at)
                        _offer(row_heaps, row_thresholds, i, key_of(similarity, first[1] + at))
                        _offer(heaps, thresholds, at, key_of(similarity, first[0] + i))
                        lowered[at] = thresholds[at] - slack
                        bounds[at] = LOWEST  # done
        threshold = row_thresholds[i] - slack
        for q in range(flag(bounds, lowered, threshold, flagged)):
            compare(bounds, lowered, flagged[q], threshold, mask)
            for word in range(_WORDS):
                if words[word] == 0:
                    continue
                for bit in range(8 * word, 8 * word + 8):
                    j = np.int64(flagged[q]) + bit
                    needed = min(threshold, lowered[j])
                    if mask[bit] == 0 or not bounds[j] > needed:
                        continue
                    if closer:
                        rest = _product(x_rest, i, y_rest, j) + x_longer[i] * y_longer[j]
                        if bounds[j] - x_beyond[i] * y_beyond[j] + rest <= needed:
                            continue
                    if rough_product(x, i, y, j) + rounding <= needed:
                        continue
                    similarity = product(x, i, y, j)
                    _offer(row_heaps, row_thresholds, i, key_of(similarity, first[1] + j))
                    _offer(heaps, thresholds, j, key_of(similarity, first[0] + i))
                    lowered[j] = thresholds[j] - slack
                    threshold = row_thresholds[i] - slack


@njit(nogil=True, inline="always", boundscheck=False, cache=True)
def _offer(heaps, thresholds, row, key):  # type: ignore[no-untyped-def]
    """Offer a heap a key, and raise the row's threshold."""
    if key > heaps[row, 0]:
        push(heaps, row, key)
        if heaps[row, 0] != EMPTY:
            thresholds[row] = max(thresholds[row], similarity_of(heaps[row, 0]))


@njit(nogil=True, boundscheck=False, fastmath={"reassoc", "contract"}, cache=True)
def _product(x, i, y, j):  # type: ignore[no-untyped-def]
    """Of a row of float32 [B, H] and one of [W, H]."""
    total = np.float32(0.0)
    for d in range(_ZERO, np.uint64(x.shape[1])):
        total += x[i, d] * y[j, d]
    return total
