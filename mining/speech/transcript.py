"""From the regions of a recording to clips for a recogniser, and from its words to segments.

Each region is recognised once; the text of a segment is that of its regions, joined.

R regions of one channel of a recording, N segments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mining.contract.schemas import SEGMENT, TRANSCRIPT
from mining.contract.speech import Transcript
from mining.io.collapse import table_of
from mining.speech.packing import pack_clips, words_to_regions

_COLUMNS = (
    "recording_id", "channel", "region", "lang", "text", "logprob", "tokens", "lang_probability",
    "no_speech_probability", "repetition_cut",
)  # fmt: skip
_TEXT_COLUMNS = ("text", "mean_logprob", "no_speech_probability", "repetition_cut")


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A stretch of a recording that is recognised at once.

    Attributes:
        start: first sample, at the recording's rate.
        end: behind the last.
        first: first region.
        last: last region; the same region in several clips if it is too long for one.
    """

    start: int
    end: int
    first: int
    last: int


@dataclass(frozen=True, kw_only=True)
class Channel:
    """The regions of one channel of one recording, in the order of time.

    Attributes:
        start: int64 [R], samples at ``rate_hz``; ``end`` likewise, exclusive.
    """

    recording_id: str
    channel: int | None
    source_uri: str
    lang: str
    rate_hz: int
    start: NDArray[np.int64]
    end: NDArray[np.int64]


def channels_of(regions: pa.Table) -> Iterator[Channel]:
    """The channels of a REGION table that is sorted by language, recording, channel and region."""
    if not regions.num_rows:
        return
    regions = regions.combine_chunks()
    keys = list(
        zip(regions["recording_id"].to_pylist(), regions["channel"].to_pylist(), strict=True)
    )
    starts = [0, *(row for row in range(1, len(keys)) if keys[row] != keys[row - 1])]
    for low, high in zip(starts, [*starts[1:], len(keys)], strict=True):
        rows = regions.slice(low, high - low)
        first = rows.slice(0, 1).to_pylist()[0]
        start = rows["start_sample"].to_numpy()
        yield Channel(
            recording_id=first["recording_id"],
            channel=first["channel"],
            source_uri=first["source_uri"],
            lang=first["lang"],
            rate_hz=first["sample_rate_hz"],
            start=start,
            end=start + rows["num_samples"].to_numpy(),
        )


def clips_of(channel: Channel, clip_s: float, max_clip_s: float, max_gap_s: float) -> list[Clip]:
    """Clips in the order of time, none longer than ``max_clip_s`` seconds.

    Args:
        channel: whose regions are packed.
        clip_s: clips of several regions are no longer; 0: each region by itself.
        max_clip_s: a longer region is cut into equal pieces.
        max_gap_s: no clip reaches across a longer pause.
    """
    packed = pack_clips(channel.start, channel.end, channel.rate_hz, clip_s, max_gap_s)
    limit = int(max_clip_s * channel.rate_hz)
    clips = []
    for first, last in packed.tolist():
        start, end = int(channel.start[first]), int(channel.end[last])
        pieces = -(-(end - start) // limit)
        bounds = [start + (end - start) * i // pieces for i in range(pieces + 1)]
        clips += [
            Clip(start=low, end=high, first=first, last=last) for low, high in pairwise(bounds)
        ]
    return clips


def transcript_rows(
    channel: Channel, clips: Sequence[Clip], transcripts: Sequence[Transcript]
) -> pa.Table:
    """TRANSCRIPT rows of a channel, one for each region, in the order of time.

    Args:
        channel: what was recognised.
        clips: all its clips, in order.
        transcripts: what was recognised in each.
    """
    texts: list[list[str]] = [[] for _ in channel.start]
    logprob, tokens = np.zeros(len(texts)), np.zeros(len(texts), np.int64)
    source: list[Transcript | None] = [None] * len(texts)
    for clip, transcript in zip(clips, transcripts, strict=True):
        inside = slice(clip.first, clip.last + 1)
        dealt = words_to_regions(
            transcript.words,
            ((channel.start[inside] - clip.start) / channel.rate_hz).tolist(),
            ((channel.end[inside] - clip.start) / channel.rate_hz).tolist(),
        )
        for region, words in enumerate(dealt, start=clip.first):
            texts[region] += [word.text for word in words]
            logprob[region] += sum(word.logprob for word in words)
            tokens[region] += sum(word.tokens for word in words)
            source[region] = _merged(source[region], transcript)
    rows = [
        (
            channel.recording_id, channel.channel, region, one.lang, "".join(texts[region]),
            float(logprob[region]), int(tokens[region]), one.lang_probability,
            one.no_speech_probability, one.repetition_cut,
        )
        for region, one in enumerate(source)
        if one is not None
    ]  # fmt: skip
    return table_of(TRANSCRIPT, _COLUMNS, rows, {})


def _merged(before: Transcript | None, now: Transcript) -> Transcript:
    """What is said of a region that was recognised in pieces."""
    if before is None:
        return now
    silences = (before.no_speech_probability, now.no_speech_probability)
    known = [value for value in silences if value is not None]
    return Transcript(
        words=(),
        lang=now.lang,
        lang_probability=now.lang_probability,
        no_speech_probability=max(known) if known else None,
        repetition_cut=before.repetition_cut or now.repetition_cut,
    )


def with_transcripts(
    segments: pa.Table,
    regions: pa.Table,
    transcripts: pa.Table,
    normalise: Callable[[str], str],
) -> pa.Table:
    """Segments with the text and the language of their regions.

    Args:
        segments: SEGMENT rows of speech.
        regions: REGION rows of all their recordings, sorted as :func:`channels_of` wants them.
        transcripts: TRANSCRIPT rows of all those regions, in any order.
        normalise: normal form of a text.

    Returns:
        The rows in their order; ``text`` is empty where nothing was recognised.
    """
    keys = ("recording_id", "channel", "region")
    said = {tuple(row[key] for key in keys): row for row in transcripts.to_pylist()}
    channels = {(c.recording_id, c.channel): c for c in channels_of(regions)}
    columns = ("recording_id", "channel", "start_sample", "num_samples")
    texts, langs, chances = [], [], []
    for recording, number, start, size in zip(
        *(segments[name].to_pylist() for name in columns), strict=True
    ):
        channel = channels[recording, number]
        first = int(np.searchsorted(channel.start, start))
        last = int(np.searchsorted(channel.end, start + size))
        found = [said[recording, number, region] for region in range(first, last + 1)]
        texts.append(_joined(found, normalise))
        langs.append(found[0]["lang"])
        chances.append(found[0]["lang_probability"])
    arrays = {
        "lang": pa.array(langs, pa.string()),
        "lang_probability": pa.array(chances, pa.float32()),
    }
    for place, name in enumerate(_TEXT_COLUMNS):
        arrays[name] = pa.array([row[place] for row in texts], SEGMENT.field(name).type)
    return pa.table([arrays.get(name, segments[name]) for name in SEGMENT.names], schema=SEGMENT)


def _joined(
    found: Sequence[Mapping[str, object]], normalise: Callable[[str], str]
) -> tuple[str, float | None, float | None, bool]:
    """Values of ``_TEXT_COLUMNS`` for a run of regions."""
    text = normalise("".join(str(row["text"]) for row in found))
    tokens = sum(int(str(row["tokens"])) for row in found)
    logprob = sum(float(str(row["logprob"])) for row in found)
    silences = [row["no_speech_probability"] for row in found]
    known = [float(str(value)) for value in silences if value is not None]
    return (
        text,
        logprob / tokens if tokens else None,
        max(known) if known else None,
        any(row["repetition_cut"] for row in found),
    )


def around(segments: pa.Table, found: pa.ChunkedArray) -> pa.ChunkedArray:
    """What is found in a segment holds for every segment that reaches across it.

    Args:
        segments: SEGMENT rows of speech.
        found: string [N], null where nothing was found.

    Returns:
        string [N].
    """
    values = found.to_pylist()
    columns = ("recording_id", "channel", "start_sample", "num_samples")
    places = list(zip(*(segments[name].to_pylist() for name in columns), strict=True))
    inner: dict[tuple[str, int | None], list[tuple[int, int, str]]] = {}
    for (recording, channel, start, size), value in zip(places, values, strict=True):
        if value is not None:
            inner.setdefault((recording, channel), []).append((start, start + size, value))
    for row, (recording, channel, start, size) in enumerate(places):
        for low, high, value in inner.get((recording, channel), ()):
            if values[row] is None and start <= low and high <= start + size:
                values[row] = value
    return pa.chunked_array([pa.array(values, pa.string())])


def seconds_of(table: pa.Table) -> float:
    """Seconds of all rows of a REGION or SEGMENT table."""
    if not table.num_rows:
        return 0.0
    seconds = pc.divide(table["num_samples"].cast(pa.float64()), table["sample_rate_hz"])
    return float(pc.sum(seconds).as_py())
