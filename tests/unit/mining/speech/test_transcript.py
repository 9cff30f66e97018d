"""Clips of regions, and the regions' words as texts of segments."""

import math
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from mining.contract.schemas import REGION, SEGMENT, TRANSCRIPT, checked
from mining.contract.speech import Transcript, Word
from mining.io.collapse import table_of
from mining.speech.channels import Channel, Clip, channels_of, clips_of, seconds_of
from mining.speech.transcript import around, transcript_rows, with_transcripts

RATE_HZ = 100


def channel(*regions, recording="r", number=None, rate_hz=RATE_HZ):
    start, end = np.array(regions, np.int64).T
    return Channel(
        recording_id=recording, channel=number, source_uri="r.wav", lang="und", rate_hz=rate_hz,
        start=start, end=end,
    )  # fmt: skip


def region_table(*channels):
    names = ("recording_id", "channel", "region", "start_sample", "num_samples", "sample_rate_hz")
    rows = [
        (one.recording_id, one.channel, region, start, end - start, one.rate_hz)
        for one in channels
        for region, (start, end) in enumerate(
            zip(one.start.tolist(), one.end.tolist(), strict=True)
        )
    ]
    known = {"lang": "und", "source_uri": "r.wav", "level_dbfs": -20.0, "clipped_ratio": 0.0}
    return table_of(REGION, names, rows, known)


def segment_table(*places):
    """Rows of (recording, channel, start, end)."""
    names = ("segment_id", "recording_id", "channel", "start_sample", "num_samples")
    rows = [
        (f"s{row}", recording, number, start, end - start)
        for row, (recording, number, start, end) in enumerate(places)
    ]
    known = {"corpus": "c", "modality": "speech", "lang": "und", "occurrences": 1, "length": 1}
    return table_of(SEGMENT, names, rows, known | {"sample_rate_hz": RATE_HZ})


def word(text, start_s, end_s, logprob=-1.0, tokens=1):
    return Word(text=text, start_s=start_s, end_s=end_s, logprob=logprob, tokens=tokens)


def said(*words, **values):
    return Transcript(words=words, lang="deu", **values)


# Clips


def test_short_regions_share_a_clip_and_long_ones_are_cut_evenly():
    one = channel((0, 300), (310, 600), (650, 3350), (3360, 3400))
    clips = clips_of(one, 10.0, 10.0, 5.0)
    bounds = [(clip.start, clip.end, clip.first, clip.last) for clip in clips]
    assert bounds == [
        (0, 600, 0, 1), (650, 1550, 2, 2), (1550, 2450, 2, 2), (2450, 3350, 2, 2),
        (3360, 3400, 3, 3),
    ]  # fmt: skip


@pytest.mark.parametrize("samples", [999, 1000, 1001, 2999, 3000, 3001])
def test_no_clip_is_too_long_and_none_is_lost(samples):
    clips = clips_of(channel((7, 7 + samples)), 0.0, 10.0, 1.0)
    assert [clip.start for clip in clips] == [7, *(clip.end for clip in clips[:-1])]
    assert clips[-1].end == 7 + samples
    assert len(clips) == math.ceil(samples / 1000)
    assert all(0 < clip.end - clip.start <= 1000 for clip in clips)
    assert all((clip.first, clip.last) == (0, 0) for clip in clips)


def test_each_region_by_itself_and_no_clip_across_a_pause():
    one = channel((0, 100), (110, 200), (500, 600))
    assert [(c.first, c.last) for c in clips_of(one, 0.0, 30.0, 9.0)] == [(0, 0), (1, 1), (2, 2)]
    assert [(c.first, c.last) for c in clips_of(one, 30.0, 30.0, 1.0)] == [(0, 1), (2, 2)]


# Words of clips to regions


def test_each_region_has_its_words():
    one = channel((100, 300), (310, 600), (900, 1000), number=1)
    clips = [Clip(start=100, end=600, first=0, last=1), Clip(start=900, end=1000, first=2, last=2)]
    first = said(
        word(" a", 0.0, 0.5, -1.0, 2), word(" b", 1.5, 2.0, -2.0), word(" c", 2.2, 3.0, -4.0),
        no_speech_probability=0.25, lang_probability=0.5,
    )  # fmt: skip
    table = transcript_rows(one, clips, [first, said(repetition_cut=True)])
    checked(table, TRANSCRIPT, "here")
    rows = table.to_pylist()
    assert [row["text"] for row in rows] == [" a b", " c", ""]
    assert [row["region"] for row in rows] == [0, 1, 2]
    assert [row["logprob"] for row in rows] == [-3.0, -4.0, 0.0]
    assert [row["tokens"] for row in rows] == [3, 1, 0]
    assert [row["no_speech_probability"] for row in rows] == [0.25, 0.25, None]
    assert [row["lang_probability"] for row in rows] == [0.5, 0.5, None]
    assert [row["repetition_cut"] for row in rows] == [False, False, True]
    assert {(row["recording_id"], row["channel"], row["lang"]) for row in rows} == {("r", 1, "deu")}


def test_a_region_in_pieces_is_one_text():
    clips = [Clip(start=0, end=900, first=0, last=0), Clip(start=900, end=1800, first=0, last=0)]
    pieces = [
        said(word(" one", 0, 1), no_speech_probability=0.75, repetition_cut=True),
        said(word(" two", 0, 1, -2.0), no_speech_probability=0.25),
    ]
    (row,) = transcript_rows(channel((0, 1800)), clips, pieces).to_pylist()
    assert (row["text"], row["logprob"], row["tokens"]) == (" one two", -3.0, 2)
    assert (row["no_speech_probability"], row["repetition_cut"]) == (0.75, True)


# Texts of regions to segments


def test_a_segment_has_the_text_of_its_regions():
    left, right = (channel((0, 100), (150, 300), (300, 400), number=n) for n in (0, 1))
    other = channel((0, 100), recording="s")
    names = (
        "recording_id", "channel", "region", "lang", "text", "logprob", "tokens",
        "lang_probability", "no_speech_probability", "repetition_cut",
    )  # fmt: skip
    rows = [
        ("r", 0, 0, "deu", " A", -1.0, 1, 0.5, 0.25, False),
        ("r", 0, 1, "deu", " b ", -5.0, 2, 0.5, None, False),
        ("r", 0, 2, "deu", "", 0.0, 0, 0.5, 0.75, True),
        *(("r", 1, n, "eng", f" x{n}", -1.0, 1, None, None, False) for n in range(3)),
        ("s", None, 0, "fra", "", 0.0, 0, None, None, False),
    ]
    transcripts = table_of(TRANSCRIPT, names, rows[::-1], {})
    segments = segment_table(
        ("r", 0, 0, 300), ("r", 1, 150, 400), ("s", None, 0, 100), ("r", 0, 300, 400),
        ("r", 0, 0, 400), ("r", 0, 150, 300),
    )  # fmt: skip
    regions = region_table(left, right, other)
    assert [(c.recording_id, c.channel) for c in channels_of(regions)] == [
        ("r", 0), ("r", 1), ("s", None),
    ]  # fmt: skip
    found = with_transcripts(segments, regions, transcripts, str.strip)
    checked(found, SEGMENT, "here")
    assert found["segment_id"].to_pylist() == [f"s{row}" for row in range(6)]
    assert found["text"].to_pylist() == ["A b", "x1 x2", "", "", "A b", "b"]
    assert found["lang"].to_pylist() == ["deu", "eng", "fra", "deu", "deu", "deu"]
    assert found["lang_probability"].to_pylist() == [0.5, None, None, 0.5, 0.5, 0.5]
    assert found["mean_logprob"].to_pylist() == [-2.0, -1.0, None, None, -2.0, -2.5]
    assert found["no_speech_probability"].to_pylist() == [0.25, None, None, 0.75, 0.75, None]
    assert found["repetition_cut"].to_pylist() == [False, False, False, True, True, False]


# What is found in a segment


def test_what_is_found_holds_for_whatever_reaches_across_it():
    segments = segment_table(
        ("r", 0, 0, 100),  # before it
        ("r", 0, 100, 200),  # where it is found
        ("r", 0, 0, 200),
        ("r", 0, 100, 300),
        ("r", 0, 0, 300),
        ("r", 0, 150, 300),  # half of it
        ("r", 0, 101, 300),  # all but a sample
        ("r", 0, 0, 199),
        ("r", 1, 0, 300),  # another channel
        ("s", 0, 0, 300),  # another recording
    )
    values = [None] * 10
    values[1] = "a sentence"
    found = around(segments, pa.chunked_array([values], pa.string()))
    assert [row for row, value in enumerate(found.to_pylist()) if value] == [1, 2, 3, 4]
    assert set(found.drop_null().to_pylist()) == {"a sentence"}
    assert found.type == pa.string()


def test_what_is_found_by_itself_is_kept_and_nothing_is_found_in_nothing():
    segments = segment_table(("r", None, 0, 300), ("r", None, 100, 200), ("r", None, 50, 300))
    found = around(segments, pa.chunked_array([["long", "short"], [None]], pa.string()))
    assert found.to_pylist() == ["long", "short", "short"]
    none = around(segments.slice(0, 0), pa.chunked_array([], pa.string()))
    assert (len(none), none.type) == (0, pa.string())


# Seconds


def test_seconds_are_those_of_each_rate():
    rng = np.random.default_rng(0)
    regions, exact = [], []
    for number, rate_hz in enumerate((8000, 11025, 16000, 44100, 48000)):
        sizes = rng.integers(1, 2 * rate_hz, 20).tolist()
        starts = np.cumsum([0, *sizes]).tolist()
        regions.append(channel(*pairwise(starts), recording=f"r{number}", rate_hz=rate_hz))
        exact += [size / rate_hz for size in sizes]
    assert seconds_of(region_table(*regions)) == pytest.approx(math.fsum(exact), rel=1e-12)
    assert seconds_of(region_table(channel((0, 50)))) == 0.5
    assert seconds_of(REGION.empty_table()) == 0.0
