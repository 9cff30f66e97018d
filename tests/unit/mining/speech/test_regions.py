"""Regions are those of the package's loop over windows; what is too long is cut as a plain loop does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mining.config.model import Speech
from mining.contract.errors import InputError
from mining.speech.regions import speech_regions

# around the thresholds, and on them: 0.35 and 0.5 are the defaults
levels = st.sampled_from([0.0, 0.005, 0.01, 0.2, 0.34, 0.35, 0.36, 0.4, 0.49, 0.5, 0.51, 0.9, 1.0])
stretches = st.lists(st.tuples(levels, st.integers(1, 12)), max_size=40)
rules = st.builds(
    Speech,
    threshold=st.sampled_from([0.01, 0.1, 0.35, 0.5, 0.51, 0.9]),
    min_speech_ms=st.sampled_from([32, 64, 96, 250, 500]),
    min_silence_ms=st.sampled_from([32, 33, 64, 100, 300]),
    pad_ms=st.sampled_from([0, 16, 30, 33, 100, 1000]),
    max_region_s=st.just(30.0),
)


def probabilities(parts: list[tuple[float, int]]) -> NDArray[np.float32]:
    return np.array([level for level, count in parts for _ in range(count)], np.float32)


def package_regions(
    probability: NDArray[np.float32], total: int, rule: Speech
) -> list[tuple[int, int]]:
    from silero_vad.utils_vad import get_speech_timestamps_from_probs

    found = get_speech_timestamps_from_probs(
        probability.tolist(),
        threshold=rule.threshold,
        min_speech_duration_ms=rule.min_speech_ms,
        min_silence_duration_ms=rule.min_silence_ms,
        speech_pad_ms=rule.pad_ms,
        audio_length_samples=total,
    )
    return [(region["start"], region["end"]) for region in found]


@settings(max_examples=1000)
@given(stretches, st.integers(0, 511), rules)
def test_regions_are_the_packages(
    parts: list[tuple[float, int]], missing: int, rule: Speech
) -> None:
    probability = probabilities(parts)
    total = max(0, len(probability) * 512 - missing)
    found = speech_regions(probability, total, rule)
    assert found.dtype == np.int64
    # 480 windows are 15 s: nothing is too long
    assert [tuple(region) for region in found.tolist()] == package_regions(probability, total, rule)


def slowly_cut(
    probability: NDArray[np.float32], start: int, end: int, longest: int
) -> list[tuple[int, int]]:
    excess = end - start - longest
    if excess <= 0:
        return [(start, end)]
    keep = max(min(16000, longest // 4), excess // 2)
    best: tuple[float, float, int] | None = None
    for window, level in enumerate(probability.tolist()):
        middle = window * 512 + 256
        if start + keep <= middle <= end - keep:
            tried = (level, abs(2 * middle - start - end), middle)
            best = tried if best is None else min(best, tried)
    assert best is not None
    middle = best[2]
    return [
        *slowly_cut(probability, start, middle, longest),
        *slowly_cut(probability, middle, end, longest),
    ]


@given(
    st.integers(0, 2**32 - 1),
    st.integers(2, 3000),
    st.sampled_from([1.0, 1.5, 4.0, 20.0]),
    st.integers(0, 511),
)
def test_long_stretches_are_cut_where_they_are_least_certain(
    seed: int, windows: int, longest_s: float, missing: int
) -> None:
    # all different, so that the plain loop need not settle ties
    probability = np.random.default_rng(seed).permutation(windows).astype(np.float32)
    probability = np.float32(0.6) + probability / np.float32(10 * windows)
    total = windows * 512 - missing
    rule = Speech(max_region_s=longest_s, min_speech_ms=32)
    found = [tuple(region) for region in speech_regions(probability, total, rule).tolist()]
    whole = [] if total <= 512 else [(0, total)]
    longest = int(longest_s * 16000)
    wanted = [p for start, end in whole for p in slowly_cut(probability, start, end, longest)]
    assert found == wanted
    assert all(end - start <= longest for start, end in found)
    if len(found) > 1:
        assert min(end - start for start, end in found) >= min(16000, longest // 4)
        assert [end for _, end in found[:-1]] == [start for start, _ in found[1:]]


def test_of_equally_uncertain_windows_the_middle_one_is_cut() -> None:
    found = speech_regions(np.ones(701, np.float32), 701 * 512, Speech())
    assert found.tolist() == [[0, 350 * 512 + 256], [350 * 512 + 256, 701 * 512]]


def test_only_the_long_stretch_is_cut() -> None:
    parts = [(0.9, 30), (0.0, 20), (0.9, 400), (0.6, 1), (0.9, 400), (0.0, 20), (0.9, 30)]
    probability = probabilities(parts)
    found = speech_regions(probability, len(probability) * 512, Speech()).tolist()
    cut = 450 * 512 + 256
    assert found == [
        [0, 30 * 512 + 480],
        [50 * 512 - 480, cut],
        [cut, 851 * 512 + 480],
        [871 * 512 - 480, 901 * 512],
    ]


@pytest.mark.parametrize("level", [1.0, 0.0])
def test_eight_hours_of_one_level(level: float) -> None:
    windows = 900_000
    found = speech_regions(np.full(windows, level, np.float32), windows * 512, Speech())
    lengths = found[:, 1] - found[:, 0]
    assert lengths.sum() == (windows * 512 if level else 0)
    assert np.all(lengths <= 320_000)


def test_probabilities_of_another_recording_are_refused() -> None:
    with pytest.raises(InputError, match="513 samples must have 2 probabilities, but have 1"):
        speech_regions(np.zeros(1, np.float32), 513, Speech())
