import numpy as np
import pytest

from encoders.audio_tokens.equalise import PositionMeans, StateScale, deviation_of
from encoders.audio_tokens.kmeans_fit import _equalised, _windows


def test_a_place_that_few_reach_leans_on_all():
    means = PositionMeans(3)
    means.add(np.array([[1.0], [5.0]], np.float32))
    means.add(np.array([[3.0]], np.float32))
    # mean of all 3.0; places: (1 + 3 + 3) / 3, (5 + 3) / 2, 3 / 1
    assert means.mean().ravel() == pytest.approx([7 / 3, 4.0, 3.0])


def test_without_places_all_frames_count():
    means = PositionMeans(1)
    means.add(np.array([[1.0], [5.0]], np.float32))
    means.add(np.array([[3.0]], np.float32))
    assert means.mean().tolist() == [[3.0]]


def test_a_sample_is_scaled_where_it_lies():
    draw = np.random.default_rng(0)
    clips = [(draw.standard_normal((5, 4)) * [1, 50, 3, 0]).astype(np.float32) for _ in range(400)]
    clips = [clip + np.arange(5, dtype=np.float32)[:, None] for clip in clips]
    means = PositionMeans(5)
    for clip in clips:
        means.add(clip)
    sample, places = np.concatenate(clips), np.tile(np.arange(5), 400)
    scale = _equalised(sample, places, means)
    assert np.abs(scale.mean[:, 0] - np.arange(5)).max() < 0.2
    assert np.allclose(sample.std(axis=0)[:3], 1, atol=0.05)
    assert np.abs(sample).max() < 7
    assert np.allclose(sample[:5], scale.of(clips[0]), atol=1e-6)


def test_a_dimension_that_never_changes_is_left():
    assert deviation_of(np.array([[0.0, 2.0], [0.0, -2.0]], np.float32)).tolist() == [1.0, 2.0]
    scale = StateScale(mean=np.zeros((1, 1), np.float32), deviation=np.ones(1, np.float32))
    assert scale.of(np.empty((0, 1), np.float32)).shape == (0, 1)


def test_windows_are_filled_with_whole_clips():
    clips = [np.full(n, n, np.float32) for n in (3, 4, 5, 9, 1)]
    clips.insert(2, np.array([np.nan], np.float32))
    assert [len(window) for window in _windows(clips, 9)] == [7, 5, 9, 1]
    assert list(_windows([], 9)) == []
