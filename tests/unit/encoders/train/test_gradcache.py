"""The gradient of chunks is the gradient of the batch, dropout and all."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from encoders.train.generators import Generators
from encoders.train.gradcache import backward, chunks_by_length, split_by_length

ITEMS, WIDTH = 24, 10


def network(dropout: float) -> nn.Module:
    torch.manual_seed(3)
    layers = nn.Linear(WIDTH, 16), nn.Tanh(), nn.Dropout(dropout), nn.Linear(16, 6)
    return nn.Sequential(*layers).double()


def batch() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).normal(size=(ITEMS, WIDTH)))


def loss(vectors: torch.Tensor) -> torch.Tensor:
    unit = nn.functional.normalize(vectors, dim=1)
    half = len(unit) // 2
    logits = 5 * unit[:half] @ unit[half:].T
    return nn.functional.cross_entropy(logits, torch.arange(half)) + unit[0].sum()


def gradients(model: nn.Module) -> list[torch.Tensor]:
    return [p.grad.clone() for p in model.parameters()]


@pytest.mark.parametrize("size", [1, 5, 8, 23, 24, 100])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_gradient_of_chunks_is_that_of_the_batch(size: int, dropout: float) -> None:
    items = batch()
    order = np.random.default_rng(2).permutation(ITEMS)
    chunks = [order[start : start + size] for start in range(0, ITEMS, size)]
    model = network(dropout)
    torch.manual_seed(9)
    backward(lambda rows: model(items[torch.from_numpy(rows)]), chunks, loss)
    found, after = gradients(model), torch.get_rng_state()

    model.zero_grad()
    torch.manual_seed(9)  # the same values left out, but one graph over everything
    parts = [model(items[torch.from_numpy(rows)]) for rows in chunks]
    places = torch.from_numpy(np.argsort(np.concatenate(chunks)))
    loss(torch.cat(parts)[places]).backward()
    for one, other in zip(found, gradients(model), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)
    assert torch.equal(after, torch.get_rng_state())


def test_a_chunk_of_everything_is_embedded_once() -> None:
    calls = []
    model, items = network(0.5), batch()

    def embed(rows: np.ndarray) -> torch.Tensor:
        calls.append((len(rows), torch.is_grad_enabled()))
        return model(items[torch.from_numpy(rows)])

    backward(embed, [np.arange(ITEMS)], loss)
    assert calls == [(ITEMS, True)]
    calls.clear()
    backward(embed, [np.arange(20), np.arange(20, ITEMS)], loss)
    assert calls == [(20, False), (4, False), (20, True), (4, True)]


def test_parameters_of_the_loss_learn_too() -> None:
    model, items = network(0.0), batch()
    scale = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    halves = [np.arange(12), np.arange(12, ITEMS)]
    backward(lambda rows: model(items[torch.from_numpy(rows)]), halves, lambda v: scale * loss(v))
    expected = float(loss(model(items)))
    assert float(scale.grad) == pytest.approx(expected, rel=1e-12)


def test_generators_go_back() -> None:
    state = Generators.now()
    first = torch.rand(5)
    state.restore()
    assert torch.equal(first, torch.rand(5))


@given(st.lists(st.integers(0, 40), min_size=1, max_size=30), st.integers(1, 12))
def test_chunks_hold_every_item_once_and_little_padding(lengths: list[int], size: int) -> None:
    given_lengths = np.array(lengths, dtype=np.int64)
    chunks = chunks_by_length(given_lengths, size)
    assert sorted(np.concatenate(chunks)) == list(range(len(lengths)))
    assert max(map(len, chunks)) <= size
    for chunk in chunks:
        parts = split_by_length(chunk, given_lengths)
        assert list(np.concatenate(parts)) == list(chunk)
        for part in parts:
            some = given_lengths[part]
            assert some.max() <= 2 * max(1, some.min())
