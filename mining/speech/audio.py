"""Recordings as blocks of samples, in bounded memory, whatever their format and length."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mining.contract.errors import AudioError
from mining.speech.audio_stream import AudioStream


@contextmanager
def open_audio(path: Path, name: str | None = None) -> Iterator[AudioStream]:
    """Open a recording by its content, whatever its name ends in.

    libsndfile reads WAV, FLAC, Ogg (Vorbis, Opus), MP3 and other old formats; whatever it refuses
    (M4A, MP4, WebM, AAC, AMR, WMA, ...) PyAV reads, if it is installed. Of a video, its first sound.

    Args:
        path: a local file.
        name: what messages call it; not given: its path.

    Raises:
        AudioError: it is no recording, is empty, or needs PyAV, which is not installed.
    """
    import soundfile

    from mining.speech.sndfile_audio import SndfileStream

    name = name or str(path)
    _require_bytes(path, name)
    stream: AudioStream
    try:
        stream = SndfileStream(path, name)
    except soundfile.LibsndfileError as error:
        if importlib.util.find_spec("av") is None:
            raise AudioError(
                f"{name}: must be a recording, but libsndfile does not know it "
                f"({error.error_string.rstrip('.')}); if it is M4A, MP4, WebM, AAC, AMR or WMA, "
                "install the extra av"
            ) from None
        from mining.speech.av_audio import AvStream

        stream = AvStream(path, name)
    try:
        yield stream
    finally:
        stream.close()


def _require_bytes(path: Path, name: str) -> None:
    try:
        if path.stat().st_size:
            return
    except OSError as error:
        raise AudioError(
            f"{name}: cannot be opened: {error.strerror}; check the path", "missing_audio"
        ) from None
    raise AudioError(f"{name}: must hold sound, but is an empty file")
