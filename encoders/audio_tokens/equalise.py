"""Hidden states with every dimension of the same weight, wherever in the window they were.

F frames of a clip, H width, P positions in a window (1 where positions are relative).

A few dimensions of a transformer are many times larger than the others, and would decide alone which
centroid is nearest. Whisper adds a position to every input: in its middle layer that is about half of
all variance, so that clusters would stand for times in the window. Both are taken out by the mean and
deviation of the speech that the clusters are fitted on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STATE_MEAN, STATE_DEVIATION = "state_mean", "state_deviation"  # names of the tensors


@dataclass(frozen=True, kw_only=True, eq=False)
class StateScale:
    """What is taken from a state, and what it is divided by.

    Attributes:
        mean: float32 [P, H]: of each frame of a window; P = 1: of all alike.
        deviation: float32 [H], above zero.
    """

    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]

    def of(self, states: NDArray[np.float32]) -> NDArray[np.float32]:
        """States of one clip, from its first frame, with mean 0 and deviation 1: float32 [F, H]."""
        mean = self.mean[: len(states)] if len(self.mean) > 1 else self.mean
        return np.asarray((states - mean) / self.deviation, np.float32)

    def tensors(self) -> dict[str, NDArray[np.float32]]:
        """As it is stored."""
        return {STATE_MEAN: self.mean, STATE_DEVIATION: self.deviation}


class PositionMeans:
    """Mean state of each position, over clips as they come."""

    def __init__(self, positions: int) -> None:
        """Begin without any state.

        Args:
            positions: P.
        """
        self._positions = positions
        self._sums = np.empty((0, 0))
        self._counts = np.zeros(positions, np.int64)

    def add(self, states: NDArray[np.float32]) -> None:
        """Take in the states of one clip, float32 [F, H]; F is at most P where P is above 1."""
        if not self._sums.size:
            self._sums = np.zeros((self._positions, states.shape[1]))
        if self._positions == 1:
            self._sums[0] += states.sum(axis=0, dtype=np.float64)
            self._counts[0] += len(states)
        else:
            self._sums[: len(states)] += states
            self._counts[: len(states)] += 1

    def mean(self) -> NDArray[np.float32]:
        """Of each position, as if it had been seen once more with the mean of all: float32 [P, H].

        So a position that few clips reach is not taken for what was said there.
        """
        whole = self._sums.sum(axis=0) / max(1, int(self._counts.sum()))
        means = (self._sums + whole) / (self._counts[:, None] + 1)
        return np.asarray(means, np.float32)


def deviation_of(centred: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of each dimension of centred states [F, H]; 1 where nothing ever changes: float32 [H]."""
    squares = np.zeros(centred.shape[1])
    for low in range(0, len(centred), 4096):  # no copy of the whole sample in float64
        squares += (centred[low : low + 4096].astype(np.float64) ** 2).sum(axis=0)
    deviation = np.sqrt(squares / max(1, len(centred)))
    return np.where(deviation > 0, deviation, 1.0).astype(np.float32)
