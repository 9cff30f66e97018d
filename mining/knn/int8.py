"""The backend ``exact-int8``: tiles of bounds from int8, and exact products of what these leave.

N rows, M columns, D dimensions, B rows and W columns of a tile, P nominees.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mining.knn.backend import Nominees, Stored
from mining.knn.bounded import BoundedScan, Side, Singles
from mining.knn.int8_codes import SLACK, Centres, Codes, plan_codes
from mining.knn.int8_kernels import bounds
from mining.knn.int8_products import multiplies_int8, multiply
from mining.knn.one_pass import TILE_COLUMNS, TILE_ROWS, OnePass, strips
from mining.knn.prefix_bounds import spread
from mining.knn.scan_kernels import LOWEST
from mining.knn.sweep import sweep

_SAMPLE = 1024  # rows of the other side, of which the first thresholds are made
UPPER, LOWER = np.float32(1.0), np.float32(-1.0)


@dataclass(frozen=True, kw_only=True)
class Int8:
    """Int8 codes where they pay (see :mod:`mining.knn.int8_codes`), full products elsewhere.

    A CPU with VNNI instructions multiplies int8 four times as fast as float32 or faster. What a
    neighbour must reach is first the P-th highest lower bound among a sample of the other side, and
    rises as pairs are computed.

    Memory as of :class:`OnePass` without its columns in float32; D + 20 bytes a column of a panel; two
    tiles, and a block of rows in float32 and in codes, a thread.

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
        sample = max(_SAMPLE, *places)
        self._reach(sides[0], centres.of_columns(spread(columns, sample)), places[0])
        self._reach(sides[1], centres.of_rows(spread(rows, sample)), places[1])
        scan = BoundedScan(tiles=CodeTiles, slack=SLACK, threads=self.threads)
        return scan.nearest(*sides, places)

    def _reach(self, side: Side[Codes], sample: Codes, places: int) -> None:
        """Set the thresholds: the P-th highest of the lower bounds with a sample of the other side."""
        import torch

        if len(sample.values) < places:
            return

        def share(starts: Iterator[int]) -> None:
            tiles = CodeTiles(len(sample.values))
            for start in starts:
                some = slice(start, start + TILE_ROWS)
                lower = torch.from_numpy(tiles.bounds(side.part(some), sample, LOWER))
                side.thresholds[some] = lower.topk(places, dim=1, sorted=True).values[:, -1].numpy()

        sweep(range(0, len(side.values), TILE_ROWS), self.threads, share)


class CodeTiles:
    """The two buffers of one thread's tiles: products, and bounds."""

    def __init__(self, columns: int = TILE_COLUMNS) -> None:
        import torch

        self._products = torch.empty(TILE_ROWS * columns, dtype=torch.int32)
        self._bounds = np.empty(TILE_ROWS * strips(columns), np.float32)

    def __call__(self, rows: Codes, columns: Codes) -> Singles:
        """Upper bounds: float32 [B, W] in whole strips; what no column fills is lowest."""
        return self.bounds(rows, columns, UPPER)

    def bounds(self, rows: Codes, columns: Codes, sign: np.float32) -> Singles:
        """Upper or lower bounds likewise."""
        height, count = len(rows.values), len(columns.values)
        products = self._products[: height * count].view(height, count)
        multiply(rows.values, columns.values, products)
        out = self._bounds[: height * strips(count)].reshape(height, strips(count))
        out[:, count:] = LOWEST
        bounds(products.numpy(), rows.facts, columns.facts, sign, out)
        return out
