"""When bootstrapping ends, on planted figures."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_jobs.bootstrap.config import Stop
from beam_jobs.bootstrap.stop import verdict

FIGURES = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12)


def rule(min_gain: float = 0.005, patience: int = 1) -> Stop:
    return Stop(task="st", min_gain=min_gain, patience=patience)


@pytest.mark.parametrize(
    ("figures", "patience", "best", "is_over"),
    [
        ([0.5], 1, 0, False),
        ([0.5, 0.6], 1, 1, False),
        ([0.5, 0.5], 1, 0, True),
        ([0.5, 0.5], 2, 0, False),
        ([0.5, 0.4], 1, 0, True),
        ([0.5, 0.504], 1, 1, True),  # too small a gain to go on, but the best there is
        ([0.5, 0.504, 0.508], 2, 2, False),  # together they are one
        ([0.5, 0.504, 0.504], 2, 1, True),
        ([0.5, 0.4, 0.6, 0.6, 0.59], 2, 2, True),
        ([0.5, 0.4, 0.45, 0.46], 2, 0, True),  # a rise from a fall is none
        ([0.2, 0.205], 1, 1, False),  # in binary a little less than 0.005
        ([0.0, 0.0, 0.0], 3, 0, False),
    ],
)
def test_planted_figures(figures: list[float], patience: int, best: int, is_over: bool) -> None:
    found = verdict(figures, rule(patience=patience))
    assert (found.best, found.is_over) == (best, is_over)


def test_without_a_least_gain_a_plateau_still_ends() -> None:
    assert verdict([0.5, 0.5], rule(min_gain=0.0)).is_over
    assert not verdict([0.5, 0.5000001], rule(min_gain=0.0)).is_over


def slow(figures: list[float], min_gain: float) -> int:
    """Rounds without a gain, counted one by one."""
    reference, waited = figures[0], 0
    for figure in figures[1:]:
        waited += 1
        if figure > reference and figure - reference >= min_gain - 1e-9:
            reference, waited = figure, 0
    return waited


@settings(max_examples=60, deadline=None)
@given(figures=FIGURES, min_gain=st.floats(0.0, 0.5), patience=st.integers(1, 4))
def test_as_counted_slowly(figures: list[float], min_gain: float, patience: int) -> None:
    found = verdict(figures, rule(min_gain, patience))
    assert found.without_gain == slow(figures, min_gain)
    assert found.is_over == (found.without_gain >= patience)
    assert figures[found.best] == max(figures)
    assert max(figures) not in figures[: found.best]


@settings(max_examples=60, deadline=None)
@given(figures=FIGURES, patience=st.integers(1, 4))
def test_more_patience_never_ends_sooner(figures: list[float], patience: int) -> None:
    if verdict(figures, rule(patience=patience + 1)).is_over:
        assert verdict(figures, rule(patience=patience)).is_over
