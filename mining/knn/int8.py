"""The backend ``exact-int8``: tiles of bounds from int8, and exact products of what these leave.

N rows, M columns, D dimensions, B rows and W columns of a tile, P nominees.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from mining.knn.backend import Nominees, Stored
from mining.knn.bounded import BoundedScan, Side, scaled
from mining.knn.bounded_kernels import scan_bounds
from mining.knn.int8_codes import SLACK, Centres, Codes, plan_codes
from mining.knn.int8_kernels import reach
from mining.knn.int8_products import multiplies_int8, multiply
from mining.knn.one_pass import TILE_COLUMNS, TILE_ROWS, OnePass, strips
from mining.knn.prefix_bounds import spread
from mining.knn.scan_kernels import LOWEST, scratch
from mining.knn.sweep import sweep

_SAMPLE = 512  # rows, of which the first thresholds of columns are made


@dataclass(frozen=True, kw_only=True)
class Int8:
    """Int8 codes where they pay (see :mod:`mining.knn.int8_codes`), full products elsewhere.

    A CPU with VNNI instructions multiplies int8 four times as fast as float32 or faster. What a
    neighbour must reach is first, of a column, what a sample of the rows reaches, and of a row, what the
    columns of its first tile reach; it rises as pairs are computed.

    Memory as of :class:`OnePass` without its columns in float32; D + 20 bytes a column of a panel; a
    tile, and a block of rows in float32 and in codes, a thread.

    Attributes:
        threads: each multiplies and scans its own tiles.
    """

    threads: int

    def nominate(
        self, rows: Stored, columns: Stored, forward: int, backward: int
    ) -> tuple[Nominees, Nominees]:
        """See :class:`mining.knn.backend.Nominator`."""
        centres = plan_codes(rows, columns, max(forward, backward)) if multiplies_int8() else None
        if centres is None:
            return OnePass(threads=self.threads).nominate(rows, columns, forward, backward)
        return self.nominate_by(centres, rows, columns, (forward, backward))

    def nominate_by(
        self, centres: Centres, rows: Stored, columns: Stored, places: tuple[int, int]
    ) -> tuple[Nominees, Nominees]:
        """The same by given centres."""
        sides = (
            Side(
                values=rows,
                part=lambda some: centres.of_rows(rows[some]),
                thresholds=np.full(len(rows), LOWEST),
            ),
            Side(
                values=columns,
                part=lambda some: centres.of_columns(columns[some]),
                thresholds=np.full(len(columns), LOWEST),
            ),
        )
        sample = spread(rows, max(_SAMPLE, places[1]))
        self._reach(sides[1], sample, centres.of_rows(sample), places[1])
        scan = BoundedScan(scan=CodeTiles, slack=SLACK, threads=self.threads)
        return scan.nearest(*sides, places)

    def _reach(self, side: Side[Codes], sample: Stored, codes: Codes, places: int) -> None:
        """Set the thresholds: what the P-th nearest of some rows of the other side reach."""
        bits = np.ascontiguousarray(sample).view(np.uint16)

        def share(starts: Iterator[int]) -> None:
            tiles, own = CodeTiles(len(bits)), scratch(strips(len(bits)), places, 1)
            for start in starts:
                some = slice(start, start + TILE_ROWS)
                tiles.reach(side.part(some), codes, (
                    scaled(side.values[some]), bits, side.thresholds[some], own
                ))  # fmt: skip

        sweep(range(0, len(side.values), TILE_ROWS), self.threads, share)


class CodeTiles:
    """The buffer of one thread's tiles of products."""

    def __init__(self, columns: int = TILE_COLUMNS) -> None:
        import torch

        self._products = torch.empty(TILE_ROWS * columns, dtype=torch.int32)

    def __call__(self, rows: Codes, columns: Codes, rest: tuple[Any, ...]) -> None:
        """Scan a tile; see :class:`mining.knn.bounded.BoundedScan`."""
        scan_bounds(*self._multiplied(rows, columns), *rest)

    def reach(self, rows: Codes, columns: Codes, rest: tuple[Any, ...]) -> None:
        """See :func:`mining.knn.int8_kernels.reach`."""
        reach(*self._multiplied(rows, columns), *rest)

    def _multiplied(self, rows: Codes, columns: Codes) -> tuple[Any, ...]:
        """Products of codes, and the facts of both sides."""
        height, count = len(rows.values), len(columns.values)
        products = self._products[: height * count].view(height, count)
        multiply(rows.values, columns.values, products)
        return products.numpy(), (rows.facts, columns.facts)
