"""The one place that writes and reads Parquet, so that equal tables are equal bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mining.contract.errors import DatasetError, SchemaError
from mining.contract.schemas import checked
from mining.io.filesystem import Storage, exists, open_read, write_atomic

_ROW_GROUP_ROWS = 65536  # fixed: the bytes of a file must not depend on who wrote it
_CODEC, _CODEC_LEVEL = "zstd", 3


@dataclass(frozen=True, kw_only=True)
class Part:
    """One file of a dataset.

    Attributes:
        path: relative to the dataset's folder.
        rows: rows in it.
        sha256: of the whole file.
        langs: rows by language, where the table has a ``lang`` column.
    """

    path: str
    rows: int
    sha256: str
    langs: dict[str, int] = field(default_factory=dict)


def write_part(
    folder: str, path: str, table: pa.Table, schema: pa.Schema, storage: Storage
) -> Part:
    """Write ``table`` as ``folder/path``, all at once or not at all.

    A table with a ``lang`` column must be sorted by it; each language then begins a row group of its
    own, so that one language is read without the others.
    """
    try:
        table = table.cast(schema)
    except ValueError as error:  # other columns, other types, or nulls where none may be
        raise SchemaError(f"{folder}/{path}: {error}") from None
    table = checked(table, schema, f"{folder}/{path}")
    langs = _language_runs(table, f"{folder}/{path}")
    data = _encoded(table, tuple(langs.values()) or (table.num_rows,))
    write_atomic(f"{folder}/{path}", data, storage)
    return Part(
        path=path, rows=table.num_rows, sha256=hashlib.sha256(data).hexdigest(), langs=langs
    )


def write_table(uri: str, table: pa.Table, storage: Storage) -> None:
    """Write a table of any schema as a file of its own, all at once or not at all."""
    write_atomic(uri, _encoded(table, (table.num_rows,)), storage)


def _encoded(table: pa.Table, runs: Sequence[int]) -> bytes:
    """The bytes of a file; each run of rows begins a row group."""
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink, table.schema, compression=_CODEC, compression_level=_CODEC_LEVEL, version="2.6"
    ) as writer:
        start = 0
        for rows in runs:
            writer.write_table(table.slice(start, rows), row_group_size=_ROW_GROUP_ROWS)
            start += rows
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _language_runs(table: pa.Table, where: str) -> dict[str, int]:
    if "lang" not in table.column_names or not table.num_rows:
        return {}
    runs = pc.run_end_encode(table["lang"].combine_chunks())
    names, ends = runs.values.to_pylist(), runs.run_ends.to_pylist()
    if len(set(names)) != len(names):
        raise DatasetError(f"{where}: rows must be sorted by language before they are written")
    return {
        name: end - start for name, start, end in zip(names, [0, *ends[:-1]], ends, strict=True)
    }


def read_part(
    uri: str,
    schema: pa.Schema | None,
    storage: Storage,
    *,
    columns: Sequence[str] | None = None,
    lang: str | None = None,
    keep: Callable[[pa.Table], pa.Table] | None = None,
) -> pa.Table:
    """Read one file of a dataset.

    Args:
        uri: the file.
        schema: what it must be; None takes it as it is (its metadata is then the caller's business).
        storage: fsspec options.
        columns: only these.
        lang: only rows of this language.
        keep: takes the wanted rows out of one row group at a time, so that what is not wanted is
            never held together.

    Raises:
        DatasetError: if the file is gone or damaged.
        SchemaError: if it is something else.
    """
    try:
        with open_read(uri, storage) as handle:
            file = pq.ParquetFile(handle)
            if schema is not None:
                checked(file.schema_arrow.empty_table(), schema, uri)
            groups = list(range(file.num_row_groups))
            if lang is not None:
                column = file.schema_arrow.get_field_index("lang")
                groups = [
                    g for g in groups
                    if file.metadata.row_group(g).column(column).statistics.min == lang
                ]  # fmt: skip
            if keep is not None:
                kept = [keep(file.read_row_group(group, columns=columns)) for group in groups]
                return pa.concat_tables([file.read_row_groups([], columns=columns), *kept])
            return file.read_row_groups(groups, columns=columns)
    except (pa.ArrowException, OSError) as error:
        folder = uri.rpartition("/")[0]
        raise DatasetError(
            f"{uri}: must be a Parquet file of this run, but is damaged ({error}); remove {folder} "
            "and the folders of the same name below _state, and run again"
        ) from None


def count_rows(uri: str, storage: Storage) -> int | None:
    """Rows of a Parquet file, by its footer; None if there is no whole file."""
    if not exists(uri, storage):
        return None
    try:
        with open_read(uri, storage) as handle:
            return int(pq.ParquetFile(handle).metadata.num_rows)
    except (pa.ArrowException, OSError):
        return None


def read_schema(uri: str, storage: Storage) -> pa.Schema:
    """Schema of a Parquet file that anybody may have written, its metadata included.

    Raises:
        DatasetError: if it is no Parquet file.
    """
    try:
        with open_read(uri, storage) as handle:
            return pq.ParquetFile(handle).schema_arrow
    except (pa.ArrowException, OSError) as error:
        raise DatasetError(f"{uri}: must be a whole Parquet file, but is not ({error})") from None


def write_tables(uri: str, tables: Iterable[pa.Table], schema: pa.Schema, storage: Storage) -> None:
    """Write tables one after the other as one file, all at once or not at all; one is held at a time.

    Args:
        uri: the file.
        tables: of ``schema``; may be made while they are written.
        schema: of the file.
        storage: fsspec options.
    """

    def write(file: BinaryIO) -> None:
        with pq.ParquetWriter(
            file, schema, compression=_CODEC, compression_level=_CODEC_LEVEL, version="2.6"
        ) as writer:
            for table in tables:
                if table.num_rows:
                    writer.write_table(checked(table, schema, uri), row_group_size=_ROW_GROUP_ROWS)

    write_atomic(uri, write, storage)
