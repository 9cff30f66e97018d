"""The regions of a recording, put into clips for a model, and which of them a segment is made of.

R regions of one channel of a recording, N segments.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mining.speech.packing import pack_clips

ChannelKey = tuple[str, int | None]  # recording_id, channel


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A stretch of a recording that is computed at once.

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

    @property
    def key(self) -> ChannelKey:
        """What sets it apart from the other channels of a corpus."""
        return self.recording_id, self.channel

    def inside(self, clip: Clip) -> tuple[list[float], list[float]]:
        """Where the regions of a clip start and end, seconds from the start of the clip."""
        regions = slice(clip.first, clip.last + 1)
        starts_s = (self.start[regions] - clip.start) / self.rate_hz
        ends_s = (self.end[regions] - clip.start) / self.rate_hz
        return starts_s.tolist(), ends_s.tolist()


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


def runs_of(
    segments: pa.Table | pa.RecordBatch, channels: Mapping[ChannelKey, Channel]
) -> Iterator[tuple[Channel, int, int]]:
    """The channel of each segment, and the first and the last of the regions that it is made of.

    Args:
        segments: N SEGMENT rows of speech; each begins where a region begins and ends where one ends.
        channels: at least those of their recordings.
    """
    columns = ("recording_id", "channel", "start_sample", "num_samples")
    for recording, number, start, size in zip(
        *(segments[name].to_pylist() for name in columns), strict=True
    ):
        channel = channels[recording, number]
        first = int(np.searchsorted(channel.start, start))
        last = int(np.searchsorted(channel.end, start + size))
        yield channel, first, last


def seconds_of(table: pa.Table) -> float:
    """Seconds of all rows of a REGION or SEGMENT table."""
    if not table.num_rows:
        return 0.0
    seconds = pc.divide(table["num_samples"].cast(pa.float64()), table["sample_rate_hz"])
    return float(pc.sum(seconds).as_py())
