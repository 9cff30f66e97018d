import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encoders.audio_tokens.kmeans_fit import _reservoir, fit_kmeans
from mining.contract.errors import ConfigError, InputError


def blobs(frames: int, width: int = 6, clusters: int = 5, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    middles = 10 * draw.standard_normal((clusters, width))
    points = middles[draw.integers(0, clusters, frames)] + 0.1 * draw.standard_normal(
        (frames, width)
    )
    return points.astype(np.float32)


def cut(points: np.ndarray, places: list[int]):
    yield from np.split(points, sorted(p % (len(points) + 1) for p in places))


@settings(max_examples=60)
@given(st.integers(0, 300), st.integers(2, 40), st.lists(st.integers(0, 300), max_size=8))
def test_the_sample_does_not_depend_on_the_cuts(frames, places, cuts):
    points = np.arange(2 * frames, dtype=np.float32).reshape(-1, 2)
    whole, numbers, seen = _reservoir([points], 2, 7, 8 * places)
    parts, _, seen_in_parts = _reservoir(cut(points, cuts), 2, 7, 8 * places)
    assert seen == seen_in_parts == frames
    assert np.array_equal(whole, parts)
    assert whole.tolist() == points[numbers].tolist()
    assert len(whole) == min(places, frames)
    assert len({tuple(row) for row in whole.tolist()}) == len(whole)


def test_the_sample_is_as_of_the_slow_algorithm():
    points = np.random.default_rng(0).random((500, 3)).astype(np.float32)
    draw = np.random.default_rng(3)
    slow = []
    for number, point in enumerate(points):
        place = int(draw.random() * (number + 1))
        if number < 20:
            slow.append(point)
        elif place < 20:
            slow[place] = point
    fast, _, _ = _reservoir(np.split(points, [3, 19, 60, 400]), 2, 3, 20 * 12)
    assert np.array_equal(fast, np.array(slow))


def test_every_frame_is_as_likely_to_be_sampled():
    points = np.arange(60, dtype=np.float32)[:, None]
    counts = np.zeros(60)
    for seed in range(2_000):
        sample, _, _ = _reservoir(np.split(points, [7, 30]), 2, seed, 4 * 15)
        counts[sample[:, 0].astype(int)] += 1
    # 2,000 draws of probability 1/4: mean 500, deviation 19.4
    assert np.abs(counts - 500).max() < 5 * 19.4


def test_blobs_are_found_whatever_the_cuts():
    points = blobs(900)
    clusters = fit_kmeans([points], 5, seed=0, threads=1)
    again = fit_kmeans(cut(points, [1, 50, 51, 600]), 5, seed=0, threads=1)
    assert np.array_equal(clusters.centroids, again.centroids)
    assert clusters.centroids.dtype == np.float32
    assert (clusters.frames, clusters.sampled, clusters.empty) == (900, 900, 0)


def test_centroids_are_the_means_of_their_frames():
    points = blobs(600, clusters=3)
    clusters = fit_kmeans([points], 3, seed=0, threads=1)
    squares = ((points[:, None].astype(float) - clusters.centroids.astype(float)) ** 2).sum(2)
    nearest = squares.argmin(1)
    means = [points[nearest == unit].mean(0) for unit in range(3)]
    assert np.allclose(clusters.centroids, means, atol=1e-4)
    assert clusters.distance == pytest.approx(squares.min(1).mean(), rel=1e-4)
    assert clusters.distance < 6 * 0.1**2 * 1.2
    shares = np.bincount(nearest) / 600
    assert clusters.bits == pytest.approx(-(shares * np.log2(shares)).sum())


def test_another_seed_gives_other_centroids():
    points = np.random.default_rng(0).random((400, 4)).astype(np.float32)
    one, two = (fit_kmeans([points], 16, seed=seed, threads=1).centroids for seed in (0, 1))
    assert not np.array_equal(one, two)


def test_memory_bounds_the_sample():
    clusters = fit_kmeans([blobs(900)], 5, seed=0, sample_bytes=100 * 24, threads=1)
    assert (clusters.frames, clusters.sampled) == (900, 100)
    with pytest.raises(ConfigError, match=r"5 units, 120 bytes, but are 119"):
        fit_kmeans([blobs(900)], 5, seed=0, sample_bytes=119)


@pytest.mark.parametrize("features", [[], [blobs(3), blobs(0), blobs(1)]])
def test_too_few_frames_are_told(features):
    with pytest.raises(InputError, match=r"at least 5 frames for 5 units, but there are [04];"):
        fit_kmeans(features, 5, seed=0)


def test_empty_clusters_are_told(caplog):
    points = np.repeat(blobs(4), 10, axis=0)
    with caplog.at_level(logging.WARNING):
        clusters = fit_kmeans([points], 8, seed=0, threads=1)
    assert clusters.empty == 4
    assert "4 of 8 units stand for no frame" in caplog.text
    assert clusters.bits <= 2.0
