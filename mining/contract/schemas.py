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
        "no_paired_document",
        "below_threshold",
        "above_score_max",
        "not_best",
        "not_mutual",
        # of recordings and what is heard in them
        "missing_audio",
        "unreadable_audio",
        "truncated_audio",
        "no_speech",
        "near_silent",
        "no_transcript",
        "left_out",  # processes died at its recording
        # of training: a text in letters that its language is not written in
        "wrong_script",
        # of pairs whose speech overlaps that of a better choice
        "overlap",
    }
)


def _schema(name: str, version: int, fields: list[pa.Field]) -> pa.Schema:
    return pa.schema(
        fields, metadata={"mining.schema": name, "mining.schema_version": str(version)}
    )


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


# Time is integer samples plus a rate, never float seconds. Rows of text leave the audio columns null.
# The text of speech is its transcript, null where it has none (yet).
SEGMENT = _schema(
    "segment",
    2,
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
        # What batches are sized by: characters of text, samples of speech at 16 kHz.
        _required("length", pa.int64()),
        _required("occurrences", pa.int64()),
        # Since version 2. Of speech:
        pa.field("duration_s", pa.float64()),  # num_samples / sample_rate_hz, for queries
        pa.field("level_dbfs", pa.float32()),  # root mean square; a full-scale square wave is 0
        pa.field("clipped_ratio", pa.float32()),  # share of the samples at full scale
        pa.field("lang_probability", pa.float32()),  # of a recognised language; null: it was given
        # Of its transcript:
        pa.field("mean_logprob", pa.float32()),  # per token, natural logarithm
        pa.field("no_speech_probability", pa.float32()),  # the highest of its regions
        pa.field("repetition_cut", pa.bool_()),  # a loop of repeated words was cut off
    ],
)

# Where a recording has speech: the stretches between pauses, of which segments are joined. Every
# segment begins where a region begins and ends where one ends.
REGION = _schema(
    "region",
    1,
    [
        _required("recording_id", pa.string()),
        _required("region", pa.int32()),  # 0-based, in the order of time, within the channel
        pa.field("channel", pa.int16()),  # null: all channels mixed
        _required("lang", pa.string()),  # und: still to be recognised
        _required("source_uri", pa.string()),
        _required("start_sample", pa.int64()),
        _required("num_samples", pa.int64()),
        _required("sample_rate_hz", pa.int32()),
        _required("level_dbfs", pa.float32()),
        _required("clipped_ratio", pa.float32()),
    ],
)

# What was recognised in each region.
TRANSCRIPT = _schema(
    "transcript",
    1,
    [
        _required("recording_id", pa.string()),
        _required("region", pa.int32()),
        pa.field("channel", pa.int16()),
        _required("lang", pa.string()),
        _required("text", pa.string()),  # may be empty; as it is joined: with the space before it
        _required("logprob", pa.float64()),  # sum over its tokens, natural logarithm
        _required("tokens", pa.int32()),
        pa.field("lang_probability", pa.float32()),
        pa.field("no_speech_probability", pa.float32()),
        _required("repetition_cut", pa.bool_()),
    ],
)

# The units of each region's frames, as an audio tokenizer gives them.
AUDIO_FRAMES = _schema(
    "audio_frames",
    1,
    [
        _required("recording_id", pa.string()),
        _required("region", pa.int32()),
        pa.field("channel", pa.int16()),
        _required("frames", pa.list_(pa.int16())),  # in the order of time; may be empty
    ],
)

# What an encoder that hears gets beside the columns of SEGMENT: the frames of each of the segment's
# regions, in the order of time; null for text.
FRAMES_COLUMN = pa.field("audio_frames", pa.list_(pa.list_(pa.int16())))

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
    2,
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
        # Since version 2:
        pa.field("src_channel", pa.int16()),  # null: text, or all channels mixed
        pa.field("tgt_channel", pa.int16()),
        pa.field("duration_ratio", pa.float32()),  # source / target; null unless both are speech
        # 1 - edit distance / longer length, of letters and digits; null unless one language is on
        # both sides, one of them speech with a transcript
        pa.field("transcript_similarity", pa.float32()),
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
