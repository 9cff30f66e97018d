"""How a vector is stored: L2-normalised, float16, one fixed-size binary value a row.

N rows, D dimensions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mining.contract.errors import SchemaError

_BLOCK_ROWS = 4096  # rows held in float64 at a time
_CHECKED_VALUES = 1 << 18  # whose norms are looked at at a time: 1 MiB of float32
_STORED = np.dtype("<f2")
NORM_TOLERANCE = 0.004  # of stored vectors: rounding to float16 moves a norm by about 2^-11


def to_stored(vectors: NDArray[np.floating[Any]]) -> tuple[NDArray[np.float16], NDArray[np.bool_]]:
    """L2-normalise in float64 and round to float16. A row depends on no other row.

    Args:
        vectors: any float dtype [N, D], may be memory-mapped; not modified.

    Returns:
        float16 [N, D], and bool [N]: rows that have no direction (NaN, infinity or zero norm),
        which are stored as zeros.
    """
    stored = np.empty(vectors.shape, dtype=_STORED)
    bad = np.empty(len(vectors), dtype=np.bool_)
    for start in range(0, len(vectors), _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        block = np.array(vectors[rows], dtype=np.float64, order="C")
        with np.errstate(over="ignore", invalid="ignore"):
            norm = np.sqrt((block * block).sum(axis=1))
        bad[rows] = ~(np.isfinite(norm) & (norm > 0))
        block[bad[rows]] = 0.0
        norm[bad[rows]] = 1.0
        stored[rows] = block / norm[:, None]
    return stored, bad


def as_stored(
    vectors: NDArray[np.floating[Any]],
) -> tuple[NDArray[np.float16], NDArray[np.bool_]]:
    """Vectors as they are stored: those that are already, themselves; others normalised and rounded.

    Args:
        vectors: any float dtype [N, D], may be memory-mapped; not modified. float16 rows whose norms
            are all 1 within :data:`NORM_TOLERANCE` are taken for stored ones.

    Returns:
        See :func:`to_stored`; float16 input of unit rows is returned without a copy.
    """
    rows = max(1, _CHECKED_VALUES // max(1, vectors.shape[1]))
    if vectors.dtype == _STORED and all(
        np.all(np.abs(norms(vectors[at : at + rows]) - 1.0) <= NORM_TOLERANCE)
        for at in range(0, len(vectors), rows)
    ):
        return vectors.view(_STORED), np.zeros(len(vectors), dtype=np.bool_)
    return to_stored(vectors)


def norms(block: NDArray[np.float16]) -> NDArray[np.float32]:
    """L2 norms of some stored vectors: float32 [N]."""
    wide = block.astype(np.float32)
    return np.asarray(np.sqrt(np.einsum("nd,nd->n", wide, wide)), dtype=np.float32)


def pack(stored: NDArray[np.float16]) -> pa.FixedSizeBinaryArray:
    """float16 [N, D] as N binary values of 2 * D bytes, little-endian; no copy where contiguous."""
    values = np.ascontiguousarray(stored, dtype=_STORED)
    return pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(2 * values.shape[1]), len(values), [None, pa.py_buffer(values)]
    )


def unpack(column: pa.Array | pa.ChunkedArray, dim: int) -> NDArray[np.float16]:
    """float16 [N, dim] of a packed column: a read-only view unless it has several chunks.

    Raises:
        SchemaError: if the column is not ``fixed_size_binary(2 * dim)`` or holds nulls.
    """
    if column.type != pa.binary(2 * dim) or column.null_count:
        raise SchemaError(
            f"vector column: must be fixed_size_binary({2 * dim}) without nulls, but is "
            f"{column.type} with {column.null_count}; it was written for another dimension"
        )
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    views = [_view(chunk, dim) for chunk in chunks if len(chunk)]
    if not views:
        return np.empty((0, dim), dtype=_STORED)
    return views[0] if len(views) == 1 else np.concatenate(views)


def _view(chunk: pa.FixedSizeBinaryArray, dim: int) -> NDArray[np.float16]:
    view = np.frombuffer(
        chunk.buffers()[1],
        dtype=_STORED,
        count=len(chunk) * dim,
        offset=chunk.offset * 2 * dim,  # a slice shares its parent's buffer
    )
    return view.reshape(len(chunk), dim)
