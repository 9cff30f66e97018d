"""Percentile bootstrap over meanings (Efron and Tibshirani 1993, chapter 13)."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
_CELLS = 1 << 23  # weights held at once


def resample_weights(
    units: int, resamples: int, rng: np.random.Generator
) -> Iterator[NDArray[np.float32]]:
    """How often each unit is drawn, in blocks: float32 [b, units], every row sums to ``units``."""
    step = max(1, _CELLS // max(units, 1))
    for start in range(0, resamples, step):
        block = min(step, resamples - start)
        drawn = rng.integers(0, units, size=(block, units)) + np.arange(block)[:, None] * units
        counts = np.bincount(drawn.ravel(), minlength=block * units)
        yield counts.reshape(block, units).astype(np.float32)


def bootstrap(
    statistic: Callable[[NDArray[np.float32]], NDArray[np.float64]],
    units: int,
    resamples: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """95 % percentile intervals of ``statistic``.

    Args:
        statistic: weights float32 [b, units] -> values float64 [b, ...].
        units: how many there are to draw, at least one.
        resamples: how many draws.
        rng: where chance comes from.

    Returns:
        Lower and upper bounds, each of one value's shape, over the draws in which the value exists;
        NaN where it never does.
    """
    drawn = [statistic(weights) for weights in resample_weights(units, resamples, rng)]
    tail = (1 - LEVEL) / 2
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice")
        low, high = np.nanquantile(np.concatenate(drawn), [tail, 1 - tail], axis=0)
    return low, high
