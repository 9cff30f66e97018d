"""Rows of speech: what a manifest says of a clip, and what it means, checked.

N rows of a batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from encoders.train.data.config import Seed
from encoders.train.data.screen import Screen, language_codes, normal_forms
from encoders.train.data.tables import Refuse

# As a manifest has it: all text, empty where it says nothing.
RAW = (
    "place", "audio", "start_s", "end_s", "lang", "transcript", "translation", "translation_lang",
    "speaker", "reading",
)  # fmt: skip

ROWS = pa.schema(
    [
        pa.field("place", pa.string(), nullable=False),  # "<file>#<row>"
        pa.field("audio", pa.string(), nullable=False),  # address
        pa.field("start_s", pa.float64(), nullable=False),
        pa.field("end_s", pa.float64()),  # null: the recording's end
        pa.field("lang", pa.string(), nullable=False),
        pa.field("transcript", pa.string(), nullable=False),  # normal form; empty: none
        pa.field("translation", pa.string(), nullable=False),  # normal form; empty: none
        pa.field("translation_lang", pa.string(), nullable=False),
        pa.field("speaker", pa.string(), nullable=False),  # empty: not named
        pa.field("reading", pa.string(), nullable=False),  # empty: as the transcript
    ]
)


@dataclass(frozen=True)
class _Span:
    start_s: float
    end_s: float | None


def checked_rows(raw: pa.Table, seed: Seed, screen: Screen, refuse: Refuse) -> pa.Table:
    """Rows that can be learned from, as far as can be told without their sound.

    Rejects: ``unknown_language``, ``unwanted_language``, ``missing_value`` (no address, no usable
    time), ``too_long``, ``empty`` (neither transcript nor translation has a letter or digit),
    ``wrong_script``, ``benchmark_overlap``.

    Args:
        raw: columns :data:`RAW`, strings [N].
        seed: its settings.
        screen: of texts.
        refuse: takes row id, reason and detail of each row that is refused.

    Returns:
        Schema :data:`ROWS`, in order.
    """
    langs = language_codes(raw["lang"])
    targets = language_codes(raw["translation_lang"])
    texts = {name: normal_forms(raw[name]) for name in ("transcript", "translation")}
    found = {
        "transcript": screen.faults(texts["transcript"], langs),
        "translation": screen.faults(texts["translation"], targets),
    }
    wanted = None if seed.langs is None else set(language_codes(pa.array(seed.langs)).to_pylist())
    columns = [raw[name].to_pylist() for name in RAW[:4]]
    spoken, meant = texts["transcript"].to_pylist(), texts["translation"].to_pylist()
    kept: list[int] = []
    spans: list[_Span] = []
    rows = zip(*columns, langs.to_pylist(), targets.to_pylist(), spoken, meant, strict=True)
    for row, (place, audio, start_s, end_s, lang, target, transcript, translation) in enumerate(
        rows
    ):
        span = _span(start_s, end_s)
        if not lang or (translation and not target):
            refuse(
                place, "unknown_language", raw["translation_lang" if lang else "lang"][row].as_py()
            )
        elif wanted is not None and lang not in wanted:
            refuse(place, "unwanted_language", lang)
        elif not audio or "\0" in audio:
            refuse(place, "missing_value", "no address of a clip")
        elif span is None:
            refuse(place, "missing_value", f"no span of time: {start_s!r} to {end_s!r} s")
        elif span.end_s is not None and span.end_s - span.start_s > seed.max_s:
            refuse(place, "too_long", f"{span.end_s - span.start_s:.1f} s, max_s is {seed.max_s:g}")
        elif not transcript and not translation:
            refuse(place, "empty", "neither a transcript nor a translation")
        elif row in found["transcript"] or row in found["translation"]:
            column = "transcript" if row in found["transcript"] else "translation"
            reason, detail = found[column][row]
            refuse(place, reason, f"{column}: {detail}")
        else:
            kept.append(row)
            spans.append(span)
    picked = pa.array(kept, pa.int64())
    return pa.table(
        {
            "place": raw["place"].take(picked),
            "audio": raw["audio"].take(picked),
            "start_s": pa.array([span.start_s for span in spans], pa.float64()),
            "end_s": pa.array([span.end_s for span in spans], pa.float64()),
            "lang": langs.take(picked),
            "transcript": texts["transcript"].take(picked),
            "translation": texts["translation"].take(picked),
            "translation_lang": targets.take(picked),
            "speaker": normal_forms(raw["speaker"], keep=True).take(picked),
            "reading": normal_forms(raw["reading"], keep=True).take(picked),
        }
    ).cast(ROWS)


def _span(start_s: str, end_s: str) -> _Span | None:
    """Where a clip is in its recording; None if it is nowhere."""
    try:
        start = float(start_s) if start_s.strip() else 0.0
        end = float(end_s) if end_s.strip() else None
    except ValueError:
        return None
    fine = math.isfinite(start) and start >= 0 and (end is None or (end > start and end < math.inf))
    return _Span(start, end) if fine else None


def clip_numbers(rows: pa.Table) -> tuple[pa.Table, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """The different clips of rows, in order of first appearance, and which one each row is of.

    Returns:
        Columns audio, start_s, end_s, lang of C clips; and int64 [N] in 0 ... C - 1.
    """
    starts = rows["start_s"].cast(pa.string()).to_pylist()
    ends = rows["end_s"].cast(pa.string()).to_pylist()
    names = pa.array(
        "\x1f".join((uri, str(start), str(end), lang))
        for uri, start, end, lang in zip(
            rows["audio"].to_pylist(), starts, ends, rows["lang"].to_pylist(), strict=True
        )
    )
    numbers = names.cast(pa.string()).dictionary_encode().indices.to_numpy().astype(np.int64)
    _, first = np.unique(numbers, return_index=True)
    return rows.select(["audio", "start_s", "end_s", "lang"]).take(pa.array(first)), numbers
