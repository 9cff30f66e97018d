"""Exact top-k from nominees: re-scored, certified, and scanned again where the certificate fails.

The similarity of two stored vectors is their dot product in float64, rounded once to float32.
Stored values are multiples of 2^-24 and norms are about 1, so products are multiples of 2^-48 and
every partial sum fits in the 53 bits of a float64: the result is the same in any order, on any
machine.

Q queries, N index rows, D dimensions, P nominees and K neighbours a query.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mining.knn.backend import Nominator

NORM_TOLERANCE = 0.004  # float16 rounding moves a norm by about 2^-11
_BOUND_SLACK = (1.0 + NORM_TOLERANCE) ** 2  # the backend's bound is for norms of 1
_GATHER_VALUES = 1 << 20  # float64 values gathered at a time when re-scoring: 8 MiB
_SCAN_QUERIES, _SCAN_ROWS = 512, 4096  # block of the exact scan: 16 MiB of float64
_LOW = 0xFFFFFFFF


def nearest(
    queries: NDArray[np.float32], index: NDArray[np.float32], k: int, backend: Nominator
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The K = min(k, N) most similar index rows of each query; equal similarities by lower row.

    The backend nominates P > K rows. Every other row has an exact similarity of at most the lowest
    nominated one plus the backend's error bound; a query is certified when its exact K-th
    similarity is above that. The others are scanned in full.

    Args:
        queries: float32 [Q, D], exactly the stored float16 values.
        index: float32 [N, D], likewise.
        k: neighbours wanted.
        backend: nominates.

    Returns:
        similarity float32 [Q, K] and row int64 [Q, K], nearest first.
    """
    k = min(k, len(index))
    if not len(queries) or not k:
        return np.empty((len(queries), k), np.float32), np.empty((len(queries), k), np.int64)
    count = min(len(index), k + max(4, k // 2))
    nominees = backend.nominate(queries, index, count)
    exact = _rescore(queries, index, nominees.row)
    keys = _best(_keys(exact, nominees.row), k)
    if count < len(index):
        bound = backend.error_bound(queries.shape[1]) * _BOUND_SLACK
        others = nominees.similarity.min(axis=1).astype(np.float64) + bound
        doubtful = np.flatnonzero(_similarity(keys[:, -1]) <= others.astype(np.float32))
        for start in range(0, len(doubtful), _SCAN_QUERIES):
            rows = doubtful[start : start + _SCAN_QUERIES]
            keys[rows] = _scan(queries[rows], index, k)
    return _similarity(keys), _row(keys)


def _rescore(
    queries: NDArray[np.float32], index: NDArray[np.float32], rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Exact similarity of each query and its rows: float32 [Q, P]."""
    out = np.empty(rows.shape, dtype=np.float32)
    step = max(1, _GATHER_VALUES // (rows.shape[1] * queries.shape[1]))
    for start in range(0, len(queries), step):
        block = slice(start, start + step)
        found = index[rows[block]].astype(np.float64)
        out[block] = np.matmul(found, queries[block, :, None].astype(np.float64))[..., 0]
    return out


def _scan(queries: NDArray[np.float32], index: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Keys of the k nearest of all index rows: int64 [Q, k], best first."""
    wide = queries.astype(np.float64)
    best = np.empty((len(queries), 0), dtype=np.int64)
    for start in range(0, len(index), _SCAN_ROWS):
        block = index[start : start + _SCAN_ROWS].astype(np.float64)
        exact = (wide @ block.T).astype(np.float32)
        rows = np.arange(start, start + len(block), dtype=np.int64)
        best = _best(np.concatenate([best, _keys(exact, rows)], axis=1), k)
    return best


# A key is one int64 whose order is (similarity, then lower row): an order-preserving image of the
# float32 in the upper half, the complement of the row in the lower.


def _keys(similarity: NDArray[np.float32], row: NDArray[np.int64]) -> NDArray[np.int64]:
    bits = (similarity + np.float32(0.0)).view(np.int32)  # -0.0 becomes 0.0
    upper: NDArray[np.int64] = _flip(bits).astype(np.int64) << 32
    return upper | (_LOW - row)


def _similarity(keys: NDArray[np.int64]) -> NDArray[np.float32]:
    return _flip((keys >> 32).astype(np.int32)).view(np.float32)


def _row(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    return _LOW - (keys & _LOW)


def _flip(bits: NDArray[np.int32]) -> NDArray[np.int32]:
    """Float order to integer order and back: negative floats grow as their bits fall."""
    return bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))


def _best(keys: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    if keys.shape[1] > k:
        keys = np.partition(keys, keys.shape[1] - k, axis=1)[:, keys.shape[1] - k :]
    return np.sort(keys, axis=1)[:, ::-1]
