"""Read files of sentence pairs with all their columns, so that every record comes out again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mining.contract.errors import InputError
from mining.io.filesystem import Storage, open_decompressed, open_read
from mining.text.records import (
    Damage,
    Fields,
    parse_json,
    parse_quoted,
    read_lines,
    split_fields,
)
from mining.text.source import TextFile, TextSource, list_files

_MAX_RECORD_BYTES = 1 << 20  # as for texts that are mined


@dataclass(frozen=True, kw_only=True)
class PairFile:
    """The records of one or more files.

    Attributes:
        table: N rows with the files' own columns. Of tsv and csv all are text; without a header they
            are named 0, 1, 2... Where a record could not be read, as many fields as it has, then nulls.
        damage: row -> why its record could not be read.
    """

    table: pa.Table
    damage: dict[int, Damage] = field(default_factory=dict)


def read_pair_files(uri: str, storage: Storage, *, header: bool = True) -> PairFile:
    """Read a file, a folder or a pattern of TSV, CSV, JSONL or Parquet, whole.

    Compression, quoting and damaged records are as in :func:`mining.text.readers.read_batches`.

    Args:
        uri: what to read; several files are read in the order of their names.
        storage: storage options.
        header: whether the first record of a tsv or csv file names its columns.

    Raises:
        InputError: no such file, no rows, a file that is cut or damaged as a whole, columns that have
            one name, or files that do not go together.
    """
    files = list_files(TextSource(uri=uri, lang="und"), storage)
    parts = [_read(file, storage, header) for file in files]
    try:
        table = pa.concat_tables([part.table for part in parts], promote_options="permissive")
    except pa.ArrowException as error:
        raise InputError(f"{uri}: files must have the same columns, but do not: {error}") from None
    if not table.num_rows:
        raise InputError(f"{uri}: must hold at least one row, but holds none")
    damage: dict[int, Damage] = {}
    start = 0
    for part in parts:
        damage |= {start + row: what for row, what in part.damage.items()}
        start += part.table.num_rows
    return PairFile(table=table.replace_schema_metadata(), damage=damage)


def _read(file: TextFile, storage: Storage, header: bool) -> PairFile:
    if file.format == "lines":
        raise InputError(
            f"{file.uri}: must have columns for both sides (TSV, CSV, JSONL, Parquet), but is plain "
            "lines; paste both sides together with tabs between"
        )
    if file.format == "parquet":
        return _read_parquet(file.uri, storage)
    with open_decompressed(file.uri, storage) as stream:
        lines = read_lines(stream, file.uri, _MAX_RECORD_BYTES)
        if file.format == "jsonl":
            return _of_objects(value for block in lines for value in map(parse_json, block))
        blocks = (
            parse_quoted(lines, ",", _MAX_RECORD_BYTES)
            if file.format == "csv"
            else split_fields(lines, "\t")
        )
        return _of_fields((fields for block in blocks for fields in block), file.uri, header)


def _read_parquet(uri: str, storage: Storage) -> PairFile:
    try:
        with open_read(uri, storage) as stream:
            table = pq.ParquetFile(stream).read()
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{uri}: must be a Parquet file, but cannot be read as one: {error}"
        ) from None
    _require_distinct(table.column_names, uri)
    return PairFile(table=table.replace_schema_metadata())


def _of_fields(records: Iterator[Fields], uri: str, header: bool) -> PairFile:
    names: list[str] | None = None
    columns: list[list[str | None]] = []
    damage: dict[int, Damage] = {}
    row = 0
    for record in records:
        if names is None:
            if isinstance(record, Damage):
                raise InputError(
                    f"{uri}: must begin with a readable record, but its first is not: "
                    f"{record.detail}; mend the file"
                )
            names = record if header else [str(number) for number in range(len(record))]
            _require_distinct(names, uri)
            columns = [[] for _ in names]
            if header:
                continue
        if isinstance(record, Damage):
            damage[row], record = record, []
        elif len(record) != len(names):
            damage[row] = Damage("ragged_row", f"{len(record)} fields, not {len(names)}")
        for number, column in enumerate(columns):
            column.append(record[number] if number < len(record) else None)
        row += 1
    arrays = [pa.array(column, pa.string()) for column in columns]
    return PairFile(table=pa.table(arrays, names=names or []), damage=damage)


def _of_objects(records: Iterator[dict[str, Any] | Damage]) -> PairFile:
    columns: dict[str, list[Any]] = {}
    damage: dict[int, Damage] = {}
    row = -1
    for row, record in enumerate(records):
        if isinstance(record, Damage):
            damage[row], record = record, {}
        for name, value in record.items():
            values = columns.setdefault(name, [])
            values += [None] * (row - len(values))
            values.append(value)
    filled = {name: values + [None] * (row + 1 - len(values)) for name, values in columns.items()}
    arrays = {name: _typed(values) for name, values in filled.items()}
    table = pa.table(arrays) if arrays else pa.table({"": pa.nulls(row + 1)})
    return PairFile(table=table, damage=damage)


def _typed(values: list[Any]) -> pa.Array:
    """Values of one type as they are, others as JSON."""
    try:
        return pa.array(values)
    except (pa.ArrowException, UnicodeEncodeError, OverflowError):
        dumped = [value if value is None else json.dumps(value) for value in values]
        return pa.array(dumped, pa.string())


def _require_distinct(names: list[str], uri: str) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(
            f"{uri}: columns must have distinct names, but {', '.join(map(repr, twice))} stands "
            "twice; rename one"
        )
