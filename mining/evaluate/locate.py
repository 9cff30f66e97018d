"""Find the segments of gold speech: those that share enough of its time.

Segments are overlapping candidates, so several of them may match one stretch of gold. Each is a right
answer; the best of them stands for the recording where it is searched for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mining.contract.schemas import SPEECH
from mining.evaluate.gold import GOLD

# Two stretches are the same if they share at least half of what they cover together: the bar of
# object detection (Everingham et al. 2010, section 4.2) and of temporal action localisation.
MIN_IOU = 0.5
# What is read of SEGMENT rows.
PLACE_COLUMNS = (
    "segment_id", "source_uri", "channel", "start_sample", "num_samples", "sample_rate_hz",
)  # fmt: skip
_ANY_CHANNEL = -1
_SLACK_S = 1e-6  # of the search window only: sums of seconds are rounded


@dataclass(frozen=True, kw_only=True, eq=False)
class _Stretches:
    """N stretches of time.

    Attributes:
        source: int64 [N], which source_uri.
        channel: int64 [N], or _ANY_CHANNEL.
        start_s: float64 [N]; ``end_s`` float64 [N].
    """

    source: NDArray[np.int64]
    channel: NDArray[np.int64]
    start_s: NDArray[np.float64]
    end_s: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Matches:
    """M matches of a gold place and a segment, sorted by place, the best of each place first.

    Attributes:
        place: int64 [M].
        segment: int64 [M], row of the segments.
        best: bool [M], whether it is the first of its place.
    """

    place: NDArray[np.int64]
    segment: NDArray[np.int64]
    best: NDArray[np.bool_]


def locate_speech(gold: pa.Table, segments: pa.Table) -> pa.Table:
    """Put the segments that match in place of gold speech that is known by its place.

    A segment matches a stretch of the same source_uri if their intersection over union in time is at
    least MIN_IOU; if it matches several, it belongs to the one with the highest, of equals to the
    earlier. A whole recording reaches from the start of its first segment to the end of its last. A
    stretch without a channel matches any; one with a channel matches that one, and segments of all
    channels mixed.

    Args:
        gold: a GOLD table. Rows of text, and those that brought a segment_id, stay as they are.
        segments: columns PLACE_COLUMNS: SEGMENT rows of one language's speech corpora.

    Returns:
        A GOLD table with one row for each matching segment; ``best`` marks the one with the highest
        intersection over union (of equals, the smaller id). A row that nothing matches is kept with
        an id that no segment has, so that its meaning counts as missed.
    """
    rows = np.flatnonzero(
        pc.and_(pc.equal(gold["modality"], SPEECH), pc.is_valid(gold["source_uri"]))
        .combine_chunks()
        .to_numpy(zero_copy_only=False)
    )
    wanted = gold.take(pa.array(rows))
    uris = pc.unique(wanted["source_uri"])
    segments = segments.filter(pc.is_in(segments["source_uri"], value_set=uris))
    heard = _of_segments(segments, uris)
    places, place_of_row = _of_gold(wanted, uris, heard)
    matches = _match(places, heard, segments["segment_id"])
    return _expanded(gold, rows, place_of_row, matches, segments, heard)


def _of_segments(segments: pa.Table, uris: pa.Array) -> _Stretches:
    start, samples, rate = (
        segments[name].to_numpy().astype(np.float64)
        for name in ("start_sample", "num_samples", "sample_rate_hz")
    )
    return _Stretches(
        source=_codes(segments["source_uri"], uris),
        channel=_channels(segments),
        start_s=start / rate,
        end_s=(start + samples) / rate,
    )


def _of_gold(
    wanted: pa.Table, uris: pa.Array, heard: _Stretches
) -> tuple[_Stretches, NDArray[np.int64]]:
    """Distinct places, sorted by source and time, and the place of every row."""
    source = _codes(wanted["source_uri"], uris)
    first = np.full(len(uris), np.inf)
    last = np.full(len(uris), -np.inf)
    np.minimum.at(first, heard.source, heard.start_s)
    np.maximum.at(last, heard.source, heard.end_s)
    known = np.isfinite(first)
    whole = pc.is_null(wanted["start_s"]).to_numpy()
    start = np.where(whole, np.where(known, first, 0.0)[source], _numbers(wanted["start_s"]))
    end = np.where(whole, np.where(known, last, 0.0)[source], _numbers(wanted["end_s"]))
    table = np.stack([source.astype(np.float64), start, end, _channels(wanted)], axis=1)
    places, place_of_row = np.unique(table, axis=0, return_inverse=True)
    stretches = _Stretches(
        source=places[:, 0].astype(np.int64),
        channel=places[:, 3].astype(np.int64),
        start_s=places[:, 1],
        end_s=places[:, 2],
    )
    return stretches, place_of_row.reshape(-1)


def _match(places: _Stretches, heard: _Stretches, segment_ids: pa.ChunkedArray) -> _Matches:
    """Matches of places and segments; a segment id (string [N]) belongs to one place only."""
    place, segment = _near(places, heard)
    start = np.maximum(places.start_s[place], heard.start_s[segment])
    end = np.minimum(places.end_s[place], heard.end_s[segment])
    shared = np.maximum(end - start, 0.0)
    covered = (
        (places.end_s - places.start_s)[place] + (heard.end_s - heard.start_s)[segment] - shared
    )
    iou = np.divide(shared, covered, out=np.zeros_like(shared), where=covered > 0)
    channels = places.channel[place], heard.channel[segment]
    heard_there = (
        (channels[0] == channels[1]) | (channels[0] == _ANY_CHANNEL) | (channels[1] == _ANY_CHANNEL)
    )
    kept = np.flatnonzero((iou >= MIN_IOU) & heard_there)
    place, segment, iou = place[kept], segment[kept], iou[kept]
    names = segment_ids.take(pa.array(segment)).to_numpy(zero_copy_only=False)
    _, name = np.unique(names, return_inverse=True)
    order = np.lexsort((place, -iou, name))
    order = order[_first_of_runs(name[order])]
    order = order[np.lexsort((name[order], -iou[order], place[order]))]
    return _Matches(place=place[order], segment=segment[order], best=_first_of_runs(place[order]))


def _near(places: _Stretches, heard: _Stretches) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every (place, segment) that may match, by where segments begin.

    Of a stretch of length L, a segment that begins more than L before it or more than L / 2 after its
    start shares less than half with it, however long it is.
    """
    order = np.lexsort((heard.start_s, heard.source))
    starts = _by_source(heard.source[order], heard.start_s[order])
    length = places.end_s - places.start_s
    earliest = places.start_s - length - _SLACK_S
    latest = places.start_s + length / 2 + _SLACK_S
    low = np.searchsorted(starts, _by_source(places.source, earliest), side="left")
    high = np.searchsorted(starts, _by_source(places.source, latest), side="right")
    counts = high - low
    at = np.repeat(low - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
    return np.repeat(np.arange(len(counts)), counts), order[at]


def _by_source(source: NDArray[np.int64], time_s: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Keys that sort by source, then by time, with nothing rounded: NumPy sorts complex numbers so."""
    key = np.empty(len(source), dtype=np.complex128)
    key.real, key.imag = source, time_s
    return key


def _expanded(
    gold: pa.Table,
    rows: NDArray[np.int64],
    place_of_row: NDArray[np.int64],
    matches: _Matches,
    segments: pa.Table,
    heard: _Stretches,
) -> pa.Table:
    """Gold whose ``rows`` are repeated for every match of their places."""
    first = np.searchsorted(matches.place, place_of_row, side="left")
    found = np.searchsorted(matches.place, place_of_row, side="right") - first
    counts, begin = np.ones((2, gold.num_rows), dtype=np.int64)
    located = np.zeros(gold.num_rows, dtype=np.bool_)
    counts[rows], begin[rows], located[rows] = np.maximum(found, 1), first, found > 0
    row = np.repeat(np.arange(gold.num_rows), counts)
    match = np.repeat(begin - (np.cumsum(counts) - counts), counts) + np.arange(len(row))
    table = gold.take(pa.array(row)).combine_chunks()
    here = located[row]
    segment = matches.segment[match[here]]
    best = np.zeros(len(row), dtype=np.bool_)
    best[here] = matches.best[match[here]]
    ids = segments["segment_id"].combine_chunks().take(pa.array(segment))
    put = {
        "segment_id": pc.replace_with_mask(table["segment_id"], pa.array(here), ids),
        "best": pa.array(best, mask=~here),
    }
    for side, times in (("start", heard.start_s), ("end", heard.end_s)):
        error = np.full(len(row), np.nan)
        error[here] = 1000 * np.abs(times[segment] - _numbers(table[f"{side}_s"])[here])
        put[f"{side}_error_ms"] = pa.array(error, mask=np.isnan(error))
    return pa.table([put.get(name, table[name]) for name in GOLD.names], schema=GOLD)


def _first_of_runs(values: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.append(True, values[1:] != values[:-1])[: len(values)]


def _codes(uris: pa.ChunkedArray, known: pa.Array) -> NDArray[np.int64]:
    return np.asarray(pc.index_in(uris, value_set=known).to_numpy(), dtype=np.int64)


def _channels(table: pa.Table) -> NDArray[np.int64]:
    filled = pc.fill_null(table["channel"], _ANY_CHANNEL)
    return np.asarray(filled.to_numpy(), dtype=np.int64)


def _numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
    return np.asarray(pc.fill_null(column, np.nan).to_numpy(), dtype=np.float64)
