from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from mining.contract.ids import pair_id
from mining.contract.schemas import BACKWARD, FORWARD, PAIR, SEGMENT, checked
from mining.score import SEGMENT_COLUMNS, ScoreSettings, join_pairs, score_candidates
from tests.reference.neighbors import neighbor_table

SCHEMA = pa.schema([SEGMENT.field(name) for name in SEGMENT_COLUMNS])


def segment(name: str, lang: str, text: str | None, **audio: object) -> dict:
    modality = "speech" if audio else "text"
    row = {"segment_id": name, "modality": modality, "lang": lang, "text": text, "source_uri": "u"}
    return row | audio


def joined(src: list[dict], tgt: list[dict]) -> list[dict]:
    ids = [(s["segment_id"], t["segment_id"]) for s, t in zip(src, tgt, strict=True)]
    scores = np.linspace(0.9, 0.5, len(ids), dtype=np.float32).tolist()
    tables = (
        neighbor_table([(s, t, v, 1) for (s, t), v in zip(ids, scores, strict=True)], FORWARD),
        neighbor_table([(t, s, v, 1) for (s, t), v in zip(ids, scores, strict=True)], BACKWARD),
    )
    kept = score_candidates(*tables, ScoreSettings(margin="absolute"))
    segments = (pa.Table.from_pylist(rows, schema=SCHEMA) for rows in (src, tgt))
    pairs = join_pairs(kept, *segments, run_id="r")
    assert [(f.name, f.type) for f in pairs.schema] == [(f.name, f.type) for f in PAIR]
    return checked(pairs.cast(PAIR), PAIR, "pairs").to_pylist()


HEARD = {"channel": 1, "start_sample": 8000, "num_samples": 24000, "sample_rate_hz": 16000}


def test_speech_and_text():
    src = [segment("a", "deu", "guten tag", **HEARD)]
    (row,) = joined(src, [segment("p", "eng", "Good day")])
    assert row["pair_id"] == pair_id("a", "p")
    assert (row["src_start_s"], row["src_end_s"], row["src_channel"]) == (0.5, 2.0, 1)
    assert (row["tgt_start_s"], row["tgt_end_s"], row["tgt_channel"]) == (None, None, None)
    assert row["duration_ratio"] is None
    assert row["transcript_similarity"] is None


def test_the_duration_ratio_is_of_seconds():
    slow = HEARD | {"num_samples": 16000, "sample_rate_hz": 8000, "channel": None}
    (row,) = joined([segment("a", "deu", None, **HEARD)], [segment("p", "eng", None, **slow)])
    assert row["duration_ratio"] == 0.75
    assert row["tgt_channel"] is None


@pytest.mark.parametrize(
    ("transcript", "text", "similarity"),
    [
        ("good day", "Good Day!", 1.0),
        ("abcd", "ab, cx", 0.75),
        ("ﬁne STRASSE", "fine Straße", 1.0),
        ("№ 5", "no5", 1.0),
        ("कि", "क", 0.5),
        ("...", "!", 0.0),
        ("", "a", 0.0),
        (None, "a", None),
    ],
)
def test_transcripts_are_compared_by_letters_and_digits(transcript, text, similarity):
    (row,) = joined([segment("a", "eng", transcript, **HEARD)], [segment("p", "eng", text)])
    assert row["transcript_similarity"] == similarity


def test_texts_are_compared_in_one_language_with_speech_on_a_side():
    src = [segment("a", "eng", "x"), segment("b", "eng", "x"), segment("c", "eng", "x", **HEARD)]
    tgt = [segment("p", "eng", "x"), segment("q", "eng", "x", **HEARD), segment("r", "deu", "x")]
    assert [row["transcript_similarity"] for row in joined(src, tgt)] == [None, 1.0, None]


def test_no_pairs():
    assert joined([], []) == []
