"""Compiled scan of a tile of similarities: what is above a row's or a column's threshold is kept.

A strip of 64 similarities is compared with the thresholds at once; almost all strips end there. Heaps
hold keys (see :mod:`mining.knn.keys`), the lowest first; a threshold is the lowest similarity of a
full heap, so that what is not above it can be left out.

B rows and W columns of the tile, W a multiple of 64; P places in a heap.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from mining.knn.keys import EMPTY, key_of, similarity_of

STRIP = 64
LOWEST = np.float32(-3e38)  # the threshold of a heap that is not full: every similarity is above
# The threshold of a column that is none; finite, since compiled comparisons expect that.
HIGHEST = np.float32(3e38)
SEEDED_PLACES = 32  # of heaps whose first threshold the maxima of 64 groups tell
_HALVINGS = 14  # of the range from -2 to 2, where they do not: to 0.0003

Floats = NDArray[np.float32]
Keys = NDArray[np.int64]
_STRIP, _ZERO = np.uint64(STRIP), np.uint64(0)  # unsigned: LLVM vectorises the strips only then
_WORDS = STRIP // 8


def scratch(columns: int, row_places: int, column_places: int) -> tuple[NDArray[Any], ...]:
    """What one thread scans tiles of up to W columns with."""
    mask = np.zeros(STRIP, np.uint8)
    return (
        mask,
        mask.view(np.uint64),
        np.zeros(columns // STRIP, np.uint64),
        np.zeros(STRIP, np.float32),
        np.zeros(row_places, np.float32),
        np.zeros((column_places + 1, STRIP), np.float32),
        np.zeros(columns, np.float32),
        np.full(columns, HIGHEST),
        np.zeros(columns, np.float32),
    )


@njit(nogil=True, boundscheck=False, cache=True)
def scan(  # type: ignore[no-untyped-def]
    tile, first_row, first_column, row_heaps, row_thresholds, column_heaps, column_thresholds, own
):
    """Put every similarity above a threshold into its heap, and raise the threshold.

    Args:
        tile: float32 [B, W].
        first_row: number of the tile's first row, which goes into the columns' keys.
        first_column: likewise.
        row_heaps: int64 [B, P].
        row_thresholds: float32 [B].
        column_heaps: int64 [W, P'].
        column_thresholds: float32 [W].
        own: of :func:`scratch`.
    """
    mask, words, flagged, groups, top = own[:5]
    places = row_heaps.shape[1]
    for i in range(tile.shape[0]):
        row = tile[i]
        threshold = row_thresholds[i]
        if threshold == LOWEST and places <= SEEDED_PLACES:
            threshold = below(highest_of_groups(row, groups, top))
        for q in range(flag(row, column_thresholds, threshold, flagged)):
            strip = flagged[q]
            compare(row, column_thresholds, strip, threshold, mask)
            for word in range(_WORDS):
                if words[word] == 0:
                    continue
                for bit in range(8 * word, 8 * word + 8):
                    if mask[bit] == 0:
                        continue
                    j = np.int64(strip) + bit
                    similarity = tile[i, j]
                    if similarity > threshold:
                        push(row_heaps, i, key_of(similarity, first_column + j))
                        if row_heaps[i, 0] != EMPTY:
                            threshold = similarity_of(row_heaps[i, 0])
                    if similarity > column_thresholds[j]:
                        push(column_heaps, j, key_of(similarity, first_row + i))
                        if column_heaps[j, 0] != EMPTY:
                            column_thresholds[j] = similarity_of(column_heaps[j, 0])
        row_thresholds[i] = threshold


@njit(nogil=True, boundscheck=False, fastmath={"nnan", "nsz"}, cache=True)
def seed_columns(tile, thresholds, places, own):  # type: ignore[no-untyped-def]
    """Thresholds of columns that have seen nothing: just below the P-th highest of the tile.

    By a sorting network of P places, all columns of a strip at once: the first tile would otherwise
    fill and refill the heaps with P ln(B / P) similarities a column.

    Args:
        tile: float32 [B, W].
        thresholds: float32 [W], written.
        places: P.
        own: of :func:`scratch`.
    """
    network = own[5]
    for strip in range(_ZERO, np.uint64(tile.shape[1]), _STRIP):
        network[:] = LOWEST
        for i in range(tile.shape[0]):
            values = tile[i, strip : strip + _STRIP]
            falling = network[places]
            for j in range(STRIP):
                falling[j] = values[j]
            for place in range(places):
                held = network[place]
                for j in range(STRIP):
                    a, b = held[j], falling[j]
                    held[j] = a if a > b else b
                    falling[j] = b if a > b else a
        for j in range(STRIP):
            thresholds[np.int64(strip) + j] = below(network[places - 1, j])


@njit(nogil=True, boundscheck=False, cache=True)
def below(value):  # type: ignore[no-untyped-def]
    """So that what equals ``value`` is above."""
    if value <= LOWEST:
        return LOWEST
    return np.float32(value - max(abs(value) * np.float32(2.0**-22), np.float32(2.0**-100)))


@njit(nogil=True, boundscheck=False, fastmath={"nnan", "nsz"}, cache=True)
def highest_of_groups(row, groups, top):  # type: ignore[no-untyped-def]
    """The P-th highest of 64 maxima; each is of other columns, so that at least P are as high."""
    for j in range(STRIP):
        groups[j] = LOWEST
    for strip in range(_ZERO, np.uint64(row.shape[0]), _STRIP):
        values = row[strip : strip + _STRIP]
        for j in range(STRIP):
            a, b = values[j], groups[j]
            groups[j] = a if a > b else b
    top[:] = LOWEST
    for j in range(STRIP):
        keep_highest(top, groups[j])
    return top[top.shape[0] - 1]


@njit(nogil=True, boundscheck=False, cache=True)
def likely_above(row, groups, top):  # type: ignore[no-untyped-def]
    """What at least P of a row are above, and not many more; bounds of cosines."""
    if top.shape[0] <= SEEDED_PLACES:
        return below(highest_of_groups(row, groups, top))
    low, high = np.float32(-2.0), np.float32(2.0)
    if _above(row, low) < top.shape[0]:
        return LOWEST
    for _ in range(_HALVINGS):
        middle = np.float32(0.5) * (low + high)
        if _above(row, middle) < top.shape[0]:
            high = middle
        else:
            low = middle
    return low


@njit(nogil=True, boundscheck=False, fastmath=True, cache=True)
def _above(row, value):  # type: ignore[no-untyped-def]
    """How many are above a value."""
    count = np.int32(0)
    for j in range(_ZERO, np.uint64(row.shape[0])):
        count = np.int32(count + np.int32(row[j] > value))
    return count


@njit(nogil=True, inline="always", boundscheck=False, cache=True)
def keep_highest(top, value):  # type: ignore[no-untyped-def]
    """Put a value where it belongs among the P highest, which fall."""
    place = top.shape[0] - 1
    if value > top[place]:
        while place > 0 and top[place - 1] < value:
            top[place] = top[place - 1]
            place -= 1
        top[place] = value


@njit(nogil=True, boundscheck=False, fastmath=True, cache=True)
def flag(row, thresholds, threshold, flagged):  # type: ignore[no-untyped-def]
    """Where the strips with a similarity above a threshold begin; how many there are."""
    count = 0
    for strip in range(_ZERO, np.uint64(row.shape[0]), _STRIP):
        hits = np.int32(0)
        for j in range(strip, strip + _STRIP):
            hits = np.int32(hits + np.int32((row[j] > threshold) | (row[j] > thresholds[j])))
        if hits > 0:
            flagged[count] = strip
            count += 1
    return count


@njit(nogil=True, boundscheck=False, fastmath=True, cache=True)
def compare(row, thresholds, strip, threshold, mask):  # type: ignore[no-untyped-def]
    """Which similarities of a strip are above a threshold: uint8 [64]."""
    for j in range(_ZERO, _STRIP):
        value, other = row[strip + j], thresholds[strip + j]
        mask[j] = np.uint8((value > threshold) | (value > other))


@njit(nogil=True, boundscheck=False, cache=True)
def push(heaps, row, key):  # type: ignore[no-untyped-def]
    """Replace the lowest key of a heap."""
    places = np.int64(heaps.shape[1])
    at = np.int64(0)
    while True:
        child = 2 * at + 1
        if child >= places:
            break
        lower = heaps[row, child]
        if child + 1 < places and heaps[row, child + 1] < lower:
            child += 1
            lower = heaps[row, child]
        if lower >= key:
            break
        heaps[row, at] = lower
        at = child
    heaps[row, at] = key
