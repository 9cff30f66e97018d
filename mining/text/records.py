"""Streams of records out of text files: lines, delimited fields, JSON objects. Bounded memory.

A record that cannot be read is a :class:`Damage` in its place, so that the rest of the file goes on
and every record keeps its number.
"""

from __future__ import annotations

import csv
import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from mining.contract.errors import InputError

BLOCK_BYTES = 1 << 20  # what is read, and so roughly what is held, at a time


@dataclass(frozen=True)
class Damage:
    """Why a record could not be read: a reject reason and one line about it."""

    reason: str
    detail: str


Line = str | Damage
Fields = list[str] | Damage


def read_lines(stream: BinaryIO, uri: str, max_bytes: int) -> Iterator[list[Line]]:
    r"""The lines of a UTF-8 stream, a block of them at a time.

    A line ends with "\n" or "\r\n" and nothing else; the last one may lack it. A byte order mark at
    the start is dropped.

    Args:
        stream: the bytes.
        uri: for messages.
        max_bytes: a longer line is a ``too_long`` and is never held whole.

    Yields:
        Lists of lines without their ends.

    Raises:
        InputError: the file is UTF-16.
    """
    rest, skipping, at_start = b"", False, True
    while chunk := stream.read(BLOCK_BYTES):
        if at_start:
            chunk, at_start = _without_mark(chunk, uri), False
        if skipping:
            end = chunk.find(b"\n")
            if end < 0:
                continue
            chunk, skipping = chunk[end + 1 :], False
        end = chunk.rfind(b"\n")
        if end < 0:
            rest += chunk
        else:
            yield _decode(rest + chunk[:end], max_bytes)
            rest = chunk[end + 1 :]
        if len(rest) > max_bytes:
            yield [too_long(max_bytes)]
            rest, skipping = b"", True
    if rest:
        yield _decode(rest, max_bytes)


def _without_mark(chunk: bytes, uri: str) -> bytes:
    if chunk.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{uri}: must be UTF-8, but is UTF-16; convert it with iconv -f UTF-16")
    return chunk.removeprefix(b"\xef\xbb\xbf")


def _decode(block: bytes, max_bytes: int) -> list[Line]:
    """The lines of a block that does not end with a line's end."""
    try:
        lines = block.decode().split("\n")
    except UnicodeDecodeError:
        return [decode_line(raw, max_bytes) for raw in block.split(b"\n")]
    if 4 * max(map(len, lines)) > max_bytes:  # UTF-8 takes at most four bytes a character
        return [decode_line(raw, max_bytes) for raw in block.split(b"\n")]
    if b"\r" in block:
        lines = [line.removesuffix("\r") for line in lines]
    return list(lines)


def decode_line(raw: bytes, max_bytes: int) -> Line:
    """One line (or value) out of its bytes."""
    if len(raw) > max_bytes:
        return too_long(max_bytes)
    try:
        return raw.decode().removesuffix("\r")
    except UnicodeDecodeError as error:
        return Damage("undecodable", f"byte 0x{raw[error.start]:02x} at {error.start} is not UTF-8")


def too_long(max_bytes: int) -> Damage:
    """The damage of a record of more than ``max_bytes``."""
    return Damage("too_long", f"more than {max_bytes} bytes")


def split_fields(blocks: Iterator[list[Line]], delimiter: str) -> Iterator[list[Fields]]:
    """Fields of lines in which a quote is a character like any other."""
    for block in blocks:
        yield [
            Damage("empty", "blank line")
            if line == ""
            else line.split(delimiter)
            if isinstance(line, str)
            else line
            for line in block
        ]


class _Supply:
    """Lines for ``csv.reader``, which asks for as many as a quoted record spans.

    Attributes:
        taken: the lines of the record being read.
    """

    def __init__(self, blocks: Iterator[list[Line]], max_bytes: int) -> None:
        self.taken: list[Line] = []
        self._waiting: deque[Line] = deque()
        self._blocks = blocks
        self._max_chars = max_bytes
        self._chars = 0

    def begin(self) -> bool:
        """Begin a record; False at the end of the file."""
        self.taken.clear()
        self._chars = 0
        while not self._waiting:
            block = next(self._blocks, None)
            if block is None:
                return False
            self._waiting.extend(block)
        return True

    def give_back(self) -> None:
        """Read again, as records of their own, all taken lines but the first."""
        self._waiting.extendleft(reversed(self.taken[1:]))
        del self.taken[1:]

    def __iter__(self) -> _Supply:
        return self

    def __next__(self) -> str:
        if self._chars > self._max_chars:
            raise StopIteration
        if not self._waiting:
            self._waiting.extend(next(self._blocks))
        line = self._waiting.popleft()
        self.taken.append(line)
        text = line + "\n" if isinstance(line, str) else "\n"
        self._chars += len(text)
        return text


def parse_quoted(
    blocks: Iterator[list[Line]], delimiter: str, max_bytes: int
) -> Iterator[list[Fields]]:
    """Fields of records in which double quotes may enclose a delimiter, a quote or a line's end.

    A record that breaks the quoting rules is a ``ragged_row``, and reading goes on at its second
    line, so that a quote left open costs one line and not the rest of the file. A quoted field
    holds at most ``csv.field_size_limit()`` characters (131,072).
    """
    supply = _Supply(blocks, max_bytes)
    reader = csv.reader(supply, delimiter=delimiter, strict=True)
    records: list[Fields] = []
    chars = 0
    while supply.begin():
        try:
            fields: Fields = next(reader)
        except (csv.Error, StopIteration) as error:
            alone = len(supply.taken) == 1 and "field limit" in str(error)
            fields = Damage(
                "too_long" if alone else "ragged_row", str(error) or "a quote stays open"
            )
            supply.give_back()
        damaged = [line for line in supply.taken if isinstance(line, Damage)]
        records.append(damaged[0] if damaged else fields or Damage("empty", "blank line"))
        chars += sum(len(line) for line in supply.taken if isinstance(line, str))
        if chars > BLOCK_BYTES:
            yield records
            records, chars = [], 0
    if records:
        yield records


def parse_json(line: Line) -> dict[str, Any] | Damage:
    """One line of a JSON Lines file: an object."""
    if isinstance(line, Damage):
        return line
    if not line or line.isspace():
        return Damage("empty", "blank line")
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        return Damage("bad_json", str(error))
    if not isinstance(value, dict):
        return Damage("bad_json", f"must be an object, but is {type(value).__name__}")
    return value
