"""The backend ``exact``: both directions from one pass over the tiles of the similarity matrix.

Every existing miner searches twice. Here each tile is multiplied once (a float32 GEMM), and one scan of
it serves the nearest columns of its rows and the nearest rows of its columns.

N rows, M columns, D dimensions, P nominees.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mining.knn.backend import Nominees, float32_bound, nominees_above, with_spares
from mining.knn.keys import EMPTY, best
from mining.knn.scan_kernels import (
    HIGHEST,
    LOWEST,
    SEEDED_PLACES,
    STRIP,
    scan,
    scratch,
    seed_columns,
)
from mining.knn.sweep import sweep

if TYPE_CHECKING:
    import torch

# Measured on two cores with 1 MiB of L2 each and 33 MiB of L3: 5 % faster than 384 x 2048.
TILE_ROWS, TILE_COLUMNS = 768, 2048
Values = NDArray[np.float16] | NDArray[np.float32]

_PANEL_VALUES = 1 << 24  # float32 of the columns that are held widened: 64 MiB
_HEAP_BYTES = 1 << 28  # of a panel's columns, of all threads


@dataclass(frozen=True, kw_only=True)
class OnePass:
    """Float32 tiles and a compiled scan. Each thread owns blocks of rows and its own column heaps.

    Memory beside the stored vectors: 8 P bytes a row; of a panel of columns their float32 values
    (64 MiB) and three times 8 P bytes a column and thread, at most 768 MiB unless 2,048 columns need
    more; a tile (6 MiB) and a block of rows a thread.

    Attributes:
        threads: each multiplies and scans its own tiles.
    """

    threads: int

    def nominate(
        self, rows: Values, columns: Values, forward: int, backward: int
    ) -> tuple[Nominees, Nominees]:
        """See :class:`mining.knn.backend.Nominator`; float32 values, too."""
        search = _Rows(rows, with_spares(forward, len(columns)))
        backward = with_spares(backward, len(rows))
        size = panel_columns(_PANEL_VALUES // rows.shape[1], backward, self.threads)
        found = [
            self._panel(search, columns[first : first + size], first, backward)
            for first in range(0, len(columns), size)
        ]
        bound = float32_bound(rows.shape[1])
        return (
            nominees_above(search.heaps, len(columns), bound),
            nominees_above(np.concatenate(found), len(rows), bound),
        )

    def _panel(self, search: _Rows, columns: Values, first: int, places: int) -> NDArray[np.int64]:
        """All rows against some columns: the columns' heaps, int64 [columns, P']."""
        panel = widened(columns)
        shares = sweep(
            range(0, len(search.values), TILE_ROWS),
            self.threads,
            lambda starts: _Share(panel, first, places).do(search, starts),
        )
        return best(np.concatenate(shares, axis=1), places)


class _Rows:
    """The rows, and what they have found so far."""

    def __init__(self, values: Values, places: int) -> None:
        self.values = values
        self.heaps = np.full((len(values), places), EMPTY)
        self.thresholds = np.full(len(values), LOWEST)


class _Share:
    """What one thread does of a panel: blocks of rows against all its columns."""

    def __init__(self, panel: torch.Tensor, first: int, places: int) -> None:
        self._panel, self._first, self._places = panel, first, places
        self._width = strips(len(panel))
        self._heaps = np.full((self._width, places), EMPTY)
        self._thresholds = np.full(self._width, LOWEST)
        self._thresholds[len(panel) :] = (
            HIGHEST  # columns that only fill the last strip find nothing
        )

    def do(self, search: _Rows, starts: Iterator[int]) -> NDArray[np.int64]:
        """Scan the blocks that begin at ``starts``; the columns' heaps."""
        own = scratch(TILE_COLUMNS, search.heaps.shape[1], self._places)
        tiles = Tiles()
        seeded = self._places > SEEDED_PLACES
        for start in starts:
            block = slice(start, start + TILE_ROWS)
            rows = widened(search.values[block])
            for left in range(0, self._width, TILE_COLUMNS):
                tile = tiles.multiplied(rows, self._panel[left : left + TILE_COLUMNS])
                some = slice(left, left + tile.shape[1])
                if not seeded:
                    real = min(some.stop, len(self._panel)) - left
                    estimated = np.empty(tile.shape[1], np.float32)
                    seed_columns(tile, estimated, self._places, own)
                    self._thresholds[left : left + real] = estimated[:real]
                scan(
                    tile, start, self._first + left, search.heaps[block], search.thresholds[block],
                    self._heaps[some], self._thresholds[some], own,
                )  # fmt: skip
            seeded = True
        return self._heaps[: len(self._panel)]


class Tiles:
    """The buffer of one thread's tiles."""

    def __init__(self) -> None:
        import torch

        self._values = torch.empty(TILE_ROWS * TILE_COLUMNS, dtype=torch.float32)

    def multiplied(self, rows: torch.Tensor, columns: torch.Tensor) -> NDArray[np.float32]:
        """Products of all rows and columns, float32 in whole strips; what no column fills is lowest.

        It is overwritten by the next.
        """
        import torch

        width = strips(len(columns))
        tile = self._values[: len(rows) * width].view(len(rows), width)
        torch.mm(rows, columns.T, out=tile[:, : len(columns)])
        tile[:, len(columns) :] = float(LOWEST)
        return tile.numpy()


def panel_columns(wanted: int, places: int, threads: int) -> int:
    """Columns of a panel, in whole tiles: as wanted, unless the heaps of all threads are too large."""
    most = min(wanted, _HEAP_BYTES // (8 * places * threads))
    return max(1, most // TILE_COLUMNS) * TILE_COLUMNS


def strips(columns: int) -> int:
    """Columns in whole strips."""
    return -(-columns // STRIP) * STRIP


def widened(values: Values) -> torch.Tensor:
    """float32 tensor; by torch, whose conversion is several times faster than NumPy's."""
    import torch

    return torch.from_numpy(np.array(values)).to(
        torch.float32
    )  # a copy: torch wants writable arrays
