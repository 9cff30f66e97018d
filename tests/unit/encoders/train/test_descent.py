"""The learning rate, the scale's limit, and what weight decay leaves alone."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from encoders.train.config import Loss, Model, Optimiser, Training
from encoders.train.data.config import Data, Texts
from encoders.train.descent import LogitScale, make_optimiser, rate_factor, set_rate
from encoders.train.figures import Figures, Line, read_figures


@given(st.integers(1, 50), st.integers(0, 80))
def test_rate_rises_then_falls_and_is_never_zero(steps: int, warm_up: int) -> None:
    settings = Optimiser(steps=steps, warm_up=warm_up)
    factors = [rate_factor(step, settings) for step in range(steps)]
    assert all(0 < factor <= 1 for factor in factors)
    top = factors.index(max(factors))
    assert factors[: top + 1] == sorted(factors[: top + 1])
    assert factors[top:] == sorted(factors[top:], reverse=True)


def test_rate_by_hand() -> None:
    settings = Optimiser(steps=10, warm_up=4)
    found = [rate_factor(step, settings) for step in range(10)]
    assert found == pytest.approx([1 / 4, 2 / 4, 3 / 4, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])
    assert rate_factor(0, Optimiser(steps=10, warm_up=0)) == 1


def test_groups_have_their_rate_and_decay() -> None:
    matrix, bias, audio = (nn.Parameter(torch.ones(shape)) for shape in ((2, 2), (2,), (3, 2)))
    config = Training(
        schema=1, output="x", model=Model(start="x"), data=Data(texts={"a": Texts(uri="x")}),
        loss=Loss(), optimiser=Optimiser(rate=0.1, audio_rate=0.4, decay=0.5, warm_up=0, steps=2),
    )  # fmt: skip
    scale = LogitScale(20.0, "cpu")
    optimiser = make_optimiser({"text": [matrix, bias], "audio": [audio]}, scale, config)
    set_rate(optimiser, 1, config.optimiser)
    found = [(g["lr"], g["weight_decay"], len(g["params"])) for g in optimiser.param_groups]
    assert found == [(0.05, 0.5, 1), (0.05, 0.0, 1), (0.2, 0.5, 1), (0.05, 0.0, 1)]
    assert optimiser.param_groups[3]["params"] == [scale.log]


@pytest.mark.parametrize(("start", "limit"), [(20.0, 100.0), (300.0, 300.0)])
def test_scale_is_kept_within_its_limit(start: float, limit: float) -> None:
    scale = LogitScale(start, "cpu")
    assert float(scale().detach()) == pytest.approx(start)
    with torch.no_grad():
        scale.log.add_(math.log(50))
    scale.keep_within_limit()
    assert float(scale().detach()) == pytest.approx(limit)


def test_lines_after_a_state_are_dropped(tmp_path) -> None:
    with Figures(tmp_path, 0, tensorboard=False) as figures:
        for step in (1, 2, 3):
            figures.write(Line(step=step, kind="step", values={"loss": step / 7}))
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "ki')  # a killed run's last line
    assert [line["step"] for line in read_figures(tmp_path)] == [1, 2, 3]
    with Figures(tmp_path, 2, tensorboard=False) as figures:
        figures.write(Line(step=3, kind="step", values={"loss": 9.0}))
    assert [(line["step"], line["loss"]) for line in read_figures(tmp_path)] == [
        (1, 1 / 7), (2, 2 / 7), (3, 9.0),
    ]  # fmt: skip
