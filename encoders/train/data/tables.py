"""Tables of training data, whatever their format, as Arrow columns of text.

Law: the records of a table are numbered from 0, and each is either one row or one reject.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mining.contract.errors import InputError
from mining.io.filesystem import Storage, compressed_suffix, list_glob, open_decompressed, open_read
from mining.text.records import (
    Damage,
    Fields,
    Line,
    decode_line,
    parse_json,
    parse_quoted,
    read_lines,
    split_fields,
)

_MAX_RECORD_BYTES = 1 << 20  # three hundred pages, many times any sentence
_BATCH_ROWS = 8192
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
Refuse = Callable[[str, str, str], None]
ROW = "row"  # int64 column of every batch: the record's number in its file


def table_files(uri: str, where: str) -> list[str]:
    """The files that an address, folder or glob names, sorted.

    Raises:
        InputError: there is none.
    """
    found = list_glob(uri, Storage())
    if not found:
        raise InputError(
            f"{where}: must name at least one file, but {uri} names none; check the path"
        )
    return found


def read_table(
    uri: str, columns: Sequence[str], required: Sequence[str], refuse: Refuse
) -> Iterator[pa.Table]:
    """Some columns of a TSV, CSV, JSONL or Parquet table, by its suffix (also compressed).

    TSV takes a quote as a letter, but a field that is quoted as a whole, as Common Voice 6 writes
    some, loses its quotes.

    Args:
        uri: one file.
        columns: names, each once; one that the table lacks is empty in all rows.
        required: those that it must have.
        refuse: takes row id, reason and detail of each record that cannot be read.

    Yields:
        Tables with ``row`` int64 and the columns as strings without nulls.

    Raises:
        InputError: the file is missing, cut, damaged, of an unknown suffix or lacks a column.
    """
    stem = uri[: len(uri) - len(compressed_suffix(uri))]
    suffix = os.path.splitext(stem)[1].lower()
    reader = {".tsv": _tsv, ".csv": _csv, ".jsonl": _jsonl, ".ndjson": _jsonl}.get(suffix)
    if suffix == ".parquet":
        yield from _parquet(uri, columns, required, refuse)
    elif reader is None:
        raise InputError(
            f"{uri}: the suffix must be one of .tsv .csv .jsonl .ndjson .parquet, but is {suffix!r}"
        )
    else:
        with open_decompressed(uri, Storage()) as stream:
            lines = read_lines(stream, uri, _MAX_RECORD_BYTES)
            yield from reader(lines, uri, columns, required, refuse)


def read_escaped(uri: str, columns: Sequence[str], refuse: Refuse) -> Iterator[pa.Table]:
    r"""Some columns of a table as CoVoST 2's own reader takes it: no quotes, ``\`` escapes.

    Args:
        uri: a TSV file with a header that names all of the columns.
        columns: names.
        refuse: takes row id, reason and detail of each record that cannot be read.

    Yields:
        As :func:`read_table`.

    Raises:
        InputError: as :func:`read_table`.
    """
    with open_decompressed(uri, Storage()) as stream:
        lines = read_lines(stream, uri, _MAX_RECORD_BYTES)
        blocks = ([_unescaped(line) for line in block] for block in lines)
        yield from _delimited(blocks, uri, columns, columns, refuse)


def _unescaped(line: Line) -> Fields:
    if isinstance(line, Damage):
        return line
    if not line:
        return Damage("empty", "blank line")
    if "\\" not in line:
        return line.split("\t")
    fields = next(csv.reader([line], delimiter="\t", quoting=csv.QUOTE_NONE, escapechar="\\"))
    return [field.rstrip("\n") for field in fields]


def _tsv(
    lines: Iterator[list[Line]],
    uri: str,
    columns: Sequence[str],
    required: Sequence[str],
    refuse: Refuse,
) -> Iterator[pa.Table]:
    blocks = split_fields(lines, "\t")
    yield from _delimited(blocks, uri, columns, required, refuse, unquoted)


def _csv(
    lines: Iterator[list[Line]],
    uri: str,
    columns: Sequence[str],
    required: Sequence[str],
    refuse: Refuse,
) -> Iterator[pa.Table]:
    blocks = parse_quoted(lines, ",", _MAX_RECORD_BYTES)
    yield from _delimited(blocks, uri, columns, required, refuse)


def unquoted(field: str) -> str:
    """A field without the quotes that enclose it, if it is quoted as CSV quotes."""
    if field[:1] == '"' and len(field) > 1 and _QUOTED.fullmatch(field):
        return field[1:-1].replace('""', '"')
    return field


def _delimited(
    blocks: Iterator[list[Fields]],
    uri: str,
    columns: Sequence[str],
    required: Sequence[str],
    refuse: Refuse,
    clean: Callable[[str], str] = str,
) -> Iterator[pa.Table]:
    header: list[str] = []
    number = 0
    for block in blocks:
        rows: list[int] = []
        values: list[list[str]] = [[] for _ in columns]
        for fields in block:
            if not header:
                header = _header(fields, uri, required)
                places = [header.index(name) if name in header else -1 for name in columns]
                continue
            if isinstance(fields, Damage):
                refuse(f"{uri}#{number}", fields.reason, fields.detail)
            elif len(fields) != len(header):
                detail = f"{len(fields)} fields, not {len(header)}"
                refuse(f"{uri}#{number}", "ragged_row", detail)
            else:
                rows.append(number)
                for column, place in zip(values, places, strict=True):
                    column.append(clean(fields[place]) if place >= 0 else "")
            number += 1
        yield _table(rows, columns, values)


def _header(fields: Fields, uri: str, required: Sequence[str]) -> list[str]:
    if isinstance(fields, Damage):
        raise InputError(
            f"{uri}: must begin with a header, but its first line is unusable: {fields.detail}"
        )
    _require(fields, uri, required)
    return fields


def _require(names: Sequence[str], uri: str, required: Sequence[str]) -> None:
    for name in required:
        if list(names).count(name) != 1:
            raise InputError(
                f"{uri}: must have one column {name!r}, but its columns are "
                f"{', '.join(map(repr, names))}; name it under columns"
            )


def _jsonl(
    lines: Iterator[list[Line]],
    uri: str,
    columns: Sequence[str],
    required: Sequence[str],
    refuse: Refuse,
) -> Iterator[pa.Table]:
    number, seen = 0, False
    for block in lines:
        records = [parse_json(line) for line in block]
        objects = [one for one in records if isinstance(one, dict)]
        if objects and not seen:
            seen = True
            _require(sorted(set().union(*objects)), uri, required)
        rows: list[int] = []
        values: list[list[str]] = [[] for _ in columns]
        for record in records:
            fields = record if isinstance(record, Damage) else _json_fields(record, columns)
            if isinstance(fields, Damage):
                refuse(f"{uri}#{number}", fields.reason, fields.detail)
            else:
                rows.append(number)
                for column, field in zip(values, fields, strict=True):
                    column.append(field)
            number += 1
        yield _table(rows, columns, values)


def _json_fields(record: dict[str, Any], columns: Sequence[str]) -> list[str] | Damage:
    fields = []
    for name in columns:
        value = record.get(name)
        if isinstance(value, bool) or not isinstance(value, str | int | float | None):
            return Damage("not_text", f"{name!r} is {type(value).__name__}")
        text = "" if value is None else str(value)
        if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
            return Damage("undecodable", f"{name!r} holds half of a surrogate pair")
        fields.append(text)
    return fields


def _texts(column: pa.Array) -> tuple[pa.StringArray, dict[int, Damage]]:
    """A column as text without nulls, and its values that are none (then empty)."""
    texts = pc.fill_null(column.cast(pa.string()), "")
    try:
        texts.validate(full=True)  # Parquet readers do not check what a writer called a string
    except pa.ArrowInvalid:
        raws = texts.cast(pa.binary()).to_pylist()
        lines = [decode_line(raw, _MAX_RECORD_BYTES) for raw in raws]
        bad = {row: line for row, line in enumerate(lines) if isinstance(line, Damage)}
        return pa.array([line if isinstance(line, str) else "" for line in lines]), bad
    return texts, {}


def _parquet(
    uri: str, columns: Sequence[str], required: Sequence[str], refuse: Refuse
) -> Iterator[pa.Table]:
    number = 0
    with open_read(uri, Storage()) as stream:
        try:
            file = pq.ParquetFile(stream)
            names = file.schema_arrow.names
            _require(names, uri, required)
            present = [name for name in columns if name in names]
            for batch in file.iter_batches(_BATCH_ROWS, columns=present):
                texts = {name: _texts(batch.column(name)) for name in present}
                bad = {row: damage for _, found in texts.values() for row, damage in found.items()}
                for row, damage in sorted(bad.items()):
                    refuse(f"{uri}#{number + row}", damage.reason, damage.detail)
                blank = pa.array([""] * batch.num_rows, pa.string())
                found = [texts[name][0] if name in texts else blank for name in columns]
                rows = pa.array(range(number, number + batch.num_rows), pa.int64())
                number += batch.num_rows
                good = pa.array([row not in bad for row in range(batch.num_rows)])
                yield pa.table([rows, *found], names=[ROW, *columns]).filter(good)
        except (pa.ArrowException, OSError) as error:
            raise InputError(
                f"{uri}: must be a Parquet file with columns of text and numbers, but cannot be read "
                f"as one: {error}"
            ) from error


def _table(rows: list[int], columns: Sequence[str], values: list[list[str]]) -> pa.Table:
    arrays = [pa.array(rows, pa.int64()), *(pa.array(column, pa.string()) for column in values)]
    return pa.table(arrays, names=[ROW, *columns])
