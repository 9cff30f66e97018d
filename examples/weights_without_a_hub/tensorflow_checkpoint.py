"""The tensors of a TensorFlow checkpoint, read without TensorFlow.

A checkpoint is an index and a data file (tensorflow/core/util/tensor_bundle). The index is a sorted
table as LevelDB writes it (leveldb/doc/table_format.md): blocks of keys and values, a block that
says where those are, and a footer. A key is a tensor's name, its value a BundleEntryProto: number
format, shape, and where in the data file it lies. The empty key holds a BundleHeaderProto.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_FOOTER_BYTES = 48
_TRAILER_BYTES = 5  # kind of compression, CRC-32C
_MAGIC = bytes.fromhex("57fb808b247547db")
_UNCOMPRESSED = 0
_DT_FLOAT = 1
_MOST_BITS = 64
_VARINT, _BYTES, _FIXED32 = 0, 2, 5
_CASTAGNOLI = 0x82F63B78
_CRC_MASK = 0xA282EAD8


def tensors(index: Path, data: Path) -> dict[str, NDArray[np.float32]]:
    """Every tensor by its name, mapped from disk and not to be written to.

    Contents of blocks are checked against their checksums; those of tensors are not.

    Args:
        index: ``variables.index``.
        data: the one data file, little-endian; all tensors in it must be float32.

    Raises:
        SystemExit: one of the files is damaged, or of a kind that is not read here.
    """
    content = index.read_bytes()
    size_bytes = data.stat().st_size
    found = {}
    try:
        for key, value in _entries(content):
            if key:
                found[key.decode()] = _placed(value, size_bytes)
            else:
                _require_plain(value)
    except (ValueError, IndexError) as error:
        raise SystemExit(
            f"{index}: must be the index of a TensorFlow checkpoint, but is not: {error}; fetch it again"
        ) from None
    return {
        name: np.memmap(data, dtype="<f4", mode="r", offset=offset, shape=shape)
        for name, (offset, shape) in found.items()
    }


def _entries(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a table."""
    footer = content[-_FOOTER_BYTES:]
    if len(footer) < _FOOTER_BYTES or not footer.endswith(_MAGIC):
        raise ValueError("it does not end as a table")
    place = _handle(footer, _handle(footer, 0)[2])  # behind that of the meta index
    for _, value in _pairs(_block(content, place[0], place[1])):
        offset, length, _ = _handle(value, 0)
        yield from _pairs(_block(content, offset, length))


def _handle(content: bytes, at: int) -> tuple[int, int, int]:
    """Offset and length of a block, and where the handle ends."""
    offset, at = _varint(content, at)
    length, at = _varint(content, at)
    return offset, length, at


def _block(content: bytes, offset: int, length: int) -> bytes:
    """A block without its trailer."""
    end = offset + length + _TRAILER_BYTES
    if end > len(content):
        raise ValueError("a block lies behind its end")
    kept, stored = content[offset : end - 4], content[end - 4 : end]
    if masked_crc32c(kept) != int.from_bytes(stored, "little"):
        raise ValueError("a checksum is wrong")
    if kept[-1] != _UNCOMPRESSED:
        raise ValueError("a block is compressed, which is not read here")
    return kept[:-1]


def _pairs(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a block; a key repeats the beginning of the one before it."""
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 - 4 * restarts
    if end < 0:
        raise ValueError("a block is too short")
    at, key = 0, b""
    while at < end:
        shared, at = _varint(block, at)
        added, at = _varint(block, at)
        length, at = _varint(block, at)
        if shared > len(key) or at + added + length > end:
            raise ValueError("a key or a value is too long")
        key = key[:shared] + block[at : at + added]
        yield key, block[at + added : at + added + length]
        at += added + length


def _require_plain(header: bytes) -> None:
    """Refuse several data files, and big-endian ones."""
    fields = dict(_fields(header))
    if fields.get(1) != 1 or fields.get(2, 0) != 0:
        raise ValueError("it is not of one little-endian data file")


def _placed(entry: bytes, size_bytes: int) -> tuple[int, tuple[int, ...]]:
    """Offset and shape of a tensor in the data file."""
    fields = dict(_fields(entry))
    dtype, offset, length = fields.get(1), fields.get(4, 0), fields.get(5, 0)
    shape = fields.get(2, b"")
    if dtype != _DT_FLOAT or fields.get(3, 0) != 0 or 7 in fields:
        raise ValueError("a tensor is not of float32, or is in slices")
    if not (isinstance(shape, bytes) and isinstance(offset, int) and isinstance(length, int)):
        raise ValueError("an entry is of the wrong form")
    sides = tuple(_side(dim) for number, dim in _fields(shape) if number == 2)
    if not length or 4 * math.prod(sides) != length or offset + length > size_bytes:
        raise ValueError("a tensor's shape does not go with its place in the data file")
    return offset, sides


def _side(dim: int | bytes) -> int:
    size = dict(_fields(dim)).get(1, 0) if isinstance(dim, bytes) else 0
    if not isinstance(size, int):
        raise ValueError("a shape is of the wrong form")
    return size


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field of a protocol buffer."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        if tag & 7 == _VARINT:
            value, at = _varint(message, at)
            yield tag >> 3, value
            continue
        if tag & 7 == _BYTES:
            length, at = _varint(message, at)
        elif tag & 7 == _FIXED32:
            length = 4
        else:
            raise ValueError("an entry is of the wrong form")
        if at + length > len(message):
            raise ValueError("an entry is cut off")
        yield tag >> 3, message[at : at + length]
        at += length


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """A number in 7 bits a byte, lowest first, and where it ends."""
    value = 0
    for shift in range(0, _MOST_BITS, 7):
        byte = content[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("a number is too long")


def masked_crc32c(content: bytes) -> int:
    """CRC-32C as LevelDB stores it, rotated and shifted; by bits, for a few kilobytes."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (_CASTAGNOLI if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + _CRC_MASK) & 0xFFFFFFFF
