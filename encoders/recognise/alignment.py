"""Whisper's words with their times and probabilities, out of an alignment of tokens and frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from encoders.recognise.vocabulary import Piece
from mining.contract.speech import Word

FRAME_S = 0.02  # one position of Whisper's encoder
# openai/whisper (whisper/timing.py): a word after a pause takes the pause too, since the alignment
# gives every frame to some token. Longer than twice the median word, it is cut from the front.
_LONG_WORDS = 2.0
_LONGEST_MEDIAN_S = 0.7
_MEDIAN_POSITIONS = 7
_SENTENCE_ENDS = ".。!！?？"


def token_times(
    text_indices: NDArray[np.int64], frames: NDArray[np.int64], tokens: int
) -> NDArray[np.float64]:
    """When each text token begins, and the end of the last one: float64 [tokens + 1], seconds.

    Args:
        text_indices: token of each step of the path, int64 [P], never falling.
        frames: encoder position of each step, int64 [P], never falling.
        tokens: text tokens of the clip; the end token follows them on the path.
    """
    if not len(frames):
        return np.zeros(tokens + 1)
    # A token that the path passes by begins where the next one does.
    first = np.searchsorted(text_indices, np.arange(tokens + 1), side="left")
    return np.asarray(frames[np.minimum(first, len(frames) - 1)] * FRAME_S, dtype=np.float64)


def timed_words(
    pieces: Sequence[Piece],
    times: NDArray[np.float64],
    logprobs: NDArray[np.float64],
    duration_s: float,
) -> tuple[Word, ...]:
    """Words of a clip.

    Args:
        pieces: the clip's words as runs of tokens.
        times: float64 [tokens + 1], as ``token_times`` gives them.
        logprobs: of each text token, float64 [tokens], natural logarithm.
        duration_s: length of the clip; no word ends later.
    """
    starts = [min(float(times[piece.timed_start]), duration_s) for piece in pieces]
    ends = [min(float(times[piece.timed_end]), duration_s) for piece in pieces]
    spans = [end - start for start, end in zip(starts, ends, strict=True) if end > start]
    longest = _LONG_WORDS * min(float(np.median(spans)) if spans else 0.0, _LONGEST_MEDIAN_S)
    words = []
    for row, piece in enumerate(pieces):
        start, end = starts[row], ends[row]
        after_pause = row == 0 or pieces[row - 1].text.rstrip()[-1:] in _SENTENCE_ENDS
        if after_pause and end - start > longest > 0:
            start = end - longest
        words.append(
            Word(
                text=piece.text,
                start_s=round(start, 3),
                end_s=round(end, 3),
                logprob=float(logprobs[piece.start : piece.end].sum()),
                tokens=piece.end - piece.start,
            )
        )
    return tuple(words)


def dynamic_time_warp(
    attention: NDArray[np.float32], first_row: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The cheapest path through the attention from tokens to encoder positions.

    As openai/whisper (whisper/timing.py): attention over the clip's own positions, standardised
    over the tokens, smoothed by a median over 7 positions, averaged over the heads.

    Args:
        attention: after the softmax, float32 [heads, rows, positions], positions >= 1.
        first_row: the row that foretells the first text token; the rows before it are the prompt.

    Returns:
        Row, counted from ``first_row``, and position of each step: int64 [P] both.
    """
    weights = attention.astype(np.float64)
    weights /= np.maximum(weights.sum(axis=-1, keepdims=True), 1e-30)
    deviation = np.maximum(weights.std(axis=1, keepdims=True), 1e-30)
    weights = (weights - weights.mean(axis=1, keepdims=True)) / deviation
    return _cheapest_path(-_smoothed(weights).mean(axis=0)[first_row:])


def _smoothed(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    half = _MEDIAN_POSITIONS // 2
    if weights.shape[-1] <= half:
        return weights
    padded = np.pad(weights, ((0, 0), (0, 0), (half, half)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, _MEDIAN_POSITIONS, axis=-1)
    smoothed: NDArray[np.float64] = np.partition(windows, half, axis=-1)[..., half]
    return smoothed


def _cheapest_path(costs: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Dynamic time warping of a cost matrix [N, M], one antidiagonal at a time."""
    height, width = costs.shape
    total = np.full((height + 1, width + 1), np.inf)
    total[0, 0] = 0.0
    moves = np.full((height + 1, width + 1), 2, dtype=np.int8)
    moves[:, 0] = 1
    for diagonal in range(2, height + width + 1):
        i = np.arange(max(1, diagonal - width), min(height, diagonal - 1) + 1)
        j = diagonal - i
        both, down, right = total[i - 1, j - 1], total[i - 1, j], total[i, j - 1]
        move = np.where((both < down) & (both < right), 0, np.where(down < right, 1, 2))
        total[i, j] = costs[i - 1, j - 1] + np.choose(move, [both, down, right])
        moves[i, j] = move
    row, column = height, width
    path = []
    while row > 0 and column > 0:
        path.append((row - 1, column - 1))
        move_here = moves[row, column]
        row, column = row - int(move_here != 2), column - int(move_here != 1)
    steps = np.array(path[::-1], dtype=np.int64)
    return steps[:, 0], steps[:, 1]
