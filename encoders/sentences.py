"""Embed distinct sentences of several languages, as a run embeds its segments."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from encoders.segments import embed_batch
from encoders.texts import segments_of
from mining.contract.encoder import Encoder
from mining.contract.schemas import embedding_schema
from mining.contract.vectors import unpack

_ROWS = 4096  # handed over at once; fixed, so that an encoder's own batches are always the same


def embed_sentences(
    encoder: Encoder, sentences: pa.Table
) -> tuple[NDArray[np.float16], dict[int, tuple[str, str]]]:
    """Embed sentences.

    Args:
        encoder: of text.
        sentences: M rows of segment_id (distinct), lang and text, in an order of their own: it decides
            which are embedded together.

    Returns:
        float16 [M, D], L2-normalised, zeros where there is none; and row -> reason and detail for
        those (``no_embedding``, ``bad_vector``).
    """
    schema = embedding_schema(encoder.dim, encoder.space, encoder.fingerprint)
    stored = np.zeros((sentences.num_rows, encoder.dim), dtype=np.float16)
    refused: dict[int, tuple[str, str]] = {}
    for start in range(0, sentences.num_rows, _ROWS):
        some = sentences.slice(start, _ROWS).combine_chunks()
        kept, rejected, _ = embed_batch(encoder, segments_of(some), schema)
        ids = some["segment_id"].combine_chunks()
        rows = pc.index_in(kept["segment_id"].combine_chunks(), ids).to_numpy()
        stored[start + rows] = unpack(kept["vector"], encoder.dim)
        for one in rejected.to_pylist():
            row = start + pc.index(ids, one["row_id"]).as_py()
            refused[row] = (one["reason"], one["detail"])
    return stored, refused
