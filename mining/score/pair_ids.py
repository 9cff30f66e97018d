"""Ids of very many pairs: BLAKE2b compiled, since a call of hashlib for each takes most of the time.

RFC 7693. A message here is two ids and a separator, so that it fits in one block of 128 bytes and
its digest is one call of the compression function. P pairs.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mining.contract.ids import pair_ids

Ints = NDArray[np.int64]

_FEW = 1 << 16  # pairs; so many hashlib does in the time that numba takes to start
_AT_ONCE = 1 << 22  # pairs a chunk: a string array's offsets are 32 bits
_BLOCK_BYTES = 128
_ID_CHARS = 32


def pair_id_array(src: tuple[pa.Array, Ints], tgt: tuple[pa.Array, Ints]) -> pa.ChunkedArray:
    """``mining.contract.ids.pair_id`` of many pairs.

    Args:
        src: ids, and int64 [P]: which of them each pair has.
        tgt: the same of the other side.

    Returns:
        string [P].
    """
    count = len(src[1])
    compiled = count >= _FEW and _longest(src[0]) + _longest(tgt[0]) < _BLOCK_BYTES
    make = _compiled if compiled else _plain
    starts = range(0, count, _AT_ONCE)
    parts = [
        make((src[0], src[1][start : start + _AT_ONCE]), (tgt[0], tgt[1][start : start + _AT_ONCE]))
        for start in starts
    ]
    return pa.chunked_array(parts, pa.string())


def _plain(src: tuple[pa.Array, Ints], tgt: tuple[pa.Array, Ints]) -> pa.Array:
    sides = (ids.take(pa.array(rows)).to_pylist() for ids, rows in (src, tgt))
    return pa.array(pair_ids(*sides), pa.string(), size=len(src[1]))


def _compiled(src: tuple[pa.Array, Ints], tgt: tuple[pa.Array, Ints]) -> pa.Array:
    from mining.score.blake2b import hex_digests

    count = len(src[1])
    sides = [(*_buffers(ids), np.ascontiguousarray(rows)) for ids, rows in (src, tgt)]
    letters = hex_digests(*sides[0], *sides[1])
    offsets = np.arange(count + 1, dtype=np.int32) * _ID_CHARS
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(letters))


def _buffers(ids: pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Bytes of all ids, and where each begins and the last ends."""
    _, offsets, data = ids.buffers()
    places = np.frombuffer(offsets, np.int32, len(ids) + 1, ids.offset * 4)
    letters = np.empty(0, np.uint8) if data is None else np.frombuffer(data, np.uint8)
    return letters, places


def _longest(ids: pa.Array) -> int:
    places = _buffers(ids)[1] if len(ids) else np.zeros(1, np.int32)
    return int(np.diff(places).max(initial=0))
