"""Intermediate tables split by partition: one Arrow IPC file, one record batch a partition.

A reader of one partition touches only its own batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mining.contract.errors import DatasetError
from mining.io.filesystem import Storage, open_read, write_atomic

_COMPRESSION = "zstd"


def write_spill(
    uri: str, table: pa.Table, partition: NDArray[np.int32], storage: Storage
) -> list[int]:
    """Write a table split by ``partition`` (int32 [N], one a row).

    Returns:
        The partitions that hold rows, in the order of the file's batches.
    """
    order = np.argsort(partition, kind="stable")
    held, starts = np.unique(partition[order], return_index=True)
    sorted_table = table.take(pa.array(order)).combine_chunks()
    ends = [*starts, table.num_rows][1:]

    def write(file: BinaryIO) -> None:
        options = pa.ipc.IpcWriteOptions(compression=_COMPRESSION)
        with pa.ipc.new_file(file, table.schema, options=options) as writer:
            for start, end in zip(starts, ends, strict=True):
                writer.write_table(sorted_table.slice(start, end - start))

    write_atomic(uri, write, storage)
    return [int(p) for p in held]


def read_spill(uri: str, batches: Sequence[int] | None, storage: Storage) -> pa.Table:
    """Read some record batches of a spill file; None: all.

    Raises:
        DatasetError: if the file is damaged.
    """
    try:
        with open_read(uri, storage) as handle, pa.ipc.open_file(handle) as reader:
            wanted = range(reader.num_record_batches) if batches is None else batches
            return pa.Table.from_batches([reader.get_batch(i) for i in wanted], reader.schema)
    except pa.ArrowInvalid as error:
        raise DatasetError(
            f"{uri}: is damaged ({error}); remove the output and run again"
        ) from None
