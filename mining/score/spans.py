"""Which stretch of which recording a segment is, and which of two share any of it.

N segments. Candidates of speech overlap: every run of neighbouring regions is one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mining.contract.errors import InputError

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

# What a span takes from a segment.
SPAN_COLUMNS = ("segment_id", "recording_id", "channel", "start_sample", "num_samples")

_NO_SPEECH = -1  # group of a row of text: it overlaps nothing
_CHUNK_ROWS = 262_144  # neighbours looked at in one pass: a few MB; never decides the result


@dataclass(frozen=True, kw_only=True)
class Spans:
    """Stretches of recordings, one a segment.

    Attributes:
        ids: segment ids, string [N], each once.
        group: int64 [N], one code a recording and channel; below 0: not speech, overlaps nothing.
        start: int64 [N], first sample.
        end: int64 [N], the sample after the last.
    """

    ids: pa.Array
    group: Ints
    start: Ints
    end: Ints

    @classmethod
    def of(cls, table: pa.Table) -> Spans:
        """Spans of segments; those of one recording and channel may overlap.

        Args:
            table: N rows of at least ``SPAN_COLUMNS``; one without recording_id is text.

        Raises:
            InputError: if a row of speech has no place or no length.
        """
        recording = table["recording_id"]
        speech = pc.is_valid(recording).to_numpy()
        group = _codes(recording) * (_codes(table["channel"]).max(initial=0) + 1)
        group += _codes(table["channel"])
        start = pc.fill_null(table["start_sample"], -1).to_numpy()
        length = pc.fill_null(table["num_samples"], 0).to_numpy()
        bad = np.flatnonzero(speech & ((start < 0) | (length < 1)))
        if bad.size:
            raise InputError(
                "spans: speech must have start_sample >= 0 and num_samples >= 1, but segment "
                f"{table['segment_id'][int(bad[0])].as_py()!r} has not; segment the recording again"
            )
        return cls(
            ids=pa.concat_arrays([pa.array([], pa.string()), *table["segment_id"].chunks]),
            group=np.where(speech, group, _NO_SPEECH),
            start=start,
            end=start + length,
        )

    def take(self, ids: pa.Array) -> Spans:
        """Spans of the segments ``ids``, in their order.

        Raises:
            InputError: if one of them is not here.
        """
        place = pc.index_in(ids, self.ids)
        if place.null_count:
            lost = ids.filter(pc.is_null(place))[0].as_py()
            raise InputError(f"spans: every segment must have one, but {lost!r} has not; pass all")
        rows = place.to_numpy().astype(np.int64)
        return Spans(ids=ids, group=self.group[rows], start=self.start[rows], end=self.end[rows])

    @property
    def is_speech(self) -> Bools:
        """Which rows are stretches of a recording: bool [N]."""
        return np.asarray(self.group >= 0, dtype=np.bool_)

    @property
    def line(self) -> tuple[Ints, Ints]:
        """Starts and ends, int64 [N] each, with all recordings laid out one after the other.

        Spans overlap if each starts before the other ends. Text is empty and before all.
        """
        offset = self.group * (int(self.end.max(initial=0)) + 1)
        start = np.where(self.is_speech, self.start + offset, -1)
        return start, np.where(self.is_speech, self.end + offset, -1)

    def found_in(self, rows: Ints, taken: Ints) -> Ints:
        """For each of ``rows`` one of ``taken`` with which it shares a sample, -1 where none is.

        Args:
            rows: int64 [R], positions here.
            taken: int64 [T], positions of speech of which no two overlap.

        Returns:
            int64 [R] of values of ``taken``: the last one in time.
        """
        found = np.full(len(rows), -1, dtype=np.int64)
        if not taken.size or not rows.size:
            return found
        start, end = self.line
        taken = taken[np.argsort(start[taken])]
        # Of those that begin before the row ends, the last also ends last.
        before = np.searchsorted(start[taken], end[rows]) - 1
        last = taken[np.maximum(before, 0)]
        hit = (before >= 0) & (end[last] > start[rows])
        found[hit] = last[hit]
        return found


def apart(query: Ints, index: Ints, spans: Spans, k: int) -> Bools:
    """The k best neighbours of every query of which no two overlap: greedy, by rank.

    A neighbour is taken unless it shares a sample with one that is taken and ranked better, until k
    are taken (non-maximum suppression). All queries advance together, one round for each of the k.

    Args:
        query: int64 [C], ascending; the neighbours of each by rank.
        index: int64 [C], positions in ``spans``.
        spans: of the side that was searched.
        k: neighbours wanted; a query with fewer that lie apart gets those it has.

    Returns:
        bool [C]: those taken.
    """
    taken = np.zeros(len(query), dtype=bool)
    # Chunks begin where a query begins.
    bounds = np.unique(np.append(np.searchsorted(query, query[::_CHUNK_ROWS]), len(query)))
    start, end = spans.line
    for begin, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        rows = slice(begin, stop)
        taken[rows] = _apart(query[rows], start[index[rows]], end[index[rows]], k)
    return taken


def _apart(query: Ints, start: Ints, end: Ints, k: int) -> Bools:
    """As :func:`apart`, of places on one line."""
    taken = np.zeros(len(query), dtype=bool)
    rows = np.arange(len(query))  # those still open
    for _ in range(k):
        if not rows.size:
            break
        first = np.ones(len(rows), dtype=bool)
        first[1:] = query[1:] != query[:-1]
        heads = np.flatnonzero(first)
        taken[rows[heads]] = True
        times = np.diff(np.append(heads, len(rows)))
        free = end <= np.repeat(start[heads], times)
        free |= start >= np.repeat(end[heads], times)
        free[heads] = False
        left = np.flatnonzero(free)
        rows, query, start, end = rows[left], query[left], start[left], end[left]
    return taken


def _codes(column: pa.ChunkedArray) -> Ints:
    """A code from 0 for each distinct value, nulls among them: int64 [N]."""
    encoded = column.dictionary_encode(null_encoding="encode").unify_dictionaries()
    codes = [chunk.indices.to_numpy().astype(np.int64) for chunk in encoded.chunks]
    return np.concatenate([np.empty(0, np.int64), *codes])
