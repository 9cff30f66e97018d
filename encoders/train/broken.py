"""What is kept of a batch whose loss is not a number, so that its cause can be found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from encoders.dual.items import Item, Spoken
from encoders.train.data.pairs import TrainingPair
from mining.io.filesystem import Storage, write_atomic

_SCHEMA = pa.schema(
    [
        ("loss", pa.float32()),
        ("source_key", pa.int64()),
        ("source_lang", pa.string()),
        ("source_text", pa.string()),
        ("source_units", pa.list_(pa.list_(pa.int16()))),
        ("target_key", pa.int64()),
        ("target_lang", pa.string()),
        ("target_text", pa.string()),
    ]
)


def save_batch(folder: Path, pairs: Sequence[TrainingPair], losses: NDArray[np.float32]) -> Path:
    """Write a batch as ``batch.parquet``: texts, units of speech, keys, and the loss of each pair.

    Returns:
        The file.
    """
    rows = [
        {
            "loss": float(loss),
            "source_key": pair.source_key,
            "source_lang": pair.source.lang,
            "source_text": _text(pair.source),
            "source_units": _units(pair.source),
            "target_key": pair.target_key,
            "target_lang": pair.target.lang,
            "target_text": _text(pair.target),
        }
        for pair, loss in zip(pairs, losses, strict=True)
    ]
    path = folder / "batch.parquet"
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), sink)
    write_atomic(str(path), sink.getvalue().to_pybytes(), Storage())
    return path


def _text(item: Item) -> str | None:
    return None if isinstance(item, Spoken) else item.text


def _units(item: Item) -> list[list[int]] | None:
    return [region.tolist() for region in item.regions] if isinstance(item, Spoken) else None
