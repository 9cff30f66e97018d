"""Levels of spans, against sums over the samples themselves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mining.speech.level import FLOOR_DBFS, FrameLevels


def levels_of(samples, rate_hz, cuts=()):
    levels = FrameLevels(rate_hz)
    for block in np.split(samples, sorted(c % (len(samples) + 1) for c in cuts)):
        levels.add(block)
    return levels


def one(levels, start, end):
    level, clipped = levels.of(np.array([start]), np.array([end]))
    assert level.dtype == clipped.dtype == np.float32
    return float(level[0]), float(clipped[0])


def test_known_levels():
    rate_hz = 16000
    square = np.tile(np.float32([1, -1]), rate_hz // 2)
    sine = np.sin(2 * np.pi * 440 * np.arange(rate_hz) / rate_hz).astype(np.float32)
    silence = np.zeros(rate_hz, dtype=np.float32)
    levels = levels_of(np.concatenate([square, 0.5 * sine, silence]), rate_hz)
    assert one(levels, 0, rate_hz) == (0.0, 1.0)
    level, clipped = one(levels, rate_hz, 2 * rate_hz)
    assert level == pytest.approx(-6.02 - 3.01, abs=0.01)
    assert clipped == 0
    assert one(levels, 2 * rate_hz, 3 * rate_hz) == (FLOOR_DBFS, 0)
    assert one(levels, 0, 3 * rate_hz)[1] == pytest.approx(1 / 3)
    assert one(levels, 5, 5) == (FLOOR_DBFS, 0)
    assert one(levels, 3 * rate_hz, 9 * rate_hz) == (FLOOR_DBFS, 0)
    assert one(FrameLevels(8000), 0, 10) == (FLOOR_DBFS, 0)


def test_full_scale_is_that_of_16_bits_and_beyond():
    values = np.array([32766, 32767, -32767, -32768, 40000], dtype=np.float32) / 32768
    for value, wanted in zip(values, [0, 1, 1, 1, 1], strict=True):
        assert one(levels_of(np.full(800, value), 8000), 0, 800)[1] == wanted


@pytest.mark.parametrize("rate_hz", [8000, 11025, 22050, 44100, 12345])
@given(
    cuts=st.lists(st.integers(0, 50_000), max_size=6),
    spans=st.lists(st.tuples(st.integers(0, 130), st.integers(0, 130)), min_size=1, max_size=5),
)
def test_whole_frames_are_exact_however_blocks_are_cut(rate_hz, cuts, spans):
    rng = np.random.default_rng(2)
    samples = np.clip(rng.standard_normal(rate_hz) * 0.5, -1, 1).astype(np.float32)
    levels = levels_of(samples, rate_hz, cuts)
    assert levels.samples == rate_hz
    bounds = np.sort(np.array(spans), axis=1) * rate_hz // 100
    start, end = bounds.T
    level, clipped = levels.of(start, end)
    for i, (low, high) in enumerate(bounds.tolist()):
        piece = samples[low:high].astype(np.float64)
        if len(piece):
            assert level[i] == pytest.approx(10 * np.log10(np.mean(piece**2)), abs=1e-4)
            assert clipped[i] == pytest.approx(np.mean(np.abs(piece) >= 1 - 1 / 32768), abs=1e-6)
    again = levels_of(samples, rate_hz).of(start, end)
    assert np.array_equal(level, again[0])
    assert np.array_equal(clipped, again[1])


def test_parts_of_frames_are_shared_out():
    samples = np.concatenate([np.ones(80), np.zeros(80), np.ones(40)]).astype(np.float32)
    levels = levels_of(samples, 8000)  # frames of 80, the last of 40
    assert one(levels, 40, 120)[1] == pytest.approx(0.5)
    assert one(levels, 100, 200)[1] == pytest.approx(0.4)
    assert one(levels, 180, 200) == (0.0, 1.0)


def test_blocks_pass_unchanged():
    blocks = [np.full(n, 0.5, dtype=np.float32) for n in (3, 0, 500)]
    levels = FrameLevels(8000)
    assert all(a is b for a, b in zip(levels.passing(blocks), blocks, strict=True))
    assert one(levels, 0, 503)[0] == pytest.approx(-6.02, abs=0.01)


def test_quiet_after_loud():
    loud = np.ones(16000 * 60, dtype=np.float32)
    quiet = np.full(16000, 1e-4, dtype=np.float32)
    levels = FrameLevels(16000)
    for _ in range(30):
        levels.add(loud)
    levels.add(quiet)
    start = 30 * 60 * 16000
    assert one(levels, start, start + 16000)[0] == pytest.approx(-80, abs=0.05)


def test_a_rate_below_the_frames_is_refused():
    with pytest.raises(ValueError, match="rate_hz"):
        FrameLevels(99)
