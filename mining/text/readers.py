"""Read a text file of any format as batches of rows and rejects.

Law: the records of a file are numbered from 0, and each is either one row or one reject, unless its id
was forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

from mining.contract.errors import InputError
from mining.io.filesystem import Storage, open_decompressed
from mining.text.batch import Collector, ReadBatch, Value
from mining.text.columnar import read_parquet
from mining.text.records import (
    Damage,
    Line,
    parse_json,
    parse_quoted,
    read_lines,
    split_fields,
)
from mining.text.source import TextFile, TextSource


def read_batches(file: TextFile, source: TextSource, storage: Storage) -> Iterator[ReadBatch]:
    """Stream one file of a source.

    About 1 MiB of it is held at a time (one row group of Parquet). A record that cannot be read is
    a
    reject: ``undecodable``, ``too_long``, ``ragged_row`` (another number of fields than the header,
    or than the first record), ``empty`` (a blank line of a tsv, csv or jsonl file), ``bad_json``,
    ``not_text`` (a JSON value that is no string; an id may be an integer), ``missing_value``.

    Rows of an id that was forgotten are neither: they keep their numbers and are passed over.

    Args:
        file: one of :func:`mining.text.source.list_files`.
        source: how it is to be read.
        storage: storage options.

    Yields:
        Batches in file order; none of an empty file.

    Raises:
        InputError: the file is missing, cut, damaged, not of its format, or lacks a column.
    """
    if file.format == "parquet":
        yield from read_parquet(file, source, storage)
        return
    read = {"lines": _read_lines, "jsonl": _read_jsonl}.get(file.format, _read_delimited)
    with open_decompressed(file.uri, storage) as stream:
        lines = read_lines(stream, file.uri, source.max_record_bytes)
        yield from read(lines, file, source)


def _read_lines(
    lines: Iterator[list[Line]], file: TextFile, source: TextSource
) -> Iterator[ReadBatch]:
    collector = Collector(file, source.forgotten)
    for block in lines:
        for line in block:
            collector.add({"text": line})
        yield collector.batch()


def _read_delimited(
    lines: Iterator[list[Line]], file: TextFile, source: TextSource
) -> Iterator[ReadBatch]:
    delimiter = "\t" if file.format == "tsv" else ","
    quoting = file.format == "csv" if source.quoting is None else source.quoting
    blocks = (
        parse_quoted(lines, delimiter, source.max_record_bytes)
        if quoting
        else split_fields(lines, delimiter)
    )
    collector = Collector(file, source.forgotten)
    places: dict[str, int] = {}
    width = 0
    for block in blocks:
        for fields in block:
            if isinstance(fields, Damage):
                if source.header and not width:
                    raise InputError(
                        f"{file.uri}: must begin with a header, but its first line is unusable: "
                        f"{fields.detail}; set header to false, or mend the file"
                    )
                collector.refuse(fields)
                continue
            if not width:
                width, places = len(fields), _places(fields, file.uri, source)
                if source.header:
                    continue
            if len(fields) != width:
                collector.refuse(Damage("ragged_row", f"{len(fields)} fields, not {width}"))
            else:
                collector.add({role: fields[place] for role, place in places.items()})
        yield collector.batch()


def _places(first: list[str], uri: str, source: TextSource) -> dict[str, int]:
    """Role -> position, from the first record of the file."""
    places = {}
    for role, column in source.columns().items():
        if isinstance(column, int):
            place = column if 0 <= column < len(first) else None
        else:
            place = first.index(column) if first.count(column) == 1 else None
        if place is None:
            shown = ", ".join(map(repr, first)) if source.header else f"{len(first)} without names"
            raise InputError(
                f"{uri}: must have one {role} column {column!r}, but its columns are {shown}"
            )
        places[role] = place
    return places


def _read_jsonl(
    lines: Iterator[list[Line]], file: TextFile, source: TextSource
) -> Iterator[ReadBatch]:
    collector = Collector(file, source.forgotten)
    columns = {role: str(name) for role, name in source.columns().items()}
    seen = False  # whether any object was met
    for block in lines:
        values = [parse_json(line) for line in block]
        objects = [value for value in values if isinstance(value, dict)]
        if objects and not seen:
            seen = True
            _check_keys(objects, columns, file.uri)
        for value in values:
            if isinstance(value, Damage):
                collector.refuse(value)
            else:
                collector.add(
                    {role: _json_text(value, role, name) for role, name in columns.items()}
                )
        yield collector.batch()


def _check_keys(objects: list[dict[str, Any]], columns: dict[str, str], uri: str) -> None:
    """A key that no object of the first block has is a wrong setting, not a fault of every row."""
    keys = sorted(set(chain.from_iterable(objects)))
    for role, name in columns.items():
        if name not in keys:
            raise InputError(
                f"{uri}: must have the {role} key {name!r}, but its keys are "
                f"{', '.join(map(repr, keys))}"
            )


def _json_text(record: dict[str, Any], role: str, name: str) -> Value:
    value = record.get(name)
    if role == "id" and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if value is None:
        return None
    if not isinstance(value, str):
        return Damage("not_text", f"{name!r} is {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError:
        return Damage("undecodable", f"{name!r} holds half of a surrogate pair")
    return value
