"""What the stages share that hear the regions of a prepared corpus once more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.stage import Run, Unit
from beam_jobs.stages.listing import audio_uri
from beam_jobs.stages.reading import INCOMPLETE
from mining.contract.errors import AudioError, DatasetError
from mining.contract.schemas import AUDIO_FRAMES, REGION, REJECT
from mining.contract.speech import Samples
from mining.io.dataset import Manifest
from mining.io.filesystem import Storage
from mining.io.local import file_digest, local_file
from mining.io.parquet import read_part
from mining.speech.audio import open_audio
from mining.speech.channels import Channel, Clip
from mining.speech.frames import RegionFrames
from mining.speech.stream import at_16k, at_speech_rate, mono, spans

# Speech of one unit, about: what is lost when a worker is killed.
_UNIT_SPEECH_S = 900.0


def _shares(regions: Manifest, part: str) -> int:
    speech: Mapping[str, float] = regions.attributes["speech_s"]
    seconds = speech.get(part.removesuffix(".parquet"), 0.0)
    return max(1, round(seconds / _UNIT_SPEECH_S))


def units_of_speech(regions: Manifest) -> tuple[Unit, ...]:
    """Some recordings of a part of the regions each, about as long as one another."""
    return tuple(
        Unit(key=key, args={"part": part.path, "share": share, "shares": len(keys)})
        for part in regions.parts
        for keys in [units_of_part(regions, part.path)]
        for share, key in enumerate(keys)
    )


def units_of_part(regions: Manifest, part: str) -> list[str]:
    """Keys of the units that a part is dealt to."""
    stem = part.removesuffix(".parquet")
    return [f"{stem}.{share:05d}" for share in range(_shares(regions, part))]


def speech_of_unit(regions: Manifest, unit: Unit) -> tuple[str, int, int]:
    """What a unit hears: digest of the part, and which share of it."""
    (part,) = (part for part in regions.parts if part.path == unit.args["part"])
    return part.sha256, unit.args["share"], unit.args["shares"]


def regions_of_part(run: Run, regions: Manifest, part: str) -> pa.Table:
    """The REGION rows of a part."""
    folder = run.dataset("regions", regions.name, regions.hash)
    return read_part(f"{folder}/{part}", REGION, run.storage)


def regions_of_unit(run: Run, regions: Manifest, unit: Unit) -> pa.Table:
    """The REGION rows of the recordings of a unit, in the part's order."""
    table = regions_of_part(run, regions, unit.args["part"])
    share, shares = unit.args["share"], unit.args["shares"]
    # other digits than those that decide the part, which are the same in all its rows
    ids = (int(i[16:31], 16) % shares for i in table["recording_id"].to_pylist())
    return table.filter(pa.array([number == share for number in ids], pa.bool_()))


def of_files(regions: pa.Table, files: Sequence[str]) -> pa.Table:
    """The REGION rows of some recordings, by their addresses."""
    return regions.filter(pc.is_in(regions["source_uri"], pa.array(files, pa.string())))


def without_files(regions: pa.Table, files: Sequence[str]) -> pa.Table:
    """The REGION rows of all other recordings."""
    these = pc.is_in(regions["source_uri"], pa.array(files, pa.string()))
    return regions.filter(pc.invert(these))


def left_out_counters(regions: pa.Table, files: Sequence[str]) -> dict[str, int]:
    """``regions_left_out``: of recordings at which processes died; nothing where there are none."""
    count = of_files(regions, files).num_rows
    return {"regions_left_out": count} if count else {}


def without_left_out(
    segments: pa.Table, regions: pa.Table, files: Sequence[str], stage: str
) -> tuple[pa.Table, pa.Table]:
    """Take out the segments of recordings at which processes died.

    Args:
        segments: SEGMENT rows of speech.
        regions: REGION rows of all their recordings.
        files: addresses of the recordings that were left out.
        stage: that refuses them.

    Returns:
        The other SEGMENT rows, and REJECT rows.
    """
    recordings = of_files(regions, files)["recording_id"].unique()
    lost = pc.is_in(segments["recording_id"], recordings)
    refused = segments.filter(lost)
    columns = {
        "row_id": refused["segment_id"].to_pylist(),
        "stage": [stage] * refused.num_rows,
        "reason": ["left_out"] * refused.num_rows,
        "detail": [f"processes died at {uri}" for uri in refused["source_uri"].to_pylist()],
    }
    return segments.filter(pc.invert(lost)), pa.table(columns, schema=REJECT)


@dataclass(frozen=True, kw_only=True)
class CorpusFrames:
    """The frames of a corpus' regions.

    Attributes:
        manifest: of the AUDIO_FRAMES dataset, whose parts are those of :func:`units_of_speech`.
        regions: manifest of the regions.
    """

    manifest: Manifest
    regions: Manifest

    def left_out(self, part: str) -> list[str]:
        """Addresses of the recordings of a part that were not tokenised: processes died at them."""
        lacking: Mapping[str, list[str]] = self.manifest.attributes.get(INCOMPLETE, {})
        return [file for key in units_of_part(self.regions, part) for file in lacking.get(key, ())]

    def of_part(self, run: Run, part: str) -> RegionFrames:
        """The frames of the regions of one part, but for recordings that were left out."""
        folder = run.dataset("audio_frames", self.manifest.name, self.manifest.hash)
        tables = [
            read_part(f"{folder}/{key}.parquet", AUDIO_FRAMES, run.storage)
            for key in units_of_part(self.regions, part)
        ]
        frames = pa.concat_tables([AUDIO_FRAMES.empty_table(), *tables])
        regions = regions_of_part(run, self.regions, part)
        return RegionFrames.of(without_files(regions, self.left_out(part)), frames)


def samples_of(
    channel: Channel, clips: Sequence[Clip], base: str, storage: Storage
) -> Iterator[Samples]:
    """The clips' samples at :data:`~mining.contract.speech.SPEECH_RATE_HZ`, in one pass.

    Args:
        channel: of a recording.
        clips: in the order of time.
        base: folder of the recordings, with its slash.
        storage: fsspec options.

    Yields:
        float32 [T].

    Raises:
        DatasetError: if the recording is not the one that was prepared.
    """
    uri = audio_uri(base, channel.source_uri)
    bounds = np.array([[clip.start, clip.end] for clip in clips], dtype=np.int64)
    try:
        with local_file(uri, storage) as path:
            if file_digest(path) != channel.recording_id:
                raise DatasetError(
                    f"{uri}: must be the file that was prepared, but has changed; run again"
                )
            with open_audio(path) as stream:
                blocks = mono(stream.blocks(), channel.channel)
                wide = at_16k(bounds, channel.rate_hz)
                yield from spans(at_speech_rate(blocks, channel.rate_hz), wide)
    except AudioError as error:  # it could be read when it was prepared
        raise DatasetError(f"{uri}: cannot be read any more: {error}") from None
