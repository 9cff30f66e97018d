"""A similarity and a row in one int64, whose order is (similarity, then lower row).

The upper half is an order-preserving image of the float32, the lower the complement of the row.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

EMPTY = np.int64(-(2**63))  # below every key
_LOW = 0xFFFFFFFF

Keys = NDArray[np.int64]


@njit(nogil=True, cache=True)
def key_of(similarity, row):  # type: ignore[no-untyped-def]
    """Key of a float32 and an int64 below 2^32."""
    bits = np.int64(np.float32(similarity + np.float32(0.0)).view(np.int32))  # -0.0 becomes 0.0
    return ((bits ^ ((bits >> 63) & 0x7FFFFFFF)) << 32) | (_LOW - row)


@njit(nogil=True, cache=True)
def similarity_of(key):  # type: ignore[no-untyped-def]
    """The float32 of a key."""
    upper = key >> 32
    return np.int32(upper ^ ((upper >> 63) & 0x7FFFFFFF)).view(np.float32)


def keys(similarity: NDArray[np.float32], row: NDArray[np.int64]) -> Keys:
    """Keys of arrays that broadcast: int64."""
    bits = (similarity + np.float32(0.0)).view(np.int32)  # -0.0 becomes 0.0
    upper: Keys = _flip(bits).astype(np.int64) << 32
    return upper | (_LOW - row)


def similarities(of: Keys) -> NDArray[np.float32]:
    """float32 of each key."""
    return _flip((of >> 32).astype(np.int32)).view(np.float32)


def rows(of: Keys) -> NDArray[np.int64]:
    """Row of each key."""
    return _LOW - (of & _LOW)


def best(of: Keys, count: int) -> Keys:
    """The ``count`` highest keys of each row, best first: int64 [Q, count]."""
    if of.shape[1] > count:
        of = np.partition(of, of.shape[1] - count, axis=1)[:, of.shape[1] - count :]
    return np.sort(of, axis=1)[:, ::-1]


def _flip(bits: NDArray[np.int32]) -> NDArray[np.int32]:
    """Float order to integer order and back: negative floats grow as their bits fall."""
    return bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))
