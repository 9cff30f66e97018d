"""The backend ``exact-prefix``: tiles of upper bounds, and exact products of what these leave.

N rows, M columns, D dimensions, K neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mining.knn.backend import Nominees, Stored
from mining.knn.bounded import BoundedScan, Scan, Side, Singles
from mining.knn.bounded_kernels import NO_FACTS, scan_bounds
from mining.knn.one_pass import OnePass, Tiles
from mining.knn.prefix_bounds import GUESS, Bounded, PrefixBounds, plan_bounds
from mining.knn.rescore import exact_similarity


@dataclass(frozen=True, kw_only=True)
class Prefix:
    """Bounds where they pay (see :mod:`mining.knn.prefix_bounds`), full products elsewhere.

    Two passes. The first nominates by a quarter of the head: the K-th highest of the nominees' exact
    similarities is one that the K nearest must reach. The second, over tiles of bounds, computes
    exactly every pair whose bound reaches that of either of its rows.

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
        x, y = bounds.of(rows), bounds.of(columns)
        guess = slice(0, max(1, int(GUESS * (bounds.head + 1))))
        likely = OnePass(threads=self.threads).nominate(
            x.operand[:, guess], y.operand[:, guess], *places
        )
        sides = (
            Side(
                values=rows,
                part=x.part,
                thresholds=self._reached(rows, columns, likely[0], places[0]),
            ),
            Side(
                values=columns,
                part=y.part,
                thresholds=self._reached(columns, rows, likely[1], places[1]),
            ),
        )
        scan = BoundedScan(scan=_scan, slack=bounds.slack, threads=self.threads)
        return scan.nearest(*sides, places)

    def _reached(self, values: Stored, others: Stored, likely: Nominees, places: int) -> Singles:
        """The K-th most similar of some rows of the other side: float32 [N]."""
        found = exact_similarity(values, others, likely.row, self.threads)
        at = found.shape[1] - places
        return np.ascontiguousarray(np.partition(found, at, axis=1)[:, at])


def _scan() -> Scan[Bounded]:
    import torch

    tiles = Tiles()

    def scan(rows: Bounded, columns: Bounded, rest: tuple[Any, ...]) -> None:
        operands = torch.from_numpy(rows.operand), torch.from_numpy(columns.operand)
        scan_bounds(tiles.multiplied(*operands).view(np.int32), NO_FACTS, *rest)

    return scan
