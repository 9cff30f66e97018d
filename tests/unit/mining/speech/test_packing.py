"""Clips cost the least of all that could be made; words keep their order and none is lost."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mining.contract.speech import Word
from mining.speech.packing import pack_clips, words_to_regions

RATE_HZ = 1000
lengths = st.sampled_from([300, 1000, 2500, 4000, 9000, 12_000])
pauses = st.sampled_from([0, 100, 250, 500, 1000, 1500, 2000, 2001])
regions = st.lists(st.tuples(pauses, lengths), max_size=9)


def bounds(parts: list[tuple[int, int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    edges = np.cumsum(np.array(parts, np.int64).reshape(-1))
    return edges[::2], edges[1::2]


def cost(clips: list[list[int]], start: NDArray[np.int64], end: NDArray[np.int64]) -> float:
    """One a clip, and up to one for a cut in a pause of less than a second."""
    gaps = [start[after[0]] - end[before[1]] for before, after in pairwise(clips)]
    return len(clips) + sum(max(0.0, 1.0 - gap / RATE_HZ) for gap in gaps)


def possible(
    clips: list[list[int]], start: NDArray[np.int64], end: NDArray[np.int64], longest: int
) -> bool:
    return all(
        first == last
        or (
            end[last] - start[first] <= longest
            and np.all(start[first + 1 : last + 1] - end[first:last] <= 2000)
        )
        for first, last in clips
    )


@settings(max_examples=500)
@given(regions, st.sampled_from([0, 5, 10, 30]))
def test_clips_cost_the_least(parts: list[tuple[int, int]], clip_s: int) -> None:
    start, end = bounds(parts)
    array = pack_clips(start, end, RATE_HZ, clip_s, 2.0)
    found = array.tolist()
    assert array.dtype == np.int64
    assert array.shape[1:] == (2,)
    assert [r for first, last in found for r in range(first, last + 1)] == list(range(len(start)))
    assert possible(found, start, end, clip_s * RATE_HZ)
    every = []
    for cuts in product([False, True], repeat=max(0, len(start) - 1)):
        firsts = [r for r in range(len(start)) if r == 0 or cuts[r - 1]]
        clips = [[a, b - 1] for a, b in pairwise([*firsts, len(start)])]
        if possible(clips, start, end, clip_s * RATE_HZ):
            every.append(cost(clips, start, end))
    assert cost(found, start, end) == pytest.approx(min(every))


def test_a_short_pause_is_not_cut_where_a_long_one_is_near() -> None:
    # four of 5 s; a clip of 20 s would hold the first three, and end in the pause of 0.1 s
    start, end = bounds([(0, 5000), (100, 5000), (900, 5000), (100, 5000)])
    assert pack_clips(start, end, RATE_HZ, 16.5, 2.0).tolist() == [[0, 1], [2, 3]]


def test_the_longest_pause_within_a_clip() -> None:
    for pause, clips in ((2000, [[0, 1]]), (2001, [[0, 0], [1, 1]])):
        start, end = bounds([(0, 1000), (pause, 1000)])
        assert pack_clips(start, end, RATE_HZ, 30, 2.0).tolist() == clips


def test_of_equal_costs_the_later_clip_is_the_longer() -> None:
    start, end = bounds([(0, 5000), (1000, 5000), (1000, 5000)])
    assert pack_clips(start, end, RATE_HZ, 12, 2.0).tolist() == [[0, 0], [1, 2]]


def test_every_region_by_itself() -> None:
    start, end = bounds([(0, 5000), (0, 5000)])
    assert pack_clips(start, end, RATE_HZ, 0, 2.0).tolist() == [[0, 0], [1, 1]]


def test_a_region_longer_than_a_clip_stays_whole_and_alone() -> None:
    start, end = bounds([(0, 1000), (100, 40_000), (100, 1000)])
    assert pack_clips(start, end, RATE_HZ, 30, 2.0).tolist() == [[0, 0], [1, 1], [2, 2]]


def word(text: str, start_s: float, end_s: float) -> Word:
    return Word(text=text, start_s=start_s, end_s=end_s, logprob=-1.0, tokens=1)


times = st.floats(0, 30, width=32)


@given(
    st.lists(st.tuples(times, times), max_size=30),
    st.lists(times, min_size=2, max_size=20, unique=True),
)
def test_all_words_are_kept_once_and_in_order(
    spans: list[tuple[float, float]], edges: list[float]
) -> None:
    edges = sorted(edges)[: len(edges) // 2 * 2]
    words = [word(str(i), min(span), max(span)) for i, span in enumerate(spans)]
    dealt = words_to_regions(words, edges[::2], edges[1::2])
    assert len(dealt) == len(edges) // 2
    assert [w for region in dealt for w in region] == words


@given(
    st.lists(times, max_size=30),
    st.lists(times, min_size=2, max_size=20, unique=True),
)
def test_words_in_order_go_to_the_nearest_region(middles: list[float], edges: list[float]) -> None:
    edges = sorted(edges)[: len(edges) // 2 * 2]
    start_s, end_s = edges[::2], edges[1::2]
    words = [word("", middle, middle) for middle in sorted(middles)]
    for region, held in enumerate(words_to_regions(words, start_s, end_s)):
        for w in held:
            away = [
                max(a - w.start_s, w.start_s - b, 0.0) for a, b in zip(start_s, end_s, strict=True)
            ]
            assert away[region] == pytest.approx(min(away), abs=1e-9)


def test_a_word_on_the_border_of_two_pieces_belongs_to_the_later() -> None:
    words = [word("a", 0.5, 1.5), word("b", 2.0, 3.0), word("c", 2.1, 3.3)]
    dealt = words_to_regions(words, [0.0, 2.5], [2.5, 5.0])
    assert [[w.text for w in region] for region in dealt] == [["a"], ["b", "c"]]


def test_no_word_goes_back() -> None:
    """A recogniser's times may step back; its order is the order of the text."""
    words = [word("a", 3.0, 3.2), word("b", 0.1, 0.2)]
    dealt = words_to_regions(words, [0.0, 2.5], [2.4, 5.0])
    assert [[w.text for w in region] for region in dealt] == [[], ["a", "b"]]


def test_no_words() -> None:
    assert words_to_regions([], [0.0, 2.0], [1.0, 3.0]) == [[], []]
