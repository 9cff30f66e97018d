"""What libsndfile reads: WAV, FLAC, Ogg, MP3 and other old formats."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from mining.contract.errors import AudioError
from mining.speech.audio_stream import BLOCK_SAMPLES, AudioStream
from mining.speech.endings import chunk_ending, mp3_ending, mp3_states_length, ogg_ending

if TYPE_CHECKING:
    import soundfile

_ENDLESS_BYTES = 1 << 40
_FINE = ("PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ALAC_20", "ALAC_24", "ALAC_32", "DWVW_24")


class SndfileStream(AudioStream):
    """A recording that libsndfile knows.

    Args:
        path: a local file.
        name: what messages call it.

    Raises:
        soundfile.LibsndfileError: libsndfile does not know it.
        AudioError: it has no sound.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.name = name
        self._path = path
        self._file = _open(path)
        try:
            self.sample_rate_hz, self.channels = self._file.samplerate, self._file.channels
            self.bits = 24 if self._file.subtype in _FINE else 16
            self._check()
            if not self._file.frames:
                raise AudioError(f"{name}: must hold sound, but has no samples")
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _decoded(self) -> Iterator[NDArray[np.float32]]:
        from soundfile import LibsndfileError

        position, problem = 0, None
        promised = self._file.frames
        while problem is None and position < promised:
            # Not beyond the promised end: tags that follow it are no damage.
            wanted = min(BLOCK_SAMPLES, promised - position)
            block = np.full((wanted, self.channels), np.nan, dtype=np.float32)
            try:
                got = len(self._file.read(out=block))
            except LibsndfileError as error:
                # What was decoded before the fault stands in the block, uncounted.
                got = int(np.argmax(np.append(np.isnan(block).any(axis=1), True)))
                problem = error.error_string.removeprefix("Error : ").rstrip(".")
            position += got
            if got:
                yield block[:got]
            if got < wanted:
                break
        self.truncated = self._ending(position, problem)

    def _ending(self, position: int, problem: str | None) -> str | None:
        place = f"ends at {position / self.sample_rate_hz:.2f} s: "
        promised = self._file.frames
        # Formats that do not know their length promise more than any file can hold.
        if promised < _ENDLESS_BYTES and position < promised:
            place = f"ends at {position} of {promised} samples: "
            problem = problem or "the rest is missing or damaged"
        if problem is None:
            checks: dict[str, Callable[[], str | None]] = {
                "OGG": lambda: ogg_ending(self._path),
                "MP3": lambda: mp3_ending(self._path),
            }
            check = checks.get(self._file.format, lambda: chunk_ending(self._file.extra_info))
            problem = check()
        return None if problem is None else place + problem


def _open(path: Path) -> soundfile.SoundFile:
    """Open for reading from start to end, by content only.

    soundfile seeks after every block of a seekable file; in an MP3 file of variable bit rate libsndfile
    then lands elsewhere, and parts are heard twice or not at all. So it must not believe that the
    file is seekable.
    """
    from soundfile import SoundFile

    class _Sequential(SoundFile):  # type: ignore[misc]
        def seekable(self) -> bool:
            return False

    def opened(file: int | BinaryIO) -> Any:
        return _Sequential(file, closefd=True)

    # By number: a name that ends in .raw, .vox or .gsm would be believed.
    file = opened(os.open(path, os.O_RDONLY))
    # To one that says how long it is, an endless file is a contradiction, of which the decoder warns.
    if file.format != "MP3" or mp3_states_length(path):
        return file
    # Without a Xing or VBRI header the number of samples is a guess from the first frame and the
    # file's length, and libsndfile stops there. An endless file makes the guess visible.
    endless = opened(cast(BinaryIO, _Endless(path)))
    if endless.frames < _ENDLESS_BYTES // 64:
        endless.close()
        return file
    file.close()
    return endless


class _Endless(io.RawIOBase):
    """A file that says it is a tebibyte long, and ends where it ends."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "rb")  # noqa: SIM115
        self._bytes = os.fstat(self._file.fileno()).st_size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        if whence == os.SEEK_END:
            return self._file.seek(_ENDLESS_BYTES + offset)
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: Any) -> int:
        if self._file.tell() > self._bytes:  # the decoder looks for a tag at the end: there is none
            buffer[:] = bytes(len(buffer))
            return len(buffer)
        return self._file.readinto(buffer)

    def close(self) -> None:
        self._file.close()
        super().close()
