"""The backend ``exact``: both directions from one pass over the tiles of the similarity matrix.

Every existing miner searches twice. Here each tile is multiplied once (a float32 GEMM), and one scan of
it serves the nearest columns of its rows and the nearest rows of its columns.

N rows, M columns, D dimensions, P nominees.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mining.knn.backend import Nominees, float32_bound
from mining.knn.keys import EMPTY, best, rows, similarities
from mining.knn.scan_kernels import LOWEST, SEEDED_PLACES, STRIP, scan, scratch, seed_columns
from mining.threads import torch_threads

if TYPE_CHECKING:
    import torch

# Measured on two cores with 1 MiB of L2 and 33 MiB of L3 each: 768 x 2048 beats 384 x 2048 by 5 %.
_TILE_ROWS, _TILE_COLUMNS = 768, 2048
_PANEL_VALUES = 1 << 24  # float32 of the columns that are held widened: 64 MiB


@dataclass(frozen=True, kw_only=True)
class OnePass:
    """Float32 tiles and a compiled scan. Each thread owns blocks of rows and its own column heaps.

    Memory beside the stored vectors: 8 P bytes a row, and of a panel of 2^24 / D columns their
    float32 values and 8 P bytes a column and thread; a tile (6 MiB) and a block of rows a thread.

    Attributes:
        threads: each multiplies and scans its own tiles.
    """

    threads: int

    def nominate(
        self,
        rows: NDArray[np.float16],
        columns: NDArray[np.float16],
        forward: int,
        backward: int,
    ) -> tuple[Nominees, Nominees]:
        """See :class:`mining.knn.backend.Nominator`."""
        work = _Rows(rows, forward)
        size = max(_TILE_COLUMNS, _PANEL_VALUES // rows.shape[1] // _TILE_COLUMNS * _TILE_COLUMNS)
        found = [
            self._panel(work, columns[first : first + size], first, backward)
            for first in range(0, len(columns), size)
        ]
        return _nominees(work.heaps), _nominees(np.concatenate(found))

    def error_bound(self, dim: int) -> float:
        """See :func:`mining.knn.backend.float32_bound`."""
        return float32_bound(dim)

    def _panel(
        self, work: _Rows, columns: NDArray[np.float16], first: int, places: int
    ) -> NDArray[np.int64]:
        """All rows against some columns: the columns' heaps, int64 [columns, P']."""
        panel = _widened(columns)
        starts = iter(range(0, len(work.values), _TILE_ROWS))
        lock = threading.Lock()

        def share() -> NDArray[np.int64]:
            return _Share(panel, first, places).do(work, _taken(starts, lock))

        with torch_threads(None), ThreadPoolExecutor(self.threads) as pool:
            shares = [
                future.result() for future in [pool.submit(share) for _ in range(self.threads)]
            ]
        return best(np.concatenate(shares, axis=1), places)


class _Rows:
    """The rows, and what they have found so far."""

    def __init__(self, values: NDArray[np.float16], places: int) -> None:
        self.values = values
        self.heaps = np.full((len(values), places), EMPTY)
        self.thresholds = np.full(len(values), LOWEST)


class _Share:
    """What one thread does of a panel: blocks of rows against all its columns."""

    def __init__(self, panel: torch.Tensor, first: int, places: int) -> None:
        import torch

        self._panel, self._first, self._places = panel, first, places
        self._width = -(-len(panel) // STRIP) * STRIP
        self._heaps = np.full((self._width, places), EMPTY)
        self._thresholds = np.full(self._width, LOWEST)
        self._thresholds[len(panel) :] = (
            np.inf
        )  # columns that only fill the last strip find nothing
        self._tile = torch.empty((_TILE_ROWS, _TILE_COLUMNS), dtype=torch.float32)

    def do(self, work: _Rows, starts: Iterator[int]) -> NDArray[np.int64]:
        """Scan the blocks that begin at ``starts``; the columns' heaps."""
        import torch

        torch.set_num_threads(1)  # of this thread, which is new
        own = scratch(_TILE_COLUMNS, work.heaps.shape[1], self._places)
        seeded = self._places > SEEDED_PLACES
        for start in starts:
            block = slice(start, start + _TILE_ROWS)
            rows = _widened(work.values[block])
            for left in range(0, self._width, _TILE_COLUMNS):
                tile = self._multiplied(rows, left)
                strips = slice(left, left + tile.shape[1])
                if not seeded:
                    real = slice(left, min(strips.stop, len(self._panel)))
                    estimated = np.empty(tile.shape[1], np.float32)
                    seed_columns(tile, estimated, self._places, own)
                    self._thresholds[real] = estimated[: real.stop - left]
                scan(
                    tile, start, self._first + left, work.heaps[block], work.thresholds[block],
                    self._heaps[strips], self._thresholds[strips], own,
                )  # fmt: skip
            seeded = True
        return self._heaps[: len(self._panel)]

    def _multiplied(self, rows: torch.Tensor, left: int) -> NDArray[np.float32]:
        """A tile of whole strips; what no column fills is below everything."""
        import torch

        columns = self._panel[left : left + _TILE_COLUMNS]
        width = -(-len(columns) // STRIP) * STRIP
        tile = self._tile.view(-1)[: len(rows) * width].view(len(rows), width)
        torch.mm(rows, columns.T, out=tile[:, : len(columns)])
        tile[:, len(columns) :] = float(LOWEST)
        return tile.numpy()


def _taken(starts: Iterator[int], lock: threading.Lock) -> Iterator[int]:
    """The next start that no thread has taken."""
    while True:
        with lock:
            start = next(starts, None)
        if start is None:
            return
        yield start


def _widened(values: NDArray[np.float16]) -> torch.Tensor:
    """float32 tensor; by torch, whose conversion is several times faster than NumPy's."""
    import torch

    return torch.from_numpy(np.array(values)).to(
        torch.float32
    )  # a copy: torch wants writable arrays


def _nominees(heaps: NDArray[np.int64]) -> Nominees:
    return Nominees(similarity=similarities(heaps), row=rows(heaps))
