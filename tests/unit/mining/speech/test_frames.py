"""Frames of regions as rows, and as what an encoder reads of a segment."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mining.contract.errors import DatasetError
from mining.contract.schemas import AUDIO_FRAMES, FRAMES_COLUMN, REGION, SEGMENT, checked
from mining.io.collapse import table_of
from mining.speech.channels import Channel
from mining.speech.frames import RegionFrames, frame_rows

RATE_HZ = 100


def channel(regions, recording="r", number=None):
    start, end = np.array(regions, np.int64).reshape(-1, 2).T
    return Channel(
        recording_id=recording, channel=number, source_uri="r.wav", lang="deu", rate_hz=RATE_HZ,
        start=start, end=end,
    )  # fmt: skip


def places(one):
    return list(zip(one.start.tolist(), one.end.tolist(), strict=True))


def region_table(channels):
    names = ("recording_id", "channel", "region", "start_sample", "num_samples")
    rows = [
        (one.recording_id, one.channel, region, start, end - start)
        for one in channels
        for region, (start, end) in enumerate(places(one))
    ]
    known = {"lang": "deu", "source_uri": "r.wav", "level_dbfs": -20.0, "clipped_ratio": 0.0}
    return table_of(REGION, names, rows, known | {"sample_rate_hz": RATE_HZ})


def segment_table(rows):
    """Rows of (recording, channel, start, end)."""
    names = ("segment_id", "recording_id", "channel", "start_sample", "num_samples")
    values = [(f"s{i}", r, c, start, end - start) for i, (r, c, start, end) in enumerate(rows)]
    known = {"corpus": "c", "modality": "speech", "lang": "deu", "occurrences": 1, "length": 1}
    return table_of(SEGMENT, names, values, known | {"sample_rate_hz": RATE_HZ})


@st.composite
def corpora(draw):
    """Channels, the frames of each of their regions, and segments that are runs of regions."""
    channels, frames, segments = [], [], []
    keys = [("a", None), ("b", 0), ("b", 1), ("c", None)]
    for recording, number in draw(st.lists(st.sampled_from(keys), min_size=1, unique=True)):
        gaps = draw(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 30)), min_size=1))
        edges = np.cumsum([edge for gap in gaps for edge in gap])
        one = channel(edges, recording, number)
        channels.append(one)
        units = st.lists(st.integers(0, 32766), max_size=4)
        frames.append([draw(units) for _ in gaps])
        for _ in range(draw(st.integers(0, 4))):
            first = draw(st.integers(0, len(gaps) - 1))
            last = draw(st.integers(first, len(gaps) - 1))
            segments.append((recording, number, int(one.start[first]), int(one.end[last])))
    return channels, frames, draw(st.permutations(segments)), draw(st.randoms())


def rows_of(channels, frames):
    tables = [
        frame_rows(one, [[np.array(units, np.int16)] for units in found])
        for one, found in zip(channels, frames, strict=True)
    ]
    return pa.concat_tables(tables)


@given(corpora())
def test_a_segment_has_the_frames_of_the_regions_inside_it_and_of_no_other(corpus):
    channels, frames, segments, draw = corpus
    rows = rows_of(channels, frames)
    order = list(range(rows.num_rows))
    draw.shuffle(order)
    part = RegionFrames.of(region_table(channels), rows.take(pa.array(order)))
    found = part.of_segments(segment_table(segments))
    assert found.type == FRAMES_COLUMN.type
    wanted = [
        [
            units
            for one, of_channel in zip(channels, frames, strict=True)
            for (low, high), units in zip(places(one), of_channel, strict=True)
            if one.key == (recording, number) and start <= low and high <= end
        ]
        for recording, number, start, end in segments
    ]
    assert found.to_pylist() == wanted


def test_a_batch_takes_the_column():
    part = RegionFrames.of(region_table([channel([0, 9])]), rows_of([channel([0, 9])], [[[1, 2]]]))
    (batch,) = segment_table([("r", None, 0, 9)]).to_batches()
    found = batch.append_column(FRAMES_COLUMN, part.of_segments(batch))
    assert found.schema.field("audio_frames") == FRAMES_COLUMN
    assert found.column("audio_frames").to_pylist() == [[[1, 2]]]
    assert part.of_segments(batch.slice(0, 0)).to_pylist() == []


@pytest.mark.parametrize(
    "frames",
    [
        [("r", None, 0)],  # one is missing
        [("r", None, 0), ("r", None, 1), ("r", None, 2)],  # one too many
        [("r", None, 0), ("r", None, 1), ("r", None, 1)],  # one twice
        [("r", None, 0), ("r", 0, 1)],  # of another channel
        [("r", None, 0), ("s", None, 1)],
    ],
)
def test_frames_of_other_regions_are_refused(frames):
    names = ("recording_id", "channel", "region", "frames")
    rows = table_of(AUDIO_FRAMES, names, [(*key, [1]) for key in frames], {})
    with pytest.raises(DatasetError, match="must hold each of 2 regions once"):
        RegionFrames.of(region_table([channel([0, 9, 10, 20])]), rows)


def test_a_region_of_several_clips_has_the_frames_of_all():
    def units(*values):
        return np.array(values, np.int16)

    one = channel([0, 9, 10, 20, 20, 30], "r", 1)
    table = frame_rows(one, [[units(1, 2)], [units(3), units(), units(4, 5)], []])
    checked(table, AUDIO_FRAMES, "here")
    assert table["frames"].to_pylist() == [[1, 2], [3, 4, 5], []]
    assert table["region"].to_pylist() == [0, 1, 2]
    assert set(table["channel"].to_pylist()) == {1}
    assert frame_rows(channel([]), []).num_rows == 0
