"""What libsndfile does not read, through PyAV (FFmpeg's libraries), the extra ``av``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from mining.contract.errors import AudioError
from mining.speech.audio_stream import BLOCK_SAMPLES, AudioStream

# Playlists (hls, concat, dash) name other files and addresses, so only containers are opened.
_CONTAINERS = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,dsf,dts,eac3,flac,flv,gsm,loas,matroska,mov,"
    "mp3,mpc,mpc8,mpeg,mpegts,nut,ogg,rm,tta,voc,w64,wav,wv"
)
# Those that state how long they are; elsewhere it is a guess from the bit rate.
_STATE_DURATION = frozenset({"asf", "aiff", "caf", "flac", "mov", "matroska", "wav", "w64"})
_TOLERANCE_S = 0.25  # encoders count their delay, or the last packet's padding, or not
_FINE_FORMATS = ("s32", "dbl", "s64")


class AvStream(AudioStream):
    """The first sound of what FFmpeg reads, from its first sample on.

    Rate and channels are those of the first decoded frame: what a container states is half the rate
    for some AAC. Encoder delay is cut off where the container states it. Gaps in the container's
    time stamps are not filled.

    Args:
        path: a local file.
        name: what messages call it.

    Raises:
        AudioError: FFmpeg does not know it, or it has no sound.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.name = name
        try:
            self._container = av.open(
                os.path.abspath(path),
                options={"format_whitelist": _CONTAINERS},
                metadata_errors="replace",
            )
        except av.error.FFmpegError as error:
            raise AudioError(
                f"{name}: must be a recording, but neither libsndfile nor FFmpeg knows it "
                f"({error.strerror})"
            ) from None
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        streams = self._container.streams.audio
        if not streams:
            raise AudioError(f"{self.name}: must hold sound, but none of its streams does")
        self._stream = streams[0]
        self._coming = self._frames()
        first = next(self._coming, None)
        if first is None:
            reason = f" ({self.truncated})" if self.truncated else ""
            raise AudioError(f"{self.name}: must hold sound, but has no samples{reason}")
        self._first: Any = first
        self.sample_rate_hz = first.sample_rate
        self.channels = first.layout.nb_channels
        lossless = self._stream.codec_context.name.startswith(("pcm", "flac", "alac", "wavpack"))
        fine = first.format.name.startswith(_FINE_FORMATS) or "_f" in self._stream.codec.name
        self.bits = 24 if lossless and fine else 16
        self._check()

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def _frames(self) -> Iterator[Any]:
        try:
            for packet in self._container.demux(self._stream):
                for frame in packet.decode():
                    if frame.samples:
                        yield frame
        except av.error.FFmpegError as error:
            self.truncated = error.strerror

    def _decoded(self) -> Iterator[NDArray[np.float32]]:
        position, held, pieces = 0, 0, []
        for piece in self._pieces():
            pieces.append(piece)
            held += len(piece)
            position += len(piece)
            while held >= BLOCK_SAMPLES:
                whole = np.concatenate(pieces)
                yield whole[:BLOCK_SAMPLES]
                pieces, held = [whole[BLOCK_SAMPLES:]], held - BLOCK_SAMPLES
        if held:
            yield np.concatenate(pieces)
        self.truncated = self._ending(position / self.sample_rate_hz)

    def _pieces(self) -> Iterator[NDArray[np.float32]]:
        """Each frame as float32 [n, C]."""
        first, self._first = self._first, None
        resampler = av.AudioResampler(format="fltp", layout=first.layout, rate=first.sample_rate)
        yield from _planes(first, resampler)
        for frame in self._coming:
            if (frame.sample_rate, frame.layout.nb_channels) != (
                self.sample_rate_hz,
                self.channels,
            ):
                self.truncated = (
                    f"goes on with {frame.sample_rate} Hz and {frame.layout.nb_channels} channels"
                )
                return
            yield from _planes(frame, resampler)

    def _ending(self, seconds: float) -> str | None:
        place = f"ends at {seconds:.2f} s: "
        if self.truncated is not None:
            return place + self.truncated
        promised = self._promised_s()
        if seconds >= promised - _TOLERANCE_S:
            return None
        return f"ends at {seconds:.2f} of {promised:.2f} s: the rest is missing or damaged"

    def _promised_s(self) -> float:
        """How long the container says that the stream is, in seconds; 0 if it does not say."""
        if _STATE_DURATION.isdisjoint(self._container.format.name.split(",")):
            return 0.0
        if self._stream.duration is not None:
            return float(self._stream.duration * self._stream.time_base)
        if len(self._container.streams) == 1 and self._container.duration is not None:
            return float(self._container.duration / av.time_base)
        return 0.0


def _planes(frame: Any, resampler: Any) -> Iterator[NDArray[np.float32]]:
    frame.pts = None  # the resampler would fill gaps between time stamps
    for converted in resampler.resample(frame):
        yield np.ascontiguousarray(converted.to_ndarray().T, dtype=np.float32)
