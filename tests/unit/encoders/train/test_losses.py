"""Every term against a slow obvious NumPy version; gradients stay finite where it is hard."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from encoders.train.config import Loss, Teacher
from encoders.train.losses import (
    Targets,
    pair_softmax,
    same_sentences,
    spread_out,
    teacher_distance,
    training_loss,
)

SMALL = st.integers(0, 4)


def unit(rng: np.random.Generator, count: int, dim: int = 6) -> np.ndarray:
    vectors = rng.normal(size=(count, dim))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def slow_softmax(x, y, scale, margin, same):
    losses = []
    for i in range(len(x)):
        own = scale * (x[i] @ y[i] - margin)
        both = 0.0
        for others in ([x[i] @ y[j] for j in range(len(x)) if j != i and not same[i, j]],
                       [x[j] @ y[i] for j in range(len(x)) if j != i and not same[j, i]]):  # fmt: skip
            both += math.log(sum(math.exp(scale * o) for o in others) + math.exp(own)) - own
        losses.append(both / 2)
    return losses


@pytest.mark.parametrize("count", [2, 3, 9])
@pytest.mark.parametrize(("margin", "scale"), [(0.0, 1.0), (0.3, 20.0)])
def test_softmax_equals_the_slow_one(count: int, margin: float, scale: float) -> None:
    rng = np.random.default_rng(count)
    x, y = unit(rng, count), unit(rng, count)
    same = same_sentences([i // 2 for i in range(count)], [100 + i for i in range(count)])
    for mask in (same, torch.zeros_like(same)):
        found = pair_softmax(
            torch.from_numpy(x).float(), torch.from_numpy(y).float(),
            torch.tensor(scale), margin=margin, same=mask,
        )  # fmt: skip
        np.testing.assert_allclose(
            found, slow_softmax(x, y, scale, margin, mask.numpy()), rtol=2e-5, atol=1e-6
        )


@given(st.lists(st.tuples(SMALL, SMALL), min_size=1, max_size=8))
def test_pairs_are_the_same_if_any_sentence_is(keys: list[tuple[int, int]]) -> None:
    found = same_sentences([s for s, _ in keys], [t for _, t in keys])
    for i, first in enumerate(keys):
        for j, second in enumerate(keys):
            assert bool(found[i, j]) == (i != j and bool({*first} & {*second}))


def test_spread_and_teacher_equal_the_slow_ones() -> None:
    rng = np.random.default_rng(5)
    x, taught = unit(rng, 7), unit(rng, 7)
    pairs = [(x[i] @ x[j]) ** 2 for i in range(7) for j in range(7) if i != j]
    assert float(spread_out(torch.from_numpy(x))) == pytest.approx(math.sqrt(sum(pairs)), rel=1e-6)
    distance = np.mean([1 - x[i] @ taught[i] for i in range(7)])
    found = teacher_distance(torch.from_numpy(x), torch.from_numpy(taught))
    assert float(found) == pytest.approx(distance, rel=1e-6)


def test_total_is_the_weighted_sum() -> None:
    rng = np.random.default_rng(6)
    x, y, taught = (torch.from_numpy(unit(rng, 5)).float() for _ in range(3))
    settings = Loss(softmax=0.7, spread=0.3, margin=0.1, teacher=Teacher(path="x", weight=2.0))
    same = same_sentences([1, 1, 2, 3, 4], [5, 6, 7, 8, 9])
    found = training_loss(x, y, torch.tensor(9.0), Targets(same=same, teacher=taught), settings)
    softmax = pair_softmax(x, y, torch.tensor(9.0), margin=0.1, same=same).mean()
    spread = spread_out(x) + spread_out(y)
    distance = (teacher_distance(x, taught) + teacher_distance(y, taught)) / 2
    assert float(found.total) == pytest.approx(
        float(0.7 * softmax + 0.3 * spread + 2 * distance), rel=1e-6
    )
    unmasked = training_loss(
        x, y, torch.tensor(9.0), Targets(same=same, teacher=taught),
        Loss(softmax=0.7, spread=0.3, margin=0.1, mask_same=False, teacher=settings.teacher),
    )  # fmt: skip
    assert float(unmasked.softmax) > float(found.softmax)


@pytest.mark.parametrize("kind", ["two", "orthogonal", "identical", "opposite", "all masked"])
@pytest.mark.parametrize("scale", [20.0, 1000.0])
def test_gradients_are_finite(kind: str, scale: float) -> None:
    eye = torch.eye(2)
    x = {
        "two": torch.from_numpy(unit(np.random.default_rng(1), 2, 2)).float(),
        "orthogonal": eye,
        "identical": torch.ones(2, 2) / math.sqrt(2),
        "opposite": torch.tensor([[1.0, 0.0], [-1.0, 0.0]]),
        "all masked": eye,
    }[kind].clone()
    x, y = x.requires_grad_(), (-x.detach().flip(0)).requires_grad_()
    log_scale = torch.tensor(math.log(scale), requires_grad=True)
    keys = [1, 1] if kind == "all masked" else [1, 2]
    targets = Targets(same=same_sentences(keys, [3, 4]), teacher=eye)
    settings = Loss(spread=1.0, teacher=Teacher(path="x"))
    total = training_loss(x, y, log_scale.exp(), targets, settings).total
    total.backward()
    assert torch.isfinite(total)
    for tensor in (x, y, log_scale):
        assert torch.isfinite(tensor.grad).all()


def test_a_loss_that_teaches_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="softmax must be above 0"):
        Loss(softmax=0.0)
    with pytest.raises(ValueError, match="softmax must be above 0"):
        Loss(softmax=0.0, teacher=Teacher(path="x", weight=0.0))
