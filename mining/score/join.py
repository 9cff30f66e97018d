"""Selected candidates with the columns of both their segments: the rows that users read."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from mining.contract.ids import pair_ids
from mining.contract.schemas import PAIR, SPEECH
from mining.score.transcripts import transcript_similarity

# What a pair takes from a segment.
SEGMENT_COLUMNS = (
    "segment_id", "modality", "lang", "text", "doc_id", "source_uri",
    "channel", "start_sample", "num_samples", "sample_rate_hz",
)  # fmt: skip


def join_pairs(kept: pa.Table, source: pa.Table, target: pa.Table, run_id: str) -> pa.Table:
    """Make PAIR rows.

    Args:
        kept: from :func:`mining.score.select` or :func:`mining.score.select_spans`, N rows.
        source: N rows of ``SEGMENT_COLUMNS``, in the order of ``kept``.
        target: the same of the other side.
        run_id: goes into every row.
    """
    columns = {name: kept[name] for name in kept.column_names if name in PAIR.names}
    for side, segments in (("src", source), ("tgt", target)):
        for name in ("lang", "modality", "text", "doc_id", "channel"):
            columns[f"{side}_{name}"] = segments[name]
        columns[f"{side}_uri"] = segments["source_uri"]
        rate = segments["sample_rate_hz"].cast(pa.float64())
        end = pc.add(segments["start_sample"], segments["num_samples"])
        for name, sample in (("start_s", segments["start_sample"]), ("end_s", end)):
            columns[f"{side}_{name}"] = pc.divide(sample.cast(pa.float64()), rate)
    columns["duration_ratio"] = pc.divide(_speech_s(source), _speech_s(target)).cast(pa.float32())
    columns["transcript_similarity"] = transcript_similarity(source, target)
    ids = (kept[f"{side}_segment_id"].to_pylist() for side in ("src", "tgt"))
    columns["pair_id"] = pa.array(pair_ids(*ids), pa.string(), size=kept.num_rows)
    columns["run_id"] = pa.repeat(pa.scalar(run_id, pa.string()), kept.num_rows)
    return pa.table([columns[name] for name in PAIR.names], names=PAIR.names)


def _speech_s(segments: pa.Table) -> pa.ChunkedArray:
    """Duration of speech in seconds, null for text."""
    seconds = pc.divide(
        segments["num_samples"].cast(pa.float64()), segments["sample_rate_hz"].cast(pa.float64())
    )
    spoken = pc.equal(segments["modality"], SPEECH)
    return pc.if_else(spoken, seconds, pa.scalar(None, pa.float64()))
