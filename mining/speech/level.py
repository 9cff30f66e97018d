"""How loud a recording is, and where it is clipped, by frames of 10 ms.

n samples, F frames, R spans.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mining.contract.speech import Samples

FLOOR_DBFS = -120.0  # of silence; below the last bit of 16 (-96 dBFS)
FULL_SCALE = 1 - 1 / 32768  # the highest value of 16 bits
_FRAMES_PER_S = 100
_MOST_CLIPPED = (1 << 32) - 1  # six hours of 192 kHz, clipped throughout


class FrameLevels:
    """Energy and samples at full scale of a stream, gathered while it passes.

    12 bytes a frame: 35 MB for eight hours. A sample is at full scale from :data:`FULL_SCALE` on,
    by itself: runs are not asked for, so a recording whose one peak was normalised to full scale
    counts one sample. (8-bit and A-law sound reaches it downwards only or not at all.)
    Levels are differences of float64 sums: after eight hours of full scale a frame at -80 dBFS is
    known to 0.2 dB.

    Args:
        rate_hz: samples a second, at least 100.
    """

    def __init__(self, rate_hz: int) -> None:
        if rate_hz < _FRAMES_PER_S:
            raise ValueError(f"rate_hz must be at least {_FRAMES_PER_S}, but is {rate_hz}")
        self._rate_hz = rate_hz
        self._held = np.zeros(0, dtype=np.float32)  # of the frame that is not full yet
        # Sums up to the start of each frame. Frames end at the same samples however blocks are cut.
        self._energy = array("d", [0.0])
        self._clipped = array("I", [0])
        self._samples = 0

    @property
    def samples(self) -> int:
        """How many samples have passed."""
        return self._samples

    def add(self, block: Samples) -> None:
        """Count the next samples: float32 [n]."""
        self._samples += len(block)
        self._held = np.concatenate([self._held, block])
        done = len(self._energy) - 1
        first = self._bound(done)
        frames = self._frame_of(self._samples) - done
        if frames:
            bounds = self._bound(np.arange(done, done + frames + 1)) - first
            self._append(self._held[: bounds[-1]], bounds[:-1])
            self._held = self._held[bounds[-1] :].copy()

    def passing(self, blocks: Iterable[Samples]) -> Iterator[Samples]:
        """The same blocks, counted on their way."""
        for block in blocks:
            self.add(block)
            yield block

    def of(
        self, start_sample: NDArray[np.int64], end_sample: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Level and clipping of spans of what has passed.

        A frame that a span takes a part of counts by that part, as if it were even.

        Args:
            start_sample: int64 [R].
            end_sample: int64 [R], exclusive. What lies beyond the last sample is left out.

        Returns:
            Root mean square in dBFS (a square wave of full scale is 0), at least :data:`FLOOR_DBFS`,
            float32 [R]; share of the samples at full scale, 0 to 1, float32 [R]. Empty spans have
            FLOOR_DBFS and 0.
        """
        start = np.clip(np.asarray(start_sample, dtype=np.int64), 0, self._samples)
        end = np.clip(np.asarray(end_sample, dtype=np.int64), start, self._samples)
        samples = np.maximum(end - start, 1)
        energy, clipped = (
            high - low for low, high in zip(self._at(start), self._at(end), strict=True)
        )
        floor = 10.0 ** (FLOOR_DBFS / 10)
        level = 10 * np.log10(np.maximum(energy / samples, floor))
        ratio = np.clip(clipped / samples, 0, 1)
        return level.astype(np.float32), ratio.astype(np.float32)

    def _append(self, samples: Samples, starts: NDArray[np.int64]) -> None:
        """Add full frames that begin at ``starts`` in ``samples``."""
        energy, clipped = _frame_sums(samples, starts)
        # In order, from the sum so far: rounding must not depend on how many come at once.
        sums = np.cumsum(np.concatenate([[self._energy[-1]], energy]))
        counts = np.minimum(self._clipped[-1] + np.cumsum(clipped), _MOST_CLIPPED)
        self._energy.frombytes(sums[1:].tobytes())
        self._clipped.frombytes(counts.astype(np.uint32).tobytes())

    def _at(self, position: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Energy and clipped samples before each position."""
        frame = self._frame_of(position)
        low = self._bound(frame)
        width = np.minimum(self._bound(frame + 1), max(self._samples, 1)) - low
        part = (position - low) / np.maximum(width, 1)
        held = self._held if len(self._held) else np.zeros(1, dtype=np.float32)
        tail = _frame_sums(held, np.zeros(1, dtype=np.int64))
        found = [
            _between(np.frombuffer(sums, dtype=kind), frame, part, float(rest[0]))
            for sums, kind, rest in (
                (self._energy, np.float64, tail[0]),
                (self._clipped, np.uint32, tail[1]),
            )
        ]
        return found[0], found[1]

    def _bound(self, frame: Any) -> Any:
        """First sample of a frame."""
        return frame * self._rate_hz // _FRAMES_PER_S

    def _frame_of(self, sample: Any) -> Any:
        """The frame that holds a sample: the last that does not begin after it."""
        return ((sample + 1) * _FRAMES_PER_S - 1) // self._rate_hz


def _frame_sums(
    samples: Samples, starts: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Energy and samples at full scale of each frame: float64 [F], int64 [F]."""
    squares = np.square(samples, dtype=np.float64)
    full = (np.abs(samples) >= FULL_SCALE).astype(np.int64)
    return np.add.reduceat(squares, starts), np.add.reduceat(full, starts)


def _between(
    sums: NDArray[Any], frame: NDArray[np.int64], part: NDArray[np.float64], rest: float
) -> NDArray[np.float64]:
    """Sums at ``part`` of each frame; ``rest`` is what the last, open frame holds."""
    last = len(sums) - 1
    before = sums[frame].astype(np.float64)
    after = np.where(frame < last, sums[np.minimum(frame + 1, last)], before + rest)
    return before + part * (after - before)
