"""Both directions from tiles of upper bounds: exact products only of what these leave.

N rows, M columns, D dimensions, B rows and W columns of a tile, P nominees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from mining.contract.errors import InputError
from mining.knn.backend import Nominees, Stored, check_full
from mining.knn.keys import EMPTY, best, rows, similarities
from mining.knn.one_pass import TILE_COLUMNS, TILE_ROWS, panel_columns, strips, widened
from mining.knn.rescore import SCALE
from mining.knn.scan_kernels import HIGHEST, scratch
from mining.knn.sweep import sweep

Singles = NDArray[np.float32]

_PANEL_COLUMNS = 65536  # whose heaps each thread holds


class Part(Protocol):
    """Some vectors, as their bounds are computed."""

    @property
    def closer(self) -> tuple[Singles, Singles, Singles]:
        """What a closer bound is made of, as :func:`mining.knn.bounded_kernels.scan_bounds` takes it."""

    def part(self, some: slice) -> Self:
        """Some of these."""


P = TypeVar("P", bound=Part)
Scan = Callable[[P, P, tuple[Any, ...]], None]


@dataclass(frozen=True, kw_only=True)
class Side(Generic[P]):
    """Stored vectors of one side.

    Attributes:
        values: float16 [N, D].
        part: how bounds of some of them are computed.
        thresholds: float32 [N], similarities that the neighbours of each are known to reach; those of
            rows are raised by a scan.
    """

    values: Stored
    part: Callable[[slice], P]
    thresholds: Singles


@dataclass(frozen=True, kw_only=True)
class BoundedScan(Generic[P]):
    """Every pair whose bound reaches the threshold of either of its rows is computed exactly.

    What is left out cannot be a neighbour, so that no certificate is needed.

    Attributes:
        scan: made once a thread. Makes and scans a tile: gets some rows and some columns, and what
            :func:`mining.knn.bounded_kernels.scan_bounds` gets beside the bounds.
        slack: what rounding may take from a bound, and from a threshold.
        threads: each makes and scans its own tiles.
    """

    scan: Callable[[], Scan[P]]
    slack: float
    threads: int

    def nearest(self, x: Side[P], y: Side[P], places: tuple[int, int]) -> tuple[Nominees, Nominees]:
        """The nearest columns of every row and the nearest rows of every column, exactly.

        Args:
            x: N rows.
            y: M columns.
            places: P of a row and of a column.

        Raises:
            InputError: if some find fewer, as a NaN makes them.
        """
        heaps = np.full((len(x.values), places[0]), EMPTY)
        found = []
        size = panel_columns(_PANEL_COLUMNS, places[1], self.threads)
        for first in range(0, len(y.values), size):
            panel = _Panel(y, slice(first, min(first + size, len(y.values))))
            shares = sweep(
                range(0, len(x.values), TILE_ROWS),
                self.threads,
                lambda starts, panel=panel: _Share(self, panel, places).do(x, heaps, starts),  # type: ignore[misc]
            )
            found.append(best(np.concatenate(shares, axis=1), places[1]))
        return _exact(heaps), _exact(np.concatenate(found))


class _Panel(Generic[P]):
    """Columns that all threads scan together."""

    def __init__(self, side: Side[P], some: slice) -> None:
        self.first = some.start
        self.bits = np.ascontiguousarray(side.values[some]).view(np.uint16)
        self.bounds = side.part(some)
        self.thresholds = side.thresholds[some]


class _Share(Generic[P]):
    """What one thread does of a panel: blocks of rows against all of its columns."""

    def __init__(self, scan: BoundedScan[P], panel: _Panel[P], places: tuple[int, int]) -> None:
        self._panel, self._slack = panel, np.float32(scan.slack)
        width = strips(len(panel.bits))
        self._heaps = np.full((width, places[1]), EMPTY)
        self._thresholds = np.full(width, HIGHEST)  # what only fills a strip finds nothing
        self._thresholds[: len(panel.bits)] = panel.thresholds
        self._scan, self._own = scan.scan(), scratch(TILE_COLUMNS, *places)

    def do(self, x: Side[P], heaps: NDArray[np.int64], starts: Iterator[int]) -> NDArray[np.int64]:
        """Scan the blocks that begin at ``starts``; the columns' heaps."""
        panel, count = self._panel, len(self._panel.bits)
        for start in starts:
            block = slice(start, start + TILE_ROWS)
            part = x.part(block)
            values = (scaled(x.values[block]), *part.closer)
            for left in range(0, count, TILE_COLUMNS):
                own = slice(left, left + TILE_COLUMNS)
                columns = panel.bounds.part(own)
                state = (self._heaps[own], self._thresholds[own])
                self._scan(part, columns, (
                    (start, panel.first + left), values, (panel.bits[own], *columns.closer),
                    self._slack, (heaps[block], x.thresholds[block]), state, self._own,
                ))  # fmt: skip
        return self._heaps[:count]


def scaled(values: Stored) -> Singles:
    """Float32 values times ``SCALE``, as compiled products take them."""
    return np.asarray((widened(values) * float(SCALE)).numpy())


def _exact(heaps: NDArray[np.int64]) -> Nominees:
    check_full(heaps)
    found = similarities(heaps)
    if not np.isfinite(found).all():
        raise InputError(
            "knn: every similarity must be finite, but some are not; vectors must be finite"
        )
    return Nominees(row=rows(heaps), others=np.full(len(heaps), -np.inf), similarity=found)
