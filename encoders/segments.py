"""A batch of segments to stored vectors: what an encoder gives, and what is refused of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from mining.contract.encoder import Encoder, Tokens
from mining.contract.schemas import REJECT
from mining.contract.vectors import pack, to_stored


class Embedded(NamedTuple):
    """What became of a batch.

    Attributes:
        kept: EMBEDDING rows in the batch's order.
        rejected: REJECT rows: ``no_embedding`` where the encoder gave none, ``bad_vector`` where it is
            zero or not finite.
        tokens: what was computed.
    """

    kept: pa.Table
    rejected: pa.Table
    tokens: Tokens


def embed_batch(encoder: Encoder, batch: pa.RecordBatch, schema: pa.Schema) -> Embedded:
    """Embed a SEGMENT batch."""
    result = encoder.embed(batch)
    stored, bad = to_stored(result.vectors)
    reasons = {int(row): ("bad_vector", "zero or not finite") for row in np.flatnonzero(bad)}
    reasons |= {row: ("no_embedding", detail) for row, detail in result.problems.items()}
    keep = np.ones(batch.num_rows, dtype=bool)
    keep[list(reasons)] = False
    mask = pa.array(keep)
    kept = pa.table(
        [
            batch.column("segment_id").filter(mask),
            batch.column("lang").filter(mask),
            pack(stored[keep]),
        ],
        schema=schema,
    )
    rows = sorted(reasons)
    rejected = pa.table(
        {
            "row_id": batch.column("segment_id").take(pa.array(rows, pa.int64())),
            "stage": pa.array(["embed"] * len(rows), pa.string()),
            "reason": pa.array([reasons[row][0] for row in rows], pa.string()),
            "detail": pa.array([reasons[row][1] for row in rows], pa.string()),
        },
        schema=REJECT,
    )
    return Embedded(kept, rejected, result.tokens)
