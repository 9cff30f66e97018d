"""Adam for a few rows of a large table: only rows of a batch are read or written."""

from __future__ import annotations

import torch


class RowAdam:
    """Adam (Kingma and Ba 2015, algorithm 1) whose moments advance only where a row is used.

    Attributes:
        table: float32 [R, W], updated in place.
    """

    def __init__(self, table: torch.Tensor, betas: tuple[float, float] = (0.9, 0.99)) -> None:
        self.table = table
        self._first = torch.zeros_like(table)
        self._second = torch.zeros(len(table), 1)  # one a row: a third of the memory traffic
        self._steps = torch.zeros(len(table), 1)
        self._betas = betas

    def step(self, rows: torch.Tensor, gradient: torch.Tensor, rate: float) -> None:
        """Update distinct ``rows`` int64 [K] with their gradient [K, W]."""
        beta1, beta2 = self._betas
        first = self._first[rows].mul_(beta1).add_(gradient, alpha=1 - beta1)
        square = gradient.square().mean(dim=1, keepdim=True)
        second = self._second[rows].mul_(beta2).add_(square, alpha=1 - beta2)
        steps = self._steps[rows].add_(1)
        self._first[rows] = first
        self._second[rows] = second
        self._steps[rows] = steps
        scale = rate / (1 - beta1**steps) / ((second / (1 - beta2**steps)).sqrt() + 1e-8)
        self.table.index_add_(0, rows, first * -scale)
