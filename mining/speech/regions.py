"""From speech probabilities to stretches of speech: the rules of Silero VAD, and one of our own.

W windows, R regions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mining.config.model import Speech
from mining.contract.errors import InputError
from mining.contract.speech import SPEECH_RATE_HZ
from mining.speech.detect import WINDOW_SAMPLES

_SAMPLES_PER_MS = SPEECH_RATE_HZ // 1000
_HYSTERESIS, _LOWEST_EXIT = 0.15, 0.01  # silero_vad.get_speech_timestamps, neg_threshold
_MIN_PIECE_S = 1.0  # no cut nearer to an end, unless max_region_s is below four times this


def speech_regions(
    probabilities: NDArray[np.float32], total_samples: int, settings: Speech
) -> NDArray[np.int64]:
    """Stretches of speech of one recording, in order, without overlap.

    As ``silero_vad.get_speech_timestamps`` (6.2) without a limit of length: speech begins with a
    window at ``threshold`` or above; it ends with the first window below the exit threshold
    (threshold - 0.15, at least 0.01) after which no window reaches ``threshold`` until one below
    the exit threshold lies ``min_silence_ms`` or more behind it. Stretches not longer than
    ``min_speech_ms`` are dropped; the others grow by ``pad_ms`` at both ends, or share the pause
    where it is too short for both.

    Then, in place of the package's limit: what is longer than ``max_region_s`` is cut in the middle of
    its least certain window, again and again until every piece fits. The cut lies in the middle
    ``max_region_s`` of the stretch and at least 1 s (or a quarter of ``max_region_s``, if that is less)
    from its ends. Of windows equally uncertain, the one nearest the middle is taken.

    Args:
        probabilities: float32 [W], one per window of 512 samples.
        total_samples: of the recording, 16 kHz; W is this over 512, rounded up.
        settings: threshold, min_speech_ms, min_silence_ms, pad_ms and max_region_s are used.

    Returns:
        int64 [R, 2]: start and end in samples at 16 kHz, end exclusive.

    Raises:
        InputError: if W and ``total_samples`` do not belong together.
    """
    wanted = -(-total_samples // WINDOW_SAMPLES)
    if len(probabilities) != wanted:
        raise InputError(
            f"speech regions: {total_samples} samples must have {wanted} probabilities, but have "
            f"{len(probabilities)}; both must come of one recording"
        )
    # In float64, as the package compares: 0.35 is another number in float32.
    probability = probabilities.astype(np.float64)
    start, end = _stretches(probability, total_samples, settings)
    start, end = _padded(start, end, total_samples, settings.pad_ms * _SAMPLES_PER_MS)
    return _cut(np.stack([start, end], axis=1), probabilities, settings.max_region_s)


def _stretches(
    probability: NDArray[np.float64], total_samples: int, settings: Speech
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Start and end of each stretch before padding.

    What the package's loop does window by window follows from the pauses between neighbouring
    windows of speech: a pause ends a stretch if its first and its last window of silence lie
    ``min_silence_ms`` apart. Windows between the two thresholds count as neither.
    """
    exit_threshold = max(settings.threshold - _HYSTERESIS, _LOWEST_EXIT)
    speech = np.flatnonzero(probability >= settings.threshold)
    silence = np.flatnonzero(probability < exit_threshold)
    if not len(speech):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    after = np.append(speech[1:], len(probability))
    first = np.searchsorted(silence, speech)
    last = np.searchsorted(silence, after) - 1
    paused = np.flatnonzero(first <= last)
    apart = (silence[last[paused]] - silence[first[paused]]) * WINDOW_SAMPLES
    ending = paused[apart >= settings.min_silence_ms * _SAMPLES_PER_MS]
    beginning = np.append(0, ending + 1)
    end = silence[first[ending]] * WINDOW_SAMPLES
    if beginning[-1] < len(speech):  # the recording ends in speech
        end = np.append(end, total_samples)
    else:
        beginning = beginning[:-1]
    start = speech[beginning] * WINDOW_SAMPLES
    kept = end - start > settings.min_speech_ms * _SAMPLES_PER_MS
    return start[kept], end[kept]


def _padded(
    start: NDArray[np.int64], end: NDArray[np.int64], total_samples: int, pad_samples: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    pause = start[1:] - end[:-1]
    pad = np.where(pause < 2 * pad_samples, pause // 2, pad_samples)
    before = np.append(pad_samples, pad)[: len(start)]
    behind = np.append(pad, pad_samples)[: len(end)]
    return np.maximum(start - before, 0), np.minimum(end + behind, total_samples)


def _cut(
    regions: NDArray[np.int64], probabilities: NDArray[np.float32], max_region_s: float
) -> NDArray[np.int64]:
    longest = int(max_region_s * SPEECH_RATE_HZ)
    if not np.any(regions[:, 1] - regions[:, 0] > longest):
        return regions
    shortest = min(int(_MIN_PIECE_S * SPEECH_RATE_HZ), longest // 4)
    pieces: list[tuple[int, int]] = []
    waiting: list[tuple[int, int]] = [(start, end) for start, end in regions[::-1].tolist()]
    while waiting:
        start, end = waiting.pop()
        excess = end - start - longest
        if excess <= 0:
            pieces.append((start, end))
            continue
        # Half the excess: hours without a pause fall into halves, not into slices off one end.
        keep = max(shortest, excess // 2)
        middle = _least_certain(probabilities, start + keep, end - keep)
        waiting += [(middle, end), (start, middle)]
    return np.array(pieces, dtype=np.int64)


def _least_certain(probabilities: NDArray[np.float32], low: int, high: int) -> int:
    """Middle of the window of the lowest probability whose middle lies in [low, high], in samples."""
    half = WINDOW_SAMPLES // 2
    first, last = -(-(low - half) // WINDOW_SAMPLES), (high - half) // WINDOW_SAMPLES
    inside = probabilities[first : last + 1]
    lowest = np.flatnonzero(inside == inside.min())
    nearest = lowest[np.argmin(np.abs(2 * lowest - (len(inside) - 1)))]
    return (first + int(nearest)) * WINDOW_SAMPLES + half
