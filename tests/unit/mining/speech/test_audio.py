"""Recordings of all kinds, whole and damaged, against what was written and against PyAV."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mining.contract.errors import AudioError
from mining.speech.audio_stream import BLOCK_SAMPLES
from tests.unit.mining.speech.encoded import (
    RATE_HZ,
    WRITTEN,
    av,
    decoded,
    encode,
    noise,
    recording,
    without_header,
)

REAL = Path(
    os.environ.get("MINING_REAL_DATA", Path(__file__).parents[4].parent / "shared" / "data")
)


# What libsndfile reads, sample by sample


@pytest.mark.parametrize(
    ("container", "subtype", "step"),
    [
        ("WAV", "PCM_U8", 1 / 128),
        ("WAV", "PCM_16", 1 / 32768),
        ("WAV", "PCM_24", 2**-23),
        ("WAV", "FLOAT", 1e-9),
        ("WAV", "DOUBLE", 1e-7),
        ("WAV", "ALAW", 1 / 32),
        ("WAV", "ULAW", 1 / 32),
        ("FLAC", "PCM_16", 1 / 32768),
        ("FLAC", "PCM_24", 2**-23),
        ("AIFF", "PCM_16", 1 / 32768),
        ("CAF", "ALAC_16", 1 / 32768),
    ],
)
@pytest.mark.parametrize(("rate_hz", "channels"), [(8000, 1), (96000, 6)])
def test_lossless_formats(tmp_path, container, subtype, step, rate_hz, channels):
    samples = noise(1, rate_hz, channels).clip(-0.9, 0.9)
    path = tmp_path / "sound.bin"
    soundfile.write(path, samples, rate_hz, subtype=subtype, format=container)
    found, stream = decoded(path)
    assert (stream.sample_rate_hz, stream.channels) == (rate_hz, channels)
    assert stream.bits == (24 if subtype in ("PCM_24", "FLOAT", "DOUBLE") else 16)
    assert stream.truncated is None
    assert found.shape == samples.shape
    assert np.abs(found - samples).max() <= step


def test_beyond_full_scale_is_legal_in_float(tmp_path):
    samples = np.float32([[0.5], [1.5], [-3.0]])
    soundfile.write(tmp_path / "a.wav", samples, RATE_HZ, subtype="FLOAT")
    assert np.array_equal(decoded(tmp_path / "a.wav")[0], samples)


@pytest.mark.parametrize("count", [1, BLOCK_SAMPLES - 1, BLOCK_SAMPLES, 2 * BLOCK_SAMPLES + 1])
def test_block_boundaries(tmp_path, count):
    samples = noise(count / RATE_HZ)
    soundfile.write(tmp_path / "a.wav", samples, RATE_HZ, subtype="FLOAT")
    assert np.array_equal(decoded(tmp_path / "a.wav")[0], samples)


@pytest.mark.parametrize(
    "name", ["flac.wav", "flac.raw", "flac.mp3", "flac.txt", "flac", "flac.gsm"]
)
def test_names_do_not_matter(tmp_path, name):
    samples = noise(1)
    soundfile.write(tmp_path / name, samples, RATE_HZ, format="FLAC")
    assert len(decoded(tmp_path / name)[0]) == RATE_HZ


# Where things are, in compressed formats

MINUTES = 3
CLICKS_S = (1.0, 60 * MINUTES / 2 + 0.25, 60 * MINUTES - 1.5)


@pytest.fixture(scope="module")
def clicks():
    """Minutes of a low tone whose loudness varies (so that bit rates do), with three bursts."""
    at = np.arange(60 * MINUTES * RATE_HZ) / RATE_HZ
    samples = 0.1 * np.sin(2 * np.pi * 200 * at) * (1 + np.sin(2 * np.pi * at / 7))
    rng = np.random.default_rng(3)
    samples += np.where(at % 3 < 1.5, 0.03 * rng.standard_normal(len(at)), 0)
    burst = np.hanning(320) * np.sin(2 * np.pi * 1000 * np.arange(320) / RATE_HZ)
    for click in CLICKS_S:
        start = round(click * RATE_HZ) - 160
        samples[start : start + 320] += 0.7 * burst
    return samples.astype(np.float32)[:, None]


def click_places_s(samples, rate_hz):
    """Where the three bursts are: centres of energy, the tone below them left out."""
    found = []
    for click in CLICKS_S:
        low = round((click - 0.5) * rate_hz)
        piece = np.abs(samples[low : round((click + 0.5) * rate_hz), 0].astype(np.float64))
        power = np.where(piece > 0.35, piece, 0) ** 2
        found.append((low + float(np.arange(len(power)) @ power / power.sum())) / rate_hz)
    return np.array(found)


def by_pyav(path):
    """The whole file decoded by PyAV, gaps and all: float32 [n, 1] and its rate."""
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
        resampler = av.AudioResampler(format="flt", layout="mono", rate=frames[0].sample_rate)
        parts = [p.to_ndarray()[0] for f in frames for p in resampler.resample(f)]
        return np.concatenate(parts)[:, None], frames[0].sample_rate


FORMATS = {
    "flac": ("flac", {}),
    "cbr.mp3": ("libmp3lame", {}),
    "vbr.mp3": ("libmp3lame", {"vbr": 5}),
    "opus.ogg": ("libopus", {}),
    "vorbis.ogg": (None, {}),
    "opus.webm": ("libopus", {}),
    "m4a": ("aac", {}),
    "aac": ("aac", {"container": "adts"}),
}


@pytest.mark.parametrize("name", FORMATS)
def test_things_are_where_they_were(tmp_path, clicks, name, record_property):
    codec, options = FORMATS[name]
    path = tmp_path / f"sound.{name}"
    if codec is None:  # FFmpeg has no good encoder
        with soundfile.SoundFile(path, "w", RATE_HZ, 1, format="OGG", subtype="VORBIS") as file:
            for start in range(0, len(clicks), RATE_HZ):  # libsndfile crashes on minutes at once
                file.write(clicks[start : start + RATE_HZ])
    else:
        encode(path, clicks, codec, **options)
    found, stream = decoded(path)
    assert stream.truncated is None
    ours = click_places_s(found, stream.sample_rate_hz)
    theirs = click_places_s(*by_pyav(path))
    written = click_places_s(clicks, RATE_HZ)
    offsets = [float(np.abs(ours - other).max() * 1000) for other in (theirs, written)]
    record_property("offset_ms", offsets)
    print(f"{name}: {offsets[0]:.3f} ms from PyAV, {offsets[1]:.3f} ms from what was written")
    assert offsets[0] < 20
    # Raw AAC does not state the delay of its encoder, 1,024 samples.
    assert offsets[1] < (70 if name == "aac" else 20)


@pytest.mark.parametrize("vbr", [5, None])
def test_mp3_without_header_is_read_to_its_end(tmp_path, clicks, vbr):
    """The length is then a guess (of variable bit rate a bad one), and libsndfile stops there."""
    path = encode(tmp_path / "a.mp3", clicks, "libmp3lame", vbr=vbr)
    path.write_bytes(without_header(path.read_bytes()) + b"TAG" + bytes(125))
    found, stream = decoded(path)
    assert abs(len(found) - len(clicks)) < 3000
    assert stream.truncated is None
    offsets = click_places_s(found, RATE_HZ) - click_places_s(*by_pyav(path))
    assert np.abs(offsets).max() < 0.02


def test_mp3_blocks_are_those_of_the_whole(tmp_path, clicks):
    """soundfile seeks after each block, and libsndfile misses the place in variable bit rates."""
    path = encode(tmp_path / "a.mp3", clicks, "libmp3lame", vbr=5)
    found, _ = decoded(path)
    assert np.abs(found[:, 0] - soundfile.read(path, dtype="float32")[0]).max() < 1e-5


# What PyAV reads


def test_video_gives_its_first_sound(tmp_path):
    path = tmp_path / "video.mp4"
    sound = noise(2, 48000)
    with av.open(str(path), "w") as out:
        video = out.add_stream("mpeg4", rate=25)
        video.width = video.height = 64
        video.pix_fmt = "yuv420p"
        first, second = (out.add_stream("aac", rate=48000) for _ in range(2))
        for stream in (first, second):
            stream.layout = "mono"
        for _ in range(50):
            picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            out.mux(video.encode(picture))
        for stream, samples in ((first, sound), (second, sound[:4800])):
            for start in range(0, len(samples), 1024):
                piece = np.ascontiguousarray(samples[start : start + 1024].T)
                frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="mono")
                frame.sample_rate, frame.pts = 48000, start
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
        out.mux(video.encode(None))
    found, stream = decoded(path)
    assert (stream.sample_rate_hz, stream.channels, stream.truncated) == (48000, 1, None)
    assert abs(len(found) - 96000) < 3000


def test_without_pyav_the_extra_is_named(tmp_path, monkeypatch):
    path = encode(tmp_path / "a.m4a", noise(1), "aac")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(AudioError, match=r"a\.m4a.*install the extra av"):
        decoded(path)


def test_pyav_is_imported_only_when_needed(tmp_path):
    soundfile.write(tmp_path / "a.wav", noise(1), RATE_HZ)
    code = (
        "import sys; from pathlib import Path; from mining.speech.audio import open_audio\n"
        "with open_audio(Path(sys.argv[1])) as s: list(s.blocks())\n"
        "assert 'av' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "a.wav"], check=True)


def test_playlists_do_not_open_other_files(tmp_path):
    soundfile.write(tmp_path / "secret.wav", noise(1), RATE_HZ)
    encode(tmp_path / "secret.ts", noise(1), "aac", container="mpegts")
    playlists = {
        "a.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.ts\n#EXT-X-ENDLIST\n",
        "a.ffconcat": "ffconcat version 1.0\nfile secret.wav\n",
    }
    for name, text in playlists.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(AudioError):
            decoded(tmp_path / name)


# Length


def long_recording(path, name):
    """A tone of some hours, and how many. Eight hours of Opus take minutes to encode."""
    minute = (0.2 * np.sin(2 * np.pi * 300 * np.arange(60 * RATE_HZ) / RATE_HZ)).astype(np.float32)
    if name == "mp3":
        data = without_header(recording(path, "mp3", minute[:, None]))
        with open(path, "wb") as file:
            for _ in range(480):
                file.write(data)
        return 8
    hours, (container, subtype) = {"flac": 8, "opus": 1}[name], WRITTEN[name]
    with soundfile.SoundFile(path, "w", RATE_HZ, 1, format=container, subtype=subtype) as file:
        for _ in range(60 * hours):
            file.write(minute)
    return hours


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs /proc")
@pytest.mark.parametrize("name", ["flac", "opus", "mp3"])
def test_hours_in_bounded_memory(tmp_path, name):
    path = tmp_path / "long"
    hours = long_recording(path, name)
    code = (
        "import sys, time; from pathlib import Path\n"
        "from mining.speech.audio import open_audio\n"
        "from mining.speech.level import FrameLevels\n"
        "from mining.speech.stream import at_speech_rate, mono\n"
        "import re; status = Path('/proc/self/status').read_text\n"
        "def peak_mib(): return int(re.search(r'VmHWM:\\s*(\\d+)', status())[1]) // 1024\n"
        "before = peak_mib()\n"
        "import soundfile, soxr\n"
        "begin = time.perf_counter()\n"
        "with open_audio(Path(sys.argv[1])) as s:\n"
        "    n = sum(len(b) for b in s.blocks())\n"
        "decode_s = time.perf_counter() - begin\n"
        "with open_audio(Path(sys.argv[1])) as s:\n"
        "    levels = FrameLevels(s.sample_rate_hz)\n"
        "    m = sum(map(len, at_speech_rate(levels.passing(mono(s.blocks(), None)), 16000)))\n"
        "print(n, m, peak_mib() - before, peak_mib(), n / 16000 / decode_s)\n"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, path], check=True, capture_output=True, text=True
    )
    n, m, more_mib, peak_mib, speed = map(float, out.stdout.split())
    print(f"{name}: {more_mib:.0f} MiB more, peak {peak_mib:.0f}; {speed:.0f} x real time")
    assert abs(n / (hours * 3600 * RATE_HZ) - 1) < 0.01
    assert n == m
    assert more_mib < 100


# Real recordings


@pytest.mark.realdata
@pytest.mark.skipif(not (REAL / "long").is_dir(), reason="no real data")
def test_real_recordings_agree_with_pyav():
    for path in sorted((REAL / "long").glob("*.mp3")):
        found, stream = decoded(path)
        theirs, rate_hz = by_pyav(path)
        assert stream.truncated is None
        assert stream.sample_rate_hz == rate_hz
        ours = found.mean(axis=1)
        for place in (0.1, 0.5, 0.9):
            start, size = int(place * len(ours)), 4096
            piece = np.diff(theirs[start - size : start + 2 * size, 0])
            score = np.correlate(piece, np.diff(ours[start : start + size]), mode="valid")
            assert abs(int(np.argmax(score)) - size) < 0.02 * rate_hz, (path.name, place)


@pytest.mark.realdata
@pytest.mark.skipif(not (REAL / "commonvoice").is_dir(), reason="no real data")
def test_real_clips_are_whole():
    clips = sorted((REAL / "commonvoice").glob("*/clips/*.mp3"))[::20]
    assert clips
    for path in clips:
        found, stream = decoded(path)
        assert stream.truncated is None, path
        assert stream.sample_rate_hz in (22050, 32000, 44100, 48000), path
        assert len(found) > stream.sample_rate_hz // 2
