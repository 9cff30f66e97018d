"""One recording becomes regions of speech and candidate segments.

R regions of a channel, N candidates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mining.config.model import Speech
from mining.contract.errors import AudioError
from mining.contract.ids import speech_segment_id
from mining.contract.schemas import REGION, SPEECH
from mining.contract.speech import SPEECH_RATE_HZ, Samples, SpeechDetector
from mining.io.collapse import CANDIDATE, table_of
from mining.speech.audio import open_audio
from mining.speech.candidates import propose
from mining.speech.level import FrameLevels
from mining.speech.regions import speech_regions
from mining.speech.stream import at_rate, at_speech_rate, mono

# The region table carries the row of its list until duplicates are gone.
HEARD_REGION = pa.schema([*REGION, pa.field("row", pa.int64(), nullable=False)])

_CANDIDATE_COLUMNS = (
    "segment_id", "channel", "start_sample", "num_samples", "length", "part", "duration_s",
    "level_dbfs", "clipped_ratio",
)  # fmt: skip
_REGION_COLUMNS = (
    "region", "channel", "start_sample", "num_samples", "level_dbfs", "clipped_ratio",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Recording:
    """Where a recording was listed.

    Attributes:
        recording_id: digest of the file's bytes.
        source_uri: its address below the corpus' base.
        row: in its list.
        lang: ISO 639-3, or ``und`` if it is still to be recognised.
        doc_id: the user's own id.
        corpus: name.
    """

    recording_id: str
    source_uri: str
    row: int
    lang: str
    doc_id: str | None
    corpus: str


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What a recording holds.

    Attributes:
        regions: schema :data:`HEARD_REGION`.
        candidates: schema CANDIDATE.
        refused: (what, reason, detail); ``what`` is empty for the recording as a whole, ``.3`` for
            its fourth candidate, ``.tail`` for an end that cannot be read.
        duration_ms: of what was read, all channels that were taken together.
        speech_ms: of its regions.
    """

    regions: pa.Table
    candidates: pa.Table
    refused: tuple[tuple[str, str, str], ...]
    duration_ms: int
    speech_ms: int


def nothing_heard(reason: str, detail: str) -> Heard:
    """A recording that could not even be opened."""
    return Heard(
        regions=HEARD_REGION.empty_table(),
        candidates=CANDIDATE.empty_table(),
        refused=(("", reason, detail),),
        duration_ms=0,
        speech_ms=0,
    )


@dataclass(frozen=True, kw_only=True)
class _Channel:
    """One channel: its regions as [start, end) samples, int64 [R, 2], and what is known of them."""

    channel: int | None
    rate_hz: int
    samples: int
    regions: NDArray[np.int64]
    levels: FrameLevels


def hear(path: Path, recording: Recording, detector: SpeechDetector, settings: Speech) -> Heard:
    """Decode a recording once (once a channel, where each is taken), and find its segments.

    Rejects: ``unreadable_audio``, ``truncated_audio`` (what comes before is used), ``no_speech``,
    ``too_short`` (no run of regions is long enough), ``near_silent``.
    """
    try:
        channels, refused = _channels(path, detector, settings)
    except AudioError as error:
        refused = [("", error.reason, str(error))]
        channels = []
    regions, candidates = [HEARD_REGION.empty_table()], [CANDIDATE.empty_table()]
    part = 0
    for channel in channels:
        spans = _runs(channel, settings)
        regions.append(_region_table(channel, recording))
        table, quiet = _candidate_table(channel, spans, part, recording, settings)
        candidates.append(table)
        refused += quiet
        part += len(spans)
    if channels and not part:
        refused.append(("", *_why_nothing(channels, settings)))
    return Heard(
        regions=pa.concat_tables(regions),
        candidates=pa.concat_tables(candidates),
        refused=tuple(refused),
        duration_ms=sum(c.samples * 1000 // c.rate_hz for c in channels),
        speech_ms=sum(
            int((c.regions[:, 1] - c.regions[:, 0]).sum()) * 1000 // c.rate_hz for c in channels
        ),
    )


def _channels(
    path: Path, detector: SpeechDetector, settings: Speech
) -> tuple[list[_Channel], list[tuple[str, str, str]]]:
    found: list[_Channel] = []
    truncated: str | None = None
    numbers: list[int | None] = [settings.channel if isinstance(settings.channel, int) else None]
    if settings.channel == "each":
        with open_audio(path) as stream:
            numbers = list(range(stream.channels))
    for number in numbers:
        with open_audio(path) as stream:
            levels = FrameLevels(stream.sample_rate_hz)
            blocks = levels.passing(mono(stream.blocks(), number))
            wide = _Counter()
            probabilities = detector.probabilities(
                wide(at_speech_rate(blocks, stream.sample_rate_hz))
            )
            truncated = stream.truncated
            regions = speech_regions(probabilities, wide.samples, settings)
            native = np.minimum(at_rate(regions, stream.sample_rate_hz), levels.samples)
            if settings.segment == "recording":
                native = _whole(native, levels.samples, stream.sample_rate_hz, settings)
            found.append(
                _Channel(
                    channel=number,
                    rate_hz=stream.sample_rate_hz,
                    samples=levels.samples,
                    regions=native,
                    levels=levels,
                )
            )
    return found, [] if truncated is None else [(".tail", "truncated_audio", truncated)]


class _Counter:
    """Counts the samples that pass."""

    def __init__(self) -> None:
        self.samples = 0

    def __call__(self, blocks: Iterator[Samples]) -> Iterator[Samples]:
        for block in blocks:
            self.samples += len(block)
            yield block


def _whole(
    regions: NDArray[np.int64], samples: int, rate_hz: int, settings: Speech
) -> NDArray[np.int64]:
    """Regions of a recording that is one segment: itself, unless it is too long to recognise at once.

    The first then begins and the last ends where the recording does.
    """
    if samples <= settings.max_region_s * rate_hz or not len(regions):
        return np.array([[0, samples]], dtype=np.int64)
    whole = regions.copy()
    whole[0, 0], whole[-1, 1] = 0, samples
    return whole


def _runs(channel: _Channel, settings: Speech) -> NDArray[np.int64]:
    """First and last region of each candidate, int64 [N, 2]."""
    if settings.segment == "recording":
        return np.array([[0, len(channel.regions) - 1]], dtype=np.int64)
    return propose(channel.regions[:, 0], channel.regions[:, 1], channel.rate_hz, settings)


def _region_table(channel: _Channel, recording: Recording) -> pa.Table:
    start, end = channel.regions[:, 0], channel.regions[:, 1]
    level, clipped = channel.levels.of(start, end)
    columns = (
        range(len(start)),
        [channel.channel] * len(start),
        start.tolist(),
        (end - start).tolist(),
        level.tolist(),
        clipped.tolist(),
    )
    constants = {
        "recording_id": recording.recording_id,
        "lang": recording.lang,
        "source_uri": recording.source_uri,
        "sample_rate_hz": channel.rate_hz,
        "row": recording.row,
    }
    return table_of(HEARD_REGION, _REGION_COLUMNS, list(zip(*columns, strict=True)), constants)


def _candidate_table(
    channel: _Channel,
    runs: NDArray[np.int64],
    first_part: int,
    recording: Recording,
    settings: Speech,
) -> tuple[pa.Table, list[tuple[str, str, str]]]:
    """Candidates that are loud enough, and why the others are refused."""
    start, end = channel.regions[runs[:, 0], 0], channel.regions[runs[:, 1], 1]
    level, clipped = channel.levels.of(start, end)
    rows: list[tuple[Any, ...]] = []
    refused: list[tuple[str, str, str]] = []
    for i, (low, high) in enumerate(zip(start.tolist(), end.tolist(), strict=True)):
        part = first_part + i
        if level[i] < settings.min_level_dbfs:
            detail = f"{level[i]:.1f} dBFS, below {settings.min_level_dbfs:g}"
            refused.append((f".{part}", "near_silent", detail))
            continue
        size = high - low
        rows.append(
            (
                speech_segment_id(recording.recording_id, channel.channel, low, size),
                channel.channel,
                low,
                size,
                -(-size * SPEECH_RATE_HZ // channel.rate_hz),
                part,
                size / channel.rate_hz,
                float(level[i]),
                float(clipped[i]),
            )
        )
    constants = {
        "corpus": recording.corpus,
        "modality": SPEECH,
        "lang": recording.lang,
        "doc_id": recording.doc_id,
        "recording_id": recording.recording_id,
        "source_uri": recording.source_uri,
        "sample_rate_hz": channel.rate_hz,
        "occurrences": 1,
        "row": recording.row,
    }
    return table_of(CANDIDATE, _CANDIDATE_COLUMNS, rows, constants), refused


def _why_nothing(channels: list[_Channel], settings: Speech) -> tuple[str, str]:
    seconds = sum(c.samples / c.rate_hz for c in channels)
    regions = sum(len(c.regions) for c in channels)
    if not regions:
        return "no_speech", f"in {seconds:.1f} s"
    return (
        "too_short",
        f"no run of its {regions} stretches of speech lasts {settings.min_s:g} to "
        f"{settings.max_s:g} s",
    )
