"""Recordings of all kinds, whole and damaged, against what was written and against PyAV."""

import importlib.util
import os
import struct
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mining.contract.errors import AudioError
from mining.speech.audio import BLOCK_SAMPLES, open_audio

av = pytest.importorskip("av")
RATE_HZ = 16000
REAL = Path(
    os.environ.get("MINING_REAL_DATA", Path(__file__).parents[4].parent / "shared" / "data")
)


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


def without_header(data):
    """An MP3 file without its Xing header, which is a frame of its own."""
    tag = max(data.find(b"Xing", 0, 4096), data.find(b"Info", 0, 4096))
    start = next(tag - n for n in (13, 21, 36) if data[tag - n] == 0xFF)
    following = data.find(data[start : start + 2], tag)
    return data[following:]


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


# Damage


def test_what_is_no_recording(tmp_path):
    path = tmp_path / "a.wav"
    for data, message in [
        (b"", "empty file"),
        (b"just some text\n" * 100, "neither libsndfile nor FFmpeg"),
        (np.random.default_rng(0).bytes(5000), "must"),
        (b"RIFF\0\0\0\0WAVE", "must"),
        (b"\x7fELF" + bytes(5000), "must"),
    ]:
        path.write_bytes(data)
        with pytest.raises(AudioError, match=message) as raised:
            decoded(path)
        assert str(path) in str(raised.value)
        assert raised.value.reason == "unreadable_audio"
    soundfile.write(path, np.zeros((0, 1)), RATE_HZ)
    with pytest.raises(AudioError, match="no samples"):
        decoded(path)
    with pytest.raises(AudioError, match="none"):
        decoded(tmp_path / "none")


@pytest.mark.parametrize(("offset", "bytes_"), [(10, bytes(2)), (12, bytes(4)), (12, b"\1\0\0\0")])
def test_headers_without_channels_or_rate(tmp_path, offset, bytes_):
    soundfile.write(tmp_path / "a.wav", noise(1), RATE_HZ)
    data = bytearray((tmp_path / "a.wav").read_bytes())
    at = data.find(b"fmt ") + offset
    data[at : at + len(bytes_)] = bytes_
    (tmp_path / "a.wav").write_bytes(data)
    with pytest.raises(AudioError, match=r"a\.wav"):
        decoded(tmp_path / "a.wav")


def test_too_many_channels(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros((10, 65)), RATE_HZ)
    with pytest.raises(AudioError, match="64 channels, but has 65"):
        decoded(tmp_path / "a.wav")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at", [0, BLOCK_SAMPLES + 5])
def test_not_a_number(tmp_path, value, at):
    samples = noise(6, channels=2)
    samples[at, 1] = value
    soundfile.write(tmp_path / "a.wav", samples, RATE_HZ, subtype="FLOAT")
    with pytest.raises(AudioError, match=f"sample {at} is not"):
        decoded(tmp_path / "a.wav")


WRITTEN = {
    "wav": ("WAV", "PCM_16"),
    "aiff": ("AIFF", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}
ENCODED = {"aac": "adts", "webm": "webm"}


def recording(path, name, samples):
    if name in WRITTEN:
        container, subtype = WRITTEN[name]
        soundfile.write(path, samples, RATE_HZ, format=container, subtype=subtype)
    else:
        encode(path, samples, {"aac": "aac", "webm": "libopus"}[name], container=ENCODED[name])
    return path.read_bytes()


@pytest.mark.parametrize("name", [*WRITTEN, *ENCODED])
def test_a_cut_file_is_used_as_far_as_it_goes(tmp_path, name):
    path = tmp_path / "sound"
    data = recording(path, name, noise(20))
    whole, stream = decoded(path)
    assert stream.truncated is None
    path.write_bytes(data[: int(len(data) * 0.7) | 1])
    part, stream = decoded(path)
    assert 0.6 < len(part) / len(whole) < 0.75
    assert np.abs(part[:-5000] - whole[: len(part) - 5000]).max() < 1e-4
    assert stream.truncated is not None
    assert stream.truncated.startswith("ends at ")


@pytest.mark.parametrize("name", ["flac", "mp3"])
def test_damage_loses_nothing_that_comes_before(tmp_path, name):
    path = tmp_path / "sound"
    data = recording(path, name, noise(20))
    whole, _ = decoded(path)
    path.write_bytes(data[: len(data) // 2] + bytes(8000) + data[len(data) // 2 + 8000 :])
    part, stream = decoded(path)
    assert 0.48 < len(part) / len(whole) < 0.51
    assert np.abs(part - whole[: len(part)]).max() < 1e-5
    assert stream.truncated


@pytest.mark.parametrize("name", WRITTEN)
def test_tags_at_the_end_are_no_damage(tmp_path, name):
    path = tmp_path / "sound"
    data = recording(path, name, noise(10))
    for tail in (b"TAG" + bytes(125), np.random.default_rng(0).bytes(3000)):
        path.write_bytes(data + tail)
        found, stream = decoded(path)
        assert (len(found), stream.truncated) == (10 * RATE_HZ, None)


def test_appended_recordings_are_reported(tmp_path):
    path = tmp_path / "sound"
    parts = [recording(path, "mp3", noise(10, seed=seed)) for seed in (0, 1)]
    path.write_bytes(b"".join(parts))
    assert "follow the end" in decoded(path)[1].truncated
    encode(path, noise(5), "libopus", container="ogg")
    first = path.read_bytes()
    encode(path, noise(5), "libopus", container="ogg")
    second = path.read_bytes()
    at = second.find(b"OggS") + 14
    serial = bytes(b ^ 0x55 for b in first[14:18])
    path.write_bytes(first + second.replace(second[at : at + 4], serial))
    assert "several streams" in decoded(path)[1].truncated


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFF000])
def test_a_wav_written_to_a_pipe_states_no_length(tmp_path, size):
    soundfile.write(tmp_path / "a.wav", noise(5), RATE_HZ)
    data = bytearray((tmp_path / "a.wav").read_bytes())
    for at in (4, data.find(b"data") + 4):
        data[at : at + 4] = struct.pack("<I", size)
    (tmp_path / "a.wav").write_bytes(data)
    found, stream = decoded(tmp_path / "a.wav")
    assert (len(found), stream.truncated) == (5 * RATE_HZ, None)


def test_a_flac_that_does_not_know_its_length(tmp_path):
    soundfile.write(tmp_path / "a.flac", noise(9), RATE_HZ)
    data = bytearray((tmp_path / "a.flac").read_bytes())
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    (tmp_path / "a.flac").write_bytes(data)
    found, stream = decoded(tmp_path / "a.flac")
    assert (len(found), stream.truncated) == (9 * RATE_HZ, None)


def test_files_are_closed(tmp_path):
    soundfile.write(tmp_path / "a.mp3", noise(1), RATE_HZ)
    encode(tmp_path / "a.m4a", noise(1), "aac")
    (tmp_path / "b.mp3").write_bytes(without_header((tmp_path / "a.mp3").read_bytes()))
    (tmp_path / "text").write_text("nothing")
    before = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0
    for name in ("a.mp3", "b.mp3", "a.m4a", "text"):
        for _ in range(3):
            try:
                decoded(tmp_path / name)
            except AudioError:
                continue
    if before:
        assert len(os.listdir("/proc/self/fd")) == before


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
