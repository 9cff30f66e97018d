"""Damaged recordings: used as far as they go, or refused in one line."""

import os
import struct

import numpy as np
import pytest
import soundfile

from mining.contract.errors import AudioError
from mining.speech.audio_stream import BLOCK_SAMPLES
from tests.unit.mining.speech.encoded import (
    ENCODED,
    RATE_HZ,
    WRITTEN,
    decoded,
    encode,
    noise,
    recording,
    without_header,
)


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
