"""Read Parquet files as batches of rows and rejects."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from mining.contract.errors import InputError
from mining.io.filesystem import Storage, open_read
from mining.text.batch import Collector, ReadBatch, Value
from mining.text.records import decode_line, too_long
from mining.text.source import TextFile, TextSource

_BATCH_ROWS = 8192


def read_parquet(file: TextFile, source: TextSource, storage: Storage) -> Iterator[ReadBatch]:
    """Batches of at most 8,192 records.

    Raises:
        InputError: not a Parquet file, damaged, a column missing or of another type.
    """
    columns = {role: str(name) for role, name in source.columns().items()}
    with open_read(file.uri, storage) as stream:
        collector = Collector(file, source.forgotten)
        try:
            parquet = pq.ParquetFile(stream)
            _check_schema(parquet.schema_arrow, columns, file.uri)
            for batch in parquet.iter_batches(_BATCH_ROWS, columns=sorted(set(columns.values()))):
                _collect(batch, columns, collector, source.max_record_bytes)
                yield collector.batch()
        except (pa.ArrowException, OSError) as error:
            raise InputError(
                f"{file.uri}: must be a Parquet file, but cannot be read as one: {error}"
            ) from error


def _check_schema(schema: pa.Schema, columns: dict[str, str], uri: str) -> None:
    for role, name in columns.items():
        if schema.names.count(name) != 1:
            raise InputError(
                f"{uri}: must have one {role} column {name!r}, but its columns are "
                f"{', '.join(map(repr, schema.names))}"
            )
        kind = schema.field(name).type
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
        if not (is_text or pa.types.is_null(kind) or (role == "id" and pa.types.is_integer(kind))):
            raise InputError(f"{uri}: {role} column {name!r} must hold text, but holds {kind}")


def _collect(
    batch: pa.RecordBatch, columns: dict[str, str], collector: Collector, max_bytes: int
) -> None:
    values = [decoded(batch.column(name), max_bytes) for name in columns.values()]
    for record in zip(*values, strict=True):
        collector.add(dict(zip(columns, record, strict=True)))


def decoded(column: pa.Array, max_bytes: int) -> list[Value]:
    """The texts of a column; a ``Damage`` where one is too long or no UTF-8."""
    column = column.cast(pa.string())
    try:
        texts: list[Value] = column.to_pylist()
    except UnicodeDecodeError:  # Parquet readers do not check what a writer called a string
        raws = column.cast(pa.binary()).to_pylist()
        return [None if raw is None else decode_line(raw, max_bytes) for raw in raws]
    return [
        too_long(max_bytes)
        if isinstance(text, str) and 4 * len(text) > max_bytes and len(text.encode()) > max_bytes
        else text
        for text in texts
    ]
