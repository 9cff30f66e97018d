"""Frames of regions as rows, and as the column that an encoder of speech reads.

Each region is tokenised once; a segment has the frames of its regions, however many segments share
them.

R regions, N segments, f frames of a region.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mining.contract.errors import DatasetError
from mining.contract.schemas import AUDIO_FRAMES, FRAMES_COLUMN
from mining.speech.channels import Channel, ChannelKey, channels_of, runs_of

_KEYS = ("recording_id", "channel", "region")


def frame_rows(channel: Channel, pieces: Sequence[Sequence[NDArray[np.int16]]]) -> pa.Table:
    """AUDIO_FRAMES rows of a channel, one for each region, in the order of time.

    Args:
        channel: what was tokenised.
        pieces: R runs of frames, int16 [f] each: a region that was cut into several clips has one
            for each clip.
    """
    count = len(pieces)
    sizes = [sum(map(len, piece)) for piece in pieces]
    values = np.concatenate([np.zeros(0, np.int16), *(run for piece in pieces for run in piece)])
    columns = {
        "recording_id": pa.array([channel.recording_id] * count, pa.string()),
        "region": pa.array(range(count), pa.int32()),
        "channel": pa.array([channel.channel] * count, pa.int16()),
        "frames": _lists(sizes, pa.array(values)),
    }
    return pa.table([columns[name] for name in AUDIO_FRAMES.names], schema=AUDIO_FRAMES)


def _lists(sizes: Sequence[int], values: pa.Array) -> pa.ListArray:
    """Runs of ``values``, one after the other."""
    offsets = np.concatenate([[0], np.cumsum(np.asarray(sizes, np.int64))])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)


@dataclass(frozen=True, kw_only=True)
class RegionFrames:
    """The frames of all regions of a part, ready to be dealt to segments.

    Attributes:
        channels: of the part.
        first_row: where each channel's regions begin in ``frames``.
        frames: list of int16 [R], in the order of the regions.
    """

    channels: Mapping[ChannelKey, Channel]
    first_row: Mapping[ChannelKey, int]
    frames: pa.ListArray

    @classmethod
    def of(cls, regions: pa.Table, frames: pa.Table) -> RegionFrames:
        """Put the frames of a part in the order of its regions.

        Args:
            regions: R REGION rows, sorted as :func:`~mining.speech.channels.channels_of` wants them.
            frames: AUDIO_FRAMES rows of these regions, in any order.

        Raises:
            DatasetError: if the frames are not those of these regions, each once.
        """
        rows = {key: row for row, key in enumerate(_keys(frames))}
        wanted = _keys(regions)
        missing = [key for key in wanted if key not in rows]
        if missing or not len(rows) == frames.num_rows == len(wanted):
            raise DatasetError(
                f"audio frames: must hold each of {len(wanted)} regions once, but have "
                f"{frames.num_rows} rows of {len(rows)} and lack {len(missing)}; remove them and "
                "tokenize again"
            )
        order = pa.array([rows[key] for key in wanted], pa.int64())
        channels = {channel.key: channel for channel in channels_of(regions)}
        sizes = [len(channel.start) for channel in channels.values()]
        starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]).tolist()
        return cls(
            channels=channels,
            first_row=dict(zip(channels, starts, strict=False)),
            frames=frames["frames"].combine_chunks().take(order),
        )

    def of_segments(self, segments: pa.Table | pa.RecordBatch) -> pa.ListArray:
        """The values of :data:`~mining.contract.schemas.FRAMES_COLUMN`.

        Args:
            segments: N SEGMENT rows of speech, of the regions' part.

        Returns:
            List of lists of int16 [N]: the frames of each region of each segment.
        """
        runs = [
            (self.first_row[channel.key] + first, last + 1 - first)
            for channel, first, last in runs_of(segments, self.channels)
        ]
        regions = [np.arange(row, row + size) for row, size in runs]
        place = np.concatenate([np.zeros(0, np.int64), *regions])
        found = _lists([size for _, size in runs], self.frames.take(pa.array(place)))
        return found.cast(FRAMES_COLUMN.type)


def _keys(table: pa.Table) -> list[tuple[str, int | None, int]]:
    return list(zip(*(table[name].to_pylist() for name in _KEYS), strict=True))
