"""From the words of clips to the texts of regions, and from those to the texts of segments.

Each region is recognised once; the text of a segment is that of its regions, joined.

N segments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow as pa

from mining.contract.schemas import SEGMENT, TRANSCRIPT
from mining.contract.speech import Transcript
from mining.io.collapse import table_of
from mining.speech.channels import Channel, Clip, channels_of, runs_of
from mining.speech.packing import words_to_regions

_COLUMNS = (
    "recording_id", "channel", "region", "lang", "text", "logprob", "tokens", "lang_probability",
    "no_speech_probability", "repetition_cut",
)  # fmt: skip
_TEXT_COLUMNS = ("text", "mean_logprob", "no_speech_probability", "repetition_cut")


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
        dealt = words_to_regions(transcript.words, *channel.inside(clip))
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
    channels = {channel.key: channel for channel in channels_of(regions)}
    texts, langs, chances = [], [], []
    for channel, first, last in runs_of(segments, channels):
        found = [said[*channel.key, region] for region in range(first, last + 1)]
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
