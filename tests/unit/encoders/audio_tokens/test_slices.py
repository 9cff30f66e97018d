import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoders.audio_tokens.slices import frames_of_regions, slice_deviation

RATES = st.sampled_from([25.0, 50.0, 12.5, 100.0])


@given(st.integers(0, 200), RATES, st.lists(st.floats(0, 9), max_size=9))
def test_regions_that_touch_lose_nothing_and_repeat_nothing(count, rate_hz, cuts):
    frames = np.arange(count).astype(np.int16)
    edges = [0.0, *sorted(cuts), max(9.0, count / rate_hz)]
    regions = frames_of_regions(frames, rate_hz, edges[:-1], edges[1:])
    assert len(regions) == len(edges) - 1
    assert np.concatenate(regions).tolist() == frames.tolist()


@given(st.integers(0, 200), RATES, st.lists(st.floats(0, 9), max_size=12))
def test_a_frame_is_of_the_region_that_holds_its_centre(count, rate_hz, edges):
    frames = np.arange(count).astype(np.int16)
    edges = sorted(edges)[: len(edges) // 2 * 2]
    starts, ends = edges[::2], edges[1::2]
    for region, start, end in zip(
        frames_of_regions(frames, rate_hz, starts, ends), starts, ends, strict=True
    ):
        inside = [f for f in range(count) if start <= (f + 0.5) / rate_hz < end]
        assert region.tolist() == inside
        assert region.dtype == np.int16


@pytest.mark.parametrize(("starts", "ends"), [([0, 1], [2, 3]), ([2, 0], [3, 1]), ([1], [0])])
def test_regions_out_of_order_are_refused(starts, ends):
    with pytest.raises(ValueError, match="in order"):
        frames_of_regions(np.zeros(9, np.int16), 1.0, starts, ends)


def test_no_regions_have_no_frames():
    assert frames_of_regions(np.zeros(9, np.int16), 1.0, [], []) == []


class Levels:
    """Loudness of each frame of 40 ms and of its neighbours: hears 60 ms from its centre."""

    rate_hz, context_s = 25.0, 0.06

    def frames(self, clips, langs=None):
        return [self._of(clip) for clip in clips]

    def _of(self, clip):
        count = (2 * len(clip) + 639) // 1280
        power = np.zeros(count + 2)
        whole = np.zeros(count * 640)
        whole[: len(clip)] = clip[: len(whole)]
        power[1:-1] = np.abs(whole).reshape(count, 640).sum(1)
        return (power[:-2] + power[1:-1] + power[2:]).astype(np.int16)


def test_only_frames_near_a_cut_differ():
    samples = np.random.default_rng(0).standard_normal(48_000).astype(np.float32)
    spans = [(0.0, 1.0), (0.99, 1.5), (2.0, 3.0)]
    assert slice_deviation(Levels(), samples, spans, guard_s=Levels.context_s) == 0.0
    # Of 25, 13 and 25 frames: one end, two ends, one end.
    assert slice_deviation(Levels(), samples, spans) == 4 / 62
    with pytest.raises(ValueError, match="farther than 9 s"):
        slice_deviation(Levels(), samples, spans, guard_s=9)
