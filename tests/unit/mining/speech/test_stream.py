"""Streams of samples do not depend on how they are cut into blocks."""

import numpy as np
import pytest
import soxr
from hypothesis import given
from hypothesis import strategies as st

from mining.contract.errors import AudioError
from mining.speech.stream import at_16k, at_rate, at_speech_rate, mono, spans

RATES = [8000, 11025, 16000, 22050, 24000, 44100, 48000, 96000, 16001]


def blocks_of(samples, cuts):
    """``samples`` cut at the given places."""
    return np.split(samples, sorted(c % (len(samples) + 1) for c in cuts))


CUTS = st.lists(st.integers(0, 10_000), max_size=6)


def test_mono():
    block = np.array([[1, 0, 0.5], [0.25, 0.25, -0.5]], dtype=np.float32)
    assert np.array_equal(np.concatenate(list(mono([block], None))), np.float32([0.5, 0]))
    assert np.array_equal(np.concatenate(list(mono([block, block], 1))), [0, 0.25, 0, 0.25])
    assert next(mono([block], None)).dtype == np.float32
    for channel in (3, -1):
        with pytest.raises(AudioError, match="3 channels"):
            list(mono([block], channel))


@pytest.mark.parametrize("channels", [1, 2, 6, 9])
@given(cuts=CUTS)
def test_mono_does_not_depend_on_blocks(channels, cuts):
    samples = np.random.default_rng(0).standard_normal((500, channels)).astype(np.float32)
    whole = np.concatenate(list(mono([samples], None)))
    assert np.allclose(whole, samples.mean(axis=1), atol=1e-6)
    parts = np.concatenate(list(mono(blocks_of(samples, cuts), None)))
    assert np.array_equal(parts, whole)


@pytest.mark.parametrize("rate_hz", RATES)
@given(cuts=CUTS)
def test_resampling_does_not_depend_on_blocks(rate_hz, cuts):
    samples = np.random.default_rng(1).standard_normal(7919).astype(np.float32)
    whole = np.concatenate(list(at_speech_rate([samples], rate_hz)))
    assert abs(len(whole) - len(samples) * 16000 / rate_hz) <= 1
    parts = np.concatenate(list(at_speech_rate(blocks_of(samples, cuts), rate_hz)))
    assert np.array_equal(parts, whole)
    reference = soxr.resample(samples, rate_hz, 16000, quality="HQ")
    assert np.allclose(whole, reference[: len(whole)], atol=1e-6)


@pytest.mark.parametrize("rate_hz", [8000, 11025, 44100, 48000])
def test_resampling_moves_nothing(rate_hz):
    at = rate_hz * 3 // 4  # 0.75 s
    samples = np.zeros(rate_hz, dtype=np.float32)
    samples[at] = 1
    found = np.concatenate(list(at_speech_rate([samples], rate_hz)))
    assert abs(np.argmax(np.abs(found)) - at * 16000 / rate_hz) <= 0.5
    assert all(len(part) == 0 for part in at_speech_rate([], rate_hz))


@st.composite
def bounds_in(draw, high):
    starts = sorted(draw(st.lists(st.integers(0, high), max_size=8)))
    lengths = draw(st.lists(st.integers(0, 300), min_size=len(starts), max_size=len(starts)))
    pairs = [(s, s + n) for s, n in zip(starts, lengths, strict=True)]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


@pytest.mark.parametrize("shape", [(1000,), (1000, 2), (0,)])
@given(cuts=CUTS, bounds=bounds_in(1100))
def test_spans_are_slices(shape, cuts, bounds):
    samples = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    found = list(spans(iter(blocks_of(samples, cuts)), bounds))
    assert len(found) == len(bounds)
    for (start, end), piece in zip(bounds.tolist(), found, strict=True):
        assert np.array_equal(piece, samples[start:end])


def test_spans_of_nothing():
    assert [len(x) for x in spans([], np.array([[0, 5], [7, 9]]))] == [0, 0]


@pytest.mark.parametrize("bounds", [[[5, 6], [4, 9]], [[-1, 3]], [[4, 3]]])
def test_spans_must_be_sorted(bounds):
    with pytest.raises(ValueError, match="sorted"):
        list(spans([np.zeros(10, np.float32)], np.array(bounds)))


def test_spans_hold_one_span_and_read_no_further_than_needed():
    read = []

    def stream():
        for i in range(1000):
            read.append(i)
            yield np.full(100, i, dtype=np.float32)

    found = spans(stream(), np.array([[150, 250], [50_000, 50_010]]))
    assert next(found).tolist() == [1] * 50 + [2] * 50
    assert len(read) == 3
    assert next(found).tolist() == [500] * 10
    assert len(read) == 501
    assert list(found) == []


@given(st.lists(st.integers(0, 16000 * 86400)), st.sampled_from(RATES))
def test_positions_between_rates(positions, rate_hz):
    there = at_rate(np.array(positions, dtype=np.int64), rate_hz)
    assert there.tolist() == [(p * rate_hz * 2 + 16000) // 32000 for p in positions]
    back = at_16k(there, rate_hz)
    if rate_hz >= 16000:
        assert back.tolist() == positions
    assert (np.abs(back - np.array(positions)) <= max(1, 16000 / rate_hz)).all()


def test_halves_go_up():
    assert at_rate(np.array([[1, 3], [2, 5]]), 8000).tolist() == [[1, 2], [1, 3]]
