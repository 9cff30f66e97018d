"""A raw look at every byte of an output, compressed pages included."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

_MAGIC = b"\x28\xb5\x2f\xfd"  # RFC 8878: of a Zstandard frame


def everything(path: Path) -> bytes:
    """The bytes of a file, and of each Zstandard frame in it: pages of Parquet, buffers of Arrow."""
    data = path.read_bytes()
    return b"\n".join([str(path).encode(), data, *_frames(data)])


def _frames(data: bytes) -> Iterator[bytes]:
    start = data.find(_MAGIC)
    while start >= 0:
        with suppress(zstandard.ZstdError):  # four bytes that look like one
            yield zstandard.ZstdDecompressor().decompressobj().decompress(data[start:])
        start = data.find(_MAGIC, start + 1)


def cells(output: Path) -> set[str]:
    """Every string of every table."""
    found: set[str] = set()
    for path in output.rglob("*"):
        if path.suffix == ".parquet":
            table = pq.read_table(path)
        elif path.suffix == ".arrow":
            table = pa.ipc.open_file(path).read_all()
        else:
            continue
        for name in table.column_names:
            if pa.types.is_string(table.schema.field(name).type):
                found.update(table[name].drop_null().to_pylist())
    return found


def holding(output: Path, needles: Sequence[str]) -> dict[str, list[str]]:
    """Which files hold which of some strings."""
    found: dict[str, list[str]] = {}
    for path in sorted(output.rglob("*")):
        if path.is_file():
            data = everything(path)
            for needle in needles:
                if needle.encode() in data:
                    found.setdefault(needle, []).append(str(path.relative_to(output)))
    return found
