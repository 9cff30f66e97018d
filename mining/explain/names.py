"""How a user names a segment: its id, its text, its place in a file, or a stretch of a recording."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from rapidfuzz import fuzz, process

_ID = re.compile("[0-9a-f]{32}")
_STRETCH = re.compile(r"(?P<uri>.+)@(?P<start>\d+(?:\.\d+)?)-(?P<end>\d+(?:\.\d+)?)")
_ROW = re.compile(r"(?P<uri>.+)#(?P<row>\d+)(?:\.(?P<part>\d+))?")
_SAME_S = 0.05  # seconds: what a person copies out of a table is rounded
_ALIKE = 60.0  # of 100: less alike is another sentence


@dataclass(frozen=True, kw_only=True)
class Name:
    """What a user wrote, and what it may mean. A text may look like any of the others.

    Attributes:
        raw: as written.
        segment_id: if it is 32 hex digits.
        uri: of a recording; the whole name where it states no time.
        start_s: in seconds; None: no time is stated.
        end_s: the same.
        row_uri: file of a row ``file#row`` or ``file#row.part``, as in occurrences and rejects.
        row: number of the row in it, from 0.
        part: sentence within the row; None: the whole row.
    """

    raw: str
    segment_id: str | None
    uri: str
    start_s: float | None = None
    end_s: float | None = None
    row_uri: str | None = None
    row: int | None = None
    part: int | None = None


def read_name(raw: str) -> Name:
    """Everything that ``raw`` may name."""
    segment_id = raw if _ID.fullmatch(raw) else None
    stretch = _STRETCH.fullmatch(raw)
    row = _ROW.fullmatch(raw)
    part = row.group("part") if row else None
    return Name(
        raw=raw,
        segment_id=segment_id,
        uri=stretch.group("uri") if stretch else raw,
        start_s=float(stretch.group("start")) if stretch else None,
        end_s=float(stretch.group("end")) if stretch else None,
        row_uri=row.group("uri") if row else None,
        row=int(row.group("row")) if row else None,
        part=None if part is None else int(part),
    )


def place_of(name: Name, segments: pa.Table) -> tuple[int | None, float]:
    """The segment of a recording that a stretch of it names best.

    Args:
        name: with times.
        segments: of the recording: start_sample, num_samples, sample_rate_hz.

    Returns:
        Its row, and how well it agrees: 1.0 if both ends do to 0.05 s, otherwise the intersection
        over the union of the two stretches. (None, 0.0) if none shares a moment with it.
    """
    if name.start_s is None or name.end_s is None or not segments.num_rows:
        return None, 0.0
    rate = segments["sample_rate_hz"].to_numpy().astype(np.float64)
    start = segments["start_sample"].to_numpy() / rate
    end = start + segments["num_samples"].to_numpy() / rate
    shared = np.minimum(end, name.end_s) - np.maximum(start, name.start_s)
    whole = np.maximum(end, name.end_s) - np.minimum(start, name.start_s)
    agreement = np.clip(shared, 0.0, None) / np.maximum(whole, 1e-9)
    same = (np.abs(start - name.start_s) <= _SAME_S) & (np.abs(end - name.end_s) <= _SAME_S)
    row = int(np.argmax(agreement + same))
    if same[row]:
        return row, 1.0
    return (row, float(agreement[row])) if agreement[row] > 0.0 else (None, 0.0)


def spellings(text: str, texts: Iterable[str], count: int = 3) -> list[str]:
    """The texts that are spelled most like ``text``, the nearest first.

    Args:
        text: normalised.
        texts: normalised, in any order.
        count: how many at most.

    Returns:
        Those of a normalised insertion-deletion similarity (``rapidfuzz.fuzz.ratio``) of 60 or more
        of 100; equal ones in alphabetical order.
    """
    found = process.extract(
        text, list(texts), scorer=fuzz.ratio, score_cutoff=_ALIKE, limit=8 * count
    )
    nearest = sorted({(-score, one) for one, score, _ in found})
    return [one for _, one in nearest[:count]]
