"""The backend ``exact-cuda``: tiles multiplied and searched by torch, on any device.

On a GPU a tile is a product of float16 with float32 sums. Its k best are found through maxima of groups
of 128: the k best of a row lie in the k groups of the highest maxima. On a CPU (``exact-torch``)
it is the plain counterpart of the compiled scan.

R rows and W columns of a tile, P nominees, G groups.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mining.contract.errors import CapacityError
from mining.knn.backend import Nominees, Stored, float32_bound, nominees_above, with_spares
from mining.knn.device_tiles import DEPTH, GROUP
from mining.knn.keys import keys

if TYPE_CHECKING:
    import torch

    Top = tuple[torch.Tensor, torch.Tensor]

_TILE = {"cuda": (8192, 32768), "cpu": (1024, 8192)}  # float32 tiles of 1 GiB and 32 MiB
# On an H100 a fused tile takes 0.4 of the time of a plain one at 256 dimensions and 1.06 at 1,024, where
# multiplying the members of the highest groups again costs more than writing the tile saves.
_FUSED_DIM = 512
# What tensor cores add is truncated, not rounded, and the terms of a step are aligned to the largest:
# an error of at most 2^-23 a term (Fasi et al. 2021, Numerical behavior of NVIDIA tensor cores,
# section 4), twice that of float32; doubled once more for what is not documented. In a fused tile
# groups are chosen by one such product, their members by another in float32: both errors count, the
# first of them twice.
_TENSOR_CORE_FACTOR = 9.0


@dataclass(frozen=True, kw_only=True)
class TorchTiles:
    """Tiles by ``torch.mm``, top-k by maxima of groups.

    Device memory: one tile and as much again for members of groups, its rows and columns, and 12 P
    bytes of every row and column of the search.

    Attributes:
        device: ``cuda`` or ``cpu``.
        fused: by the kernels of :mod:`mining.knn.triton_tiles`, which write no tile; None: where they
            can run and are faster.
    """

    device: str
    fused: bool | None = None

    def nominate(
        self, rows: Stored, columns: Stored, forward: int, backward: int
    ) -> tuple[Nominees, Nominees]:
        """See :class:`mining.knn.backend.Nominator`."""
        import torch

        if self.device == "cuda" and not torch.cuda.is_available():
            raise CapacityError(
                "knn backend exact-cuda: needs a CUDA device, but torch sees none; choose exact"
            )
        height, width = _TILE[self.device]
        forward, backward = with_spares(forward, len(columns)), with_spares(backward, len(rows))
        row_best = [_Best() for _ in range(0, len(rows), height)]
        column_best: list[_Best] = []
        with torch.inference_mode():
            tops = self._tops(rows.shape[1])
            for left in range(0, len(columns), width):
                panel = self._loaded(columns[left : left + width])
                own = _Best()
                for number, top in enumerate(range(0, len(rows), height)):
                    block = self._loaded(rows[top : top + height])
                    real = (min(height, len(rows) - top), min(width, len(columns) - left))
                    of_rows, of_columns = tops(block, panel, real, (forward, backward))
                    row_best[number].add(of_rows, left, real[0], forward)
                    own.add(of_columns, top, real[1], backward)
                column_best.append(own)
        bound = float32_bound(rows.shape[1])
        if self.device == "cuda":
            bound *= _TENSOR_CORE_FACTOR
        return (
            nominees_above(_keys(row_best), len(columns), bound),
            nominees_above(_keys(column_best), len(rows), bound),
        )

    def _tops(self, dim: int) -> Callable[..., tuple[Top, Top]]:
        """What finds the best of a tile."""
        if self.device == "cpu":
            return _plain_tops
        from mining.knn.triton_tiles import installed, tops

        fused = installed() and dim <= _FUSED_DIM if self.fused is None else self.fused
        return tops if fused else _plain_tops

    def _loaded(self, values: Stored) -> torch.Tensor:
        """Rows on the device, whole groups of them: those that only fill one are zeros."""
        import torch

        block = torch.from_numpy(np.array(values)).to(self.device)
        if self.device == "cpu":
            block = block.to(torch.float32)
        missing = (-block.shape[1] % DEPTH, -len(block) % GROUP)
        return (
            torch.nn.functional.pad(block, (0, missing[0], 0, missing[1]))
            if any(missing)
            else block
        )


def _plain_tops(
    block: torch.Tensor, panel: torch.Tensor, real: tuple[int, int], count: tuple[int, int]
) -> tuple[Top, Top]:
    """The highest similarities of each row and of each column of a tile, and whose they are."""
    import torch

    if block.is_cuda:
        tile = torch.mm(block, panel.T, out_dtype=torch.float32)
    else:
        tile = torch.mm(block, panel.T)
    tile[real[0] :] = -torch.inf  # rows and columns that only fill a group
    tile[:, real[1] :] = -torch.inf
    return _top_of_rows(tile, count[0]), _top_of_rows(tile.T, count[1])


class _Best:
    """The P best of some queries, among the tiles so far."""

    def __init__(self) -> None:
        self.values: torch.Tensor | None = None
        self.found: torch.Tensor | None = None

    def add(self, top: Top, first: int, queries: int, count: int) -> None:
        """Take in the best of a tile whose index rows begin at ``first``."""
        import torch

        values, found = top[0][:queries], top[1][:queries] + first
        if self.values is None or self.found is None:
            self.values, self.found = values, found
            return
        values = torch.cat([self.values, values], dim=1)
        found = torch.cat([self.found, found], dim=1)
        self.values, place = values.topk(min(count, values.shape[1]), dim=1)
        self.found = found.gather(1, place)


def _top_of_rows(tile: torch.Tensor, count: int) -> Top:
    """The ``count`` highest of each row and their columns; fewer if there are fewer columns.

    A view that is transposed is searched as well as one that is not: the maxima are over groups of 128
    along the row, wherever that lies in memory.
    """
    grouped = tile.view(len(tile), -1, GROUP)
    wanted = min(count, tile.shape[1])
    if grouped.shape[1] <= wanted:
        return tuple(tile.topk(wanted, dim=1))  # type: ignore[return-value]
    best = grouped.amax(dim=2).topk(wanted, dim=1).indices
    members = grouped.gather(1, best[:, :, None].expand(-1, -1, GROUP)).flatten(1)
    values, place = members.topk(wanted, dim=1)
    return values, best.gather(1, place // GROUP) * GROUP + place % GROUP


def _keys(found: list[_Best]) -> NDArray[np.int64]:
    values = [np.asarray(one.values.cpu()) for one in found if one.values is not None]
    rows = [np.asarray(one.found.cpu()) for one in found if one.found is not None]
    return keys(np.concatenate(values), np.concatenate(rows))
