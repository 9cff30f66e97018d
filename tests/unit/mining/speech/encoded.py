"""Recordings made by libsndfile and FFmpeg's encoders, and read back whole."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mining.speech.audio import open_audio
from mining.speech.audio_stream import BLOCK_SAMPLES

av = pytest.importorskip("av")
RATE_HZ = 16000
WRITTEN = {
    "wav": ("WAV", "PCM_16"),
    "aiff": ("AIFF", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}
ENCODED = {"aac": "adts", "webm": "webm"}


def decoded(path):
    """(samples [n, C], stream) after reading all blocks."""
    with open_audio(Path(path)) as stream:
        blocks = list(stream.blocks())
        assert all(len(block) == BLOCK_SAMPLES for block in blocks[:-1])
        assert all(b.dtype == np.float32 and b.shape[1] == stream.channels for b in blocks)
        return np.concatenate(blocks), stream


def noise(seconds, rate_hz=RATE_HZ, channels=1, seed=0):
    shape = (round(seconds * rate_hz), channels)
    return (0.1 * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def encode(path, samples, codec, *, rate_hz=RATE_HZ, container=None, vbr=None):
    """One channel through FFmpeg's encoders."""
    with av.open(str(path), "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate_hz)
        stream.layout = "mono"
        if vbr is not None:
            stream.codec_context.qscale = True
            stream.codec_context.global_quality = vbr * 118
        resampler = av.AudioResampler(
            format=stream.codec_context.format.name, layout="mono", rate=rate_hz
        )
        fifo = av.AudioFifo()
        for start in range(0, len(samples), 1 << 20):
            piece = np.ascontiguousarray(samples[start : start + (1 << 20)].T)
            frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="mono")
            frame.sample_rate = rate_hz
            for part in resampler.resample(frame):
                fifo.write(part)
        for part in resampler.resample(None):
            fifo.write(part)
        position = 0
        while (
            part := fifo.read(stream.codec_context.frame_size or 1024, partial=True)
        ) is not None:
            part.pts, part.time_base = position, Fraction(1, rate_hz)
            position += part.samples
            out.mux(stream.encode(part))
        out.mux(stream.encode(None))
    return path


def recording(path, name, samples):
    if name in WRITTEN:
        container, subtype = WRITTEN[name]
        soundfile.write(path, samples, RATE_HZ, format=container, subtype=subtype)
    else:
        encode(path, samples, {"aac": "aac", "webm": "libopus"}[name], container=ENCODED[name])
    return path.read_bytes()


def without_header(data):
    """An MP3 file without its Xing header, which is a frame of its own."""
    tag = max(data.find(b"Xing", 0, 4096), data.find(b"Info", 0, 4096))
    start = next(tag - n for n in (13, 21, 36) if data[tag - n] == 0xFF)
    following = data.find(data[start : start + 2], tag)
    return data[following:]
