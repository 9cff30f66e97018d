"""When bootstrapping ends, and which of its rounds was best: a function of the figures alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from beam_jobs.bootstrap.config import Stop

_ROUNDING = 1e-9  # 0.205 - 0.2 is a little less than 0.005


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the figures say.

    Attributes:
        best: the round with the highest figure, of equals the earliest.
        without_gain: rounds since the figure last rose enough.
        is_over: whether the patience is used up.
    """

    best: int
    without_gain: int
    is_over: bool


def verdict(figures: Sequence[float], stop: Stop) -> Verdict:
    """Judge the rounds so far.

    Many small steps in a row are a rise once they add up to ``min_gain``: each figure is held
    against the one at the last rise, not against the one before it.

    Args:
        figures: [R], of rounds 0 ... R - 1; R is at least 1.
        stop: the rule.
    """
    rose = 0
    for number, figure in enumerate(figures):
        gain = figure - figures[rose]
        if gain > 0 and gain >= stop.min_gain - _ROUNDING:
            rose = number
    without_gain = len(figures) - 1 - rose
    return Verdict(
        best=max(range(len(figures)), key=lambda number: (figures[number], -number)),
        without_gain=without_gain,
        is_over=without_gain >= stop.patience,
    )
