import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoders.recognise.alignment import (
    FRAME_S,
    _cheapest_path,
    dynamic_time_warp,
    timed_words,
    token_times,
)
from encoders.recognise.vocabulary import Piece


def slow_cost(costs: np.ndarray) -> float:
    """Cheapest monotone path, cell by cell."""
    total = np.full((costs.shape[0] + 1, costs.shape[1] + 1), np.inf)
    total[0, 0] = 0
    for i in range(1, total.shape[0]):
        for j in range(1, total.shape[1]):
            before = min(total[i - 1, j - 1], total[i - 1, j], total[i, j - 1])
            total[i, j] = before + costs[i - 1, j - 1]
    return total[-1, -1]


@given(st.integers(1, 6), st.integers(1, 9), st.integers(0, 1000))
def test_path_is_the_cheapest(height, width, seed):
    costs = np.random.default_rng(seed).standard_normal((height, width))
    rows, columns = _cheapest_path(costs)
    assert (rows[0], columns[0], rows[-1], columns[-1]) == (0, 0, height - 1, width - 1)
    steps = {*zip(np.diff(rows).tolist(), np.diff(columns).tolist(), strict=True)}
    assert steps <= {(0, 1), (1, 0), (1, 1)}
    assert costs[rows, columns].sum() == pytest.approx(slow_cost(costs))


def test_attention_on_a_diagonal_gives_its_times():
    attention = np.full((2, 6, 100), 1e-4, dtype=np.float32)
    for row in range(6):  # rows 0 and 1 are the prompt, 2 to 4 the text, 5 the end
        attention[:, row, max(0, row - 2) * 25 : max(0, row - 2) * 25 + 25] = 0.04
    rows, frames = dynamic_time_warp(attention, first_row=2)
    times = token_times(rows, frames, tokens=3)
    assert times == pytest.approx([0.0, 0.5, 1.0, 1.5], abs=2 * FRAME_S)


@given(st.lists(st.integers(0, 60), min_size=2, max_size=12), st.floats(0.01, 1.3))
def test_words_stand_in_order_inside_the_clip(frames, duration_s):
    times = np.sort(np.array(frames)) * FRAME_S
    pieces = [
        Piece(text=" x.", start=i, end=i + 1, timed_start=i, timed_end=i + 1)
        for i in range(len(frames) - 1)
    ]
    logprobs = -np.arange(1.0, len(frames))
    words = timed_words(pieces, times, logprobs, duration_s)
    assert sum(word.logprob for word in words) == pytest.approx(logprobs.sum())
    edges = [edge for word in words for edge in (word.start_s, word.end_s)]
    assert edges == sorted(edges)
    assert edges[0] >= 0
    assert edges[-1] <= duration_s + 0.0005


def test_a_long_word_after_a_pause_is_cut_from_the_front():
    times = np.array([0.0, 0.3, 0.6, 3.6, 3.9])
    texts = [" One", " two.", " Three", " four."]
    pieces = [
        Piece(text=text, start=i, end=i + 1, timed_start=i, timed_end=i + 1)
        for i, text in enumerate(texts)
    ]
    words = timed_words(pieces, times, np.zeros(4), 4.0)
    assert (words[2].start_s, words[2].end_s) == (3.0, 3.6)
    assert words[1].end_s == 0.6


def test_no_path_gives_times_of_zero():
    empty = np.zeros(0, dtype=np.int64)
    assert token_times(empty, empty, 2).tolist() == [0, 0, 0]
