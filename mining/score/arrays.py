"""Margin scores and selection on arrays of row numbers: no ids, no tables.

What :mod:`mining.score.candidates` does for NEIGHBOR tables, for a caller whose rows are numbered.
S sources, T targets, K neighbours a row, C candidates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mining.contract.errors import InputError
from mining.score.margins import Neighbors, Scored, means, scored
from mining.score.selection import chosen
from mining.score.settings import ScoreSettings

Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Nearest:
    """The nearest rows of the other side, for every row of one side.

    Attributes:
        index: int64 [Q, K], rows of the other side, nearest first, equally near ones by lower number;
            none twice. K is the same for all rows: as many as were wanted, or as there are.
        similarity: float32 [Q, K], cosine.
    """

    index: Ints
    similarity: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.index.ndim != 2 or self.index.shape != self.similarity.shape:
            raise InputError(
                "nearest: index and similarity must be [rows, K] both, but are "
                f"{list(self.index.shape)} and {list(self.similarity.shape)}"
            )
        if self.similarity.dtype != np.float32:
            raise InputError(
                f"nearest: similarity must be float32, but is {self.similarity.dtype}; round it once"
            )

    def neighbors(self, k: int) -> Neighbors:
        """The first k of every row, as rows of neighbours."""
        count, width = len(self.index), min(k, self.index.shape[1])
        return Neighbors(
            query=np.repeat(np.arange(count), width),
            index=np.ascontiguousarray(self.index[:, :width], dtype=np.int64).ravel(),
            similarity=np.ascontiguousarray(self.similarity[:, :width]).ravel(),
            rank=np.tile(np.arange(1, width + 1, dtype=np.int16), count),
        )


def score_arrays(forward: Nearest, backward: Nearest, settings: ScoreSettings) -> Scored:
    """Margin scores of every pair that is a neighbour in at least one direction.

    The arithmetic and the order are those of :func:`mining.score.score_candidates`, with row numbers
    in the place of ids.

    Args:
        forward: S sources search T targets.
        backward: T targets search S sources.
        settings: k, margin and best are used here.

    Returns:
        C candidates, best first; equal ones by source, then by target.

    Raises:
        InputError: if a row was found that is not there, stands twice among the neighbours of one
            row, or has none of its own.
    """
    return _scored(forward, backward, settings, floor=None)


def select_arrays(forward: Nearest, backward: Nearest, settings: ScoreSettings) -> Scored:
    """The pairs that :func:`mining.score.select` keeps of the same neighbours, best first.

    What lies below the threshold is dropped before anything is sorted, which changes no pair: it
    comes after all others, and a row whose best candidate is dropped has none left.

    Arguments and errors as for :func:`score_arrays`; of ``settings`` all but ``speech_k`` are used.
    """
    found = _scored(forward, backward, settings, floor=settings.threshold)
    return found.take(chosen(found, settings))


def _scored(
    forward: Nearest, backward: Nearest, settings: ScoreSettings, floor: float | None
) -> Scored:
    sources, targets = len(forward.index), len(backward.index)
    for side, nearest, rows in (("forward", forward, targets), ("backward", backward, sources)):
        if nearest.index.size and not 0 <= nearest.index.min() <= nearest.index.max() < rows:
            raise InputError(
                f"score: {side} neighbours must be rows 0 to {rows - 1} of the other side, but are "
                f"{nearest.index.min()} to {nearest.index.max()}"
            )
        if len(nearest.index) and not nearest.index.shape[1] and rows:
            raise InputError(f"score: every row must have {side} neighbours, but some have none")
    fwd, bwd = forward.neighbors(settings.k), backward.neighbors(settings.k)
    averages = means(fwd, sources), means(bwd, targets)
    return scored((fwd, bwd), averages, settings, floor=floor)
