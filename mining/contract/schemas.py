"""The tables that pass between stages, as Arrow schemas.

Each carries its name and version in its metadata; :func:`checked` verifies a table at both edges of
every stage. A published schema is never edited: a change is a new version.
"""

from __future__ import annotations

import pyarrow as pa

from mining.contract.errors import SchemaError

TEXT = "text"
SPEECH = "speech"
FORWARD = "forward"  # source rows search target rows
BACKWARD = "backward"  # target rows search source rows

# Why a row was refused: a closed set, so that counts can be compared between runs.
REJECT_REASONS = frozenset(
    {
        "empty",
        "too_short",
        "too_long",
        "undecodable",
        "ragged_row",
        "missing_value",
        "not_text",
        "bad_json",
        "unknown_language",
        "unwanted_language",
        "duplicate_id",
        "benchmark_overlap",
        "no_embedding",
        "bad_vector",
        "below_threshold",
        "above_score_max",
        "not_best",
        "not_mutual",
    }
)


def _schema(name: str, version: int, fields: list[pa.Field]) -> pa.Schema:
    return pa.schema(
        fields, metadata={"mining.schema": name, "mining.schema_version": str(version)}
    )


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


# Time is integer samples plus a rate, never float seconds. Rows of text leave the audio columns null.
SEGMENT = _schema(
    "segment",
    1,
    [
        _required("segment_id", pa.string()),
        _required("corpus", pa.string()),
        _required("modality", pa.string()),
        _required("lang", pa.string()),
        pa.field("text", pa.string()),
        pa.field("doc_id", pa.string()),
        pa.field("recording_id", pa.string()),
        pa.field("source_uri", pa.string()),
        pa.field("channel", pa.int16()),
        pa.field("start_sample", pa.int64()),
        pa.field("num_samples", pa.int64()),
        pa.field("sample_rate_hz", pa.int32()),
        # What batches are sized by: characters of text, samples of speech.
        _required("length", pa.int64()),
        _required("occurrences", pa.int64()),
    ],
)

# Every place where a segment was read: exact duplicates collapse to one segment and keep these.
OCCURRENCE = _schema(
    "occurrence",
    1,
    [
        _required("segment_id", pa.string()),
        _required("corpus", pa.string()),
        pa.field("doc_id", pa.string()),
        _required("source_uri", pa.string()),
        _required("row", pa.int64()),  # 0-based row (or line) in the file, header not counted
        _required("part", pa.int32()),  # 0-based sentence within the row
    ],
)

REJECT = _schema(
    "reject",
    1,
    [
        _required("row_id", pa.string()),
        _required("stage", pa.string()),
        _required("reason", pa.string()),
        pa.field("detail", pa.string()),
    ],
)

NEIGHBOR = _schema(
    "neighbor",
    1,
    [
        _required("query_id", pa.string()),
        _required("index_id", pa.string()),
        _required("similarity", pa.float32()),  # cosine of the stored vectors, higher is better
        _required("rank", pa.int16()),  # 1 is the nearest
        _required("direction", pa.string()),
    ],
)

PAIR = _schema(
    "pair",
    1,
    [
        _required("pair_id", pa.string()),
        _required("src_segment_id", pa.string()),
        _required("tgt_segment_id", pa.string()),
        _required("src_lang", pa.string()),
        _required("tgt_lang", pa.string()),
        _required("src_modality", pa.string()),
        _required("tgt_modality", pa.string()),
        pa.field("src_text", pa.string()),
        pa.field("tgt_text", pa.string()),
        pa.field("src_doc_id", pa.string()),
        pa.field("tgt_doc_id", pa.string()),
        pa.field("src_uri", pa.string()),
        pa.field("tgt_uri", pa.string()),
        pa.field("src_start_s", pa.float64()),
        pa.field("src_end_s", pa.float64()),
        pa.field("tgt_start_s", pa.float64()),
        pa.field("tgt_end_s", pa.float64()),
        _required("similarity", pa.float32()),
        _required("margin_score", pa.float32()),
        _required("mutual", pa.bool_()),  # each is the other's best candidate
        pa.field("forward_rank", pa.int16()),  # null: not among the source's k nearest
        pa.field("backward_rank", pa.int16()),
        _required("src_mean_similarity", pa.float32()),  # mean over the source's k nearest targets
        _required("tgt_mean_similarity", pa.float32()),
        _required("run_id", pa.string()),
    ],
)


def embedding_schema(dim: int, space: str, model_fingerprint: str) -> pa.Schema:
    """Schema of an embedding dataset: id, language and D float16 values as one binary value.

    ``fixed_size_binary(2 * dim)`` reads and writes about ten times cheaper than a list of float16;
    dim, dtype and space stand in the metadata.
    """
    schema = _schema(
        "embedding",
        1,
        [
            _required("segment_id", pa.string()),
            _required("lang", pa.string()),
            _required("vector", pa.binary(2 * dim)),
        ],
    )
    return schema.with_metadata(
        {
            **schema.metadata,
            b"mining.dim": str(dim).encode(),
            b"mining.dtype": b"float16",
            b"mining.space": space.encode(),
            b"mining.model": model_fingerprint.encode(),
        }
    )


def checked(table: pa.Table, schema: pa.Schema, where: str) -> pa.Table:
    """Return ``table`` if it has exactly ``schema`` (names, types, name and version in metadata).

    Raises:
        SchemaError: naming ``where`` and the first difference.
    """
    wanted, found = schema.metadata or {}, table.schema.metadata or {}
    for key in (b"mining.schema", b"mining.schema_version"):
        if found.get(key) != wanted.get(key):
            raise SchemaError(
                f"{where}: {key.decode()} must be {wanted.get(key, b'').decode()!r}, but is "
                f"{found.get(key, b'').decode()!r}; it was written by another version or stage"
            )
    for expected in schema:
        index = table.schema.get_field_index(expected.name)
        if index < 0:
            raise SchemaError(f"{where}: column {expected.name!r} is missing")
        if table.schema.field(index).type != expected.type:
            raise SchemaError(
                f"{where}: column {expected.name!r} must be {expected.type}, but is "
                f"{table.schema.field(index).type}"
            )
        if not expected.nullable and table.column(index).null_count:
            raise SchemaError(f"{where}: column {expected.name!r} must not hold nulls")
    if table.num_columns != len(schema):
        extra = sorted(set(table.column_names) - set(schema.names))
        raise SchemaError(f"{where}: unexpected columns {extra}")
    return table
