"""The backend ``exact-prefix``: tiles of upper bounds, and exact products of what these leave.

N rows, M columns, D dimensions, K neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mining.knn.backend import Nominees, Stored
from mining.knn.bounded_kernels import scan_bounds
from mining.knn.keys import EMPTY, best, rows
from mining.knn.one_pass import (
    TILE_COLUMNS,
    TILE_ROWS,
    OnePass,
    Tiles,
    panel_columns,
    strips,
    widened,
)
from mining.knn.prefix_bounds import GUESS, Bounded, PrefixBounds, plan_bounds
from mining.knn.rescore import exact_similarity
from mining.knn.scan_kernels import HIGHEST, scratch
from mining.knn.sweep import sweep

Singles = NDArray[np.float32]

_PANEL_COLUMNS = 65536  # whose heaps each thread holds


@dataclass(frozen=True, kw_only=True)
class Prefix:
    """Bounds where they pay (see :mod:`mining.knn.prefix_bounds`), full products elsewhere.

    Two passes. The first nominates by a quarter of the head: the least of the K nominees' exact
    similarities is one that the K nearest must reach. The second, over tiles of bounds, computes
    exactly every pair whose bound reaches that of either of its rows. What is left out cannot be a
    neighbour, so that no certificate is needed.

    Memory as of :class:`OnePass`, and 8 H + 16 bytes a row of both sides.

    Attributes:
        threads: each multiplies and scans its own tiles.
    """

    threads: int

    def nominate(
        self, rows: Stored, columns: Stored, forward: int, backward: int
    ) -> tuple[Nominees, Nominees]:
        """See :class:`mining.knn.backend.Nominator`."""
        bounds = plan_bounds(rows, columns, max(forward, backward))
        if bounds is None:
            return OnePass(threads=self.threads).nominate(rows, columns, forward, backward)
        return self.nominate_by(bounds, rows, columns, (forward, backward))

    def nominate_by(
        self, bounds: PrefixBounds, rows: Stored, columns: Stored, places: tuple[int, int]
    ) -> tuple[Nominees, Nominees]:
        """The same by given bounds."""
        x, y = _Side(rows, bounds), _Side(columns, bounds)
        guess = slice(0, max(1, int(GUESS * (bounds.head + 1))))
        likely = OnePass(threads=self.threads).nominate(
            x.of.operand[:, guess], y.of.operand[:, guess], *places
        )
        x.reach(y, likely[0], self.threads)
        y.reach(x, likely[1], self.threads)
        heaps = np.full((len(rows), places[0]), EMPTY)
        found = []
        size = panel_columns(_PANEL_COLUMNS, places[1], self.threads)
        for first in range(0, len(columns), size):
            panel = slice(first, min(first + size, len(columns)))
            shares = sweep(
                range(0, len(rows), TILE_ROWS),
                self.threads,
                lambda starts, panel=panel: _Share(y, panel, places, bounds.slack).do(  # type: ignore[misc]
                    x, heaps, starts
                ),
            )
            found.append(best(np.concatenate(shares, axis=1), places[1]))
        return _exact(heaps), _exact(np.concatenate(found))


class _Side:
    """Stored vectors, their bounds, and the similarity that a neighbour of each must reach."""

    def __init__(self, values: Stored, bounds: PrefixBounds) -> None:
        self.values = values
        self.of: Bounded = bounds.of(values)
        self.thresholds = np.empty(len(values), np.float32)

    def reach(self, other: _Side, likely: Nominees, threads: int) -> None:
        """Set the thresholds: the least similar of some rows of the other side."""
        found = exact_similarity(self.values, other.values, likely.row, threads)
        self.thresholds = np.ascontiguousarray(found.min(axis=1))

    def part(self, some: slice) -> tuple[Singles, Singles, Singles]:
        """Second halves of longer heads and the lengths beyond, as :func:`scan_bounds` takes them."""
        return self.of.rest[some], self.of.beyond[some], self.of.beyond_longer[some]


class _Share:
    """What one thread does of a panel of columns: blocks of rows against all of them."""

    def __init__(self, side: _Side, panel: slice, places: tuple[int, int], slack: float) -> None:
        self._side, self._panel, self._slack = side, panel, np.float32(slack)
        self._bits = np.ascontiguousarray(side.values[panel]).view(np.uint16)
        width = strips(len(self._bits))
        self._heaps = np.full((width, places[1]), EMPTY)
        self._thresholds = np.full(width, HIGHEST)  # what only fills a strip finds nothing
        self._thresholds[: len(self._bits)] = side.thresholds[panel]
        self._tiles, self._own = Tiles(), scratch(TILE_COLUMNS, *places)

    def do(self, x: _Side, heaps: NDArray[np.int64], starts: Iterator[int]) -> NDArray[np.int64]:
        """Scan the blocks that begin at ``starts``; the columns' heaps."""
        import torch

        side, count = self._side, len(self._bits)
        for start in starts:
            block = slice(start, start + TILE_ROWS)
            operand = torch.from_numpy(x.of.operand[block])
            values = (widened(x.values[block]).numpy(), *x.part(block))
            for left in range(0, count, TILE_COLUMNS):
                own = slice(left, left + TILE_COLUMNS)
                first = self._panel.start + left
                columns = slice(first, min(first + TILE_COLUMNS, self._panel.stop))
                tile = self._tiles.multiplied(operand, torch.from_numpy(side.of.operand[columns]))
                scan_bounds(
                    tile, start, first, values, (self._bits[own], *side.part(columns)),
                    self._slack, (heaps[block], x.thresholds[block]),
                    (self._heaps[own], self._thresholds[own]), self._own,
                )  # fmt: skip
        return self._heaps[:count]


def _exact(heaps: NDArray[np.int64]) -> Nominees:
    return Nominees(row=rows(heaps), others=np.full(len(heaps), -np.inf))
