"""Candidates are those of the plain double loop."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mining.config.model import Speech
from mining.speech.candidates import propose

RATE_HZ = 1000
# pauses and lengths on the limits below, just within and just beyond
lengths = st.sampled_from([1, 200, 300, 499, 500, 501, 1000, 1999, 2000, 2001, 5000])
pauses = st.sampled_from([0, 1, 100, 499, 500, 501, 1500])
regions = st.lists(st.tuples(pauses, lengths), max_size=25)
rules = st.builds(
    Speech,
    min_s=st.sampled_from([0.2, 0.5, 1.0]),
    max_s=st.sampled_from([1.0, 2.0, 5.0, 60.0]),
    max_gap_s=st.sampled_from([0.0, 0.1, 0.5, 2.0]),
    max_joined=st.sampled_from([1, 2, 3, 16]),
)


def bounds(parts: list[tuple[int, int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    edges = np.cumsum(np.array(parts, np.int64).reshape(-1))
    return edges[::2], edges[1::2]


def slowly(
    start: NDArray[np.int64], end: NDArray[np.int64], rate_hz: int, rule: Speech
) -> list[list[int]]:
    found = []
    for i in range(len(start)):
        for j in range(i, len(start)):
            joined = j - i + 1 <= rule.max_joined
            near = all(
                start[k + 1] - end[k] <= round(rule.max_gap_s * rate_hz) for k in range(i, j)
            )
            length = end[j] - start[i]
            if (
                joined
                and near
                and round(rule.min_s * rate_hz) <= length <= round(rule.max_s * rate_hz)
            ):
                found.append([i, j])
    return found


@settings(max_examples=1000)
@given(regions, rules)
def test_candidates_are_those_of_the_plain_loop(parts: list[tuple[int, int]], rule: Speech) -> None:
    start, end = bounds(parts)
    found = propose(start, end, RATE_HZ, rule)
    assert found.dtype == np.int64
    assert found.shape[1:] == (2,)
    assert found.tolist() == slowly(start, end, RATE_HZ, rule)


def test_limits_hold_at_any_rate() -> None:
    """1 s is 44,100 samples, the pause of 1.5 s is 66,150."""
    start = np.array([0, 44_100 + 66_150, 300_000])
    end = np.array([44_100, 2 * 44_100 + 66_150, 300_000 + 44_099])
    assert propose(start, end, 44_100, Speech()).tolist() == [[0, 0], [0, 1], [1, 1]]


def test_a_long_recording_has_at_most_max_joined_a_region() -> None:
    start = np.arange(100_000) * 10
    found = propose(start, start + 9, 10, Speech(min_s=0.5))
    assert len(found) == 16 * len(start) - 16 * 15 // 2
