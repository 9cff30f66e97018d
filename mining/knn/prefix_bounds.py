"""Upper bounds of similarities from a few rotated dimensions, and how many of those pay.

With an orthonormal basis whose first H directions hold most of the vectors' length,
x.y <= x_H.y_H + |x - x_H| |y - y_H| (Cauchy and Schwarz). Real embeddings have such a basis: the
principal axes of both sides together. The bound is itself a product, of H + 1 dimensions, so that a tile
of bounds costs a GEMM of (H + 1) / D of the full one (as in LEMP, Teflioudi and Gemulla 2016, TODS, for
single queries).

N rows, M columns, D dimensions, H of a head and 2 H of a longer head.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mining.contract.vectors import NORM_TOLERANCE
from mining.knn.backend import float32_bound
from mining.knn.one_pass import widened

if TYPE_CHECKING:
    import torch

_SAMPLE = 2048  # rows a side that the basis is made of
_POWERS = 4  # of the moments, by which a random basis is turned towards the principal axes
_PROBES, _PROBED = 128, 8192  # rows, against so many columns, that heads are tried with
_HEADS = (1 / 16, 3 / 32, 1 / 8, 3 / 16, 1 / 4)  # of D
# In multiply-adds, measured beside the GEMM on one core: a scanned bound; a bound that is refined and
# perhaps computed exactly.
_SCAN_COST, _CANDIDATE_COST = 25.0, 10_000.0
_WORTH = 0.8  # of the cost of full products, above which bounds are not tried
_FEWEST_ROWS = 8192  # a side, below which the basis costs more than it saves
_BLOCK_ROWS = 8192  # rows rotated at a time
GUESS = 0.25  # of the head, by which likely neighbours are nominated


@dataclass(frozen=True, kw_only=True)
class Bounded:
    """Vectors as their bounds are computed.

    Attributes:
        operand: float32 [N, H + 1]: the head, and the length beyond it.
        rest: float32 [N, H], the second half of the longer head.
        beyond: float32 [N], length beyond the head.
        beyond_longer: float32 [N], beyond the longer head.
    """

    operand: NDArray[np.float32]
    rest: NDArray[np.float32]
    beyond: NDArray[np.float32]
    beyond_longer: NDArray[np.float32]

    @property
    def closer(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Of the longer head, see :func:`mining.knn.bounded_kernels.scan_bounds`."""
        return self.rest, self.beyond, self.beyond_longer

    def part(self, some: slice) -> Bounded:
        """Some of them."""
        closer = (self.rest[some], self.beyond[some], self.beyond_longer[some])
        return Bounded(
            operand=self.operand[some], rest=closer[0], beyond=closer[1], beyond_longer=closer[2]
        )


@dataclass(frozen=True, kw_only=True)
class PrefixBounds:
    """A basis for heads.

    Attributes:
        basis: float32 [D, 2 H], columns of an orthonormal basis, rounded.
        cost: predicted, of that of full products.
    """

    basis: torch.Tensor
    cost: float

    @property
    def head(self) -> int:
        """H."""
        return self.basis.shape[1] // 2

    @property
    def _rotation_error(self) -> float:
        """Bound of |computed longer head - true one|: each of its numbers is a float32 product."""
        dim, longer = self.basis.shape
        return float32_bound(dim + 2) * (1.0 + NORM_TOLERANCE) * float(np.sqrt(longer))

    @property
    def slack(self) -> float:
        """What rounding may take from a bound: of two heads, and of the product of 2 H + 3 terms."""
        rounding = float32_bound(self.basis.shape[1] + 3) * 2.0
        return float(2.1 * self._rotation_error + rounding)

    def of(self, values: NDArray[np.float16]) -> Bounded:
        """Heads of stored vectors and the lengths beyond them; these are rounded up."""
        rest = np.empty((len(values), self.head), np.float32)
        operand = np.empty((len(values), self.head + 1), np.float32)
        beyond_longer = np.empty(len(values), np.float32)
        for start in range(0, len(values), _BLOCK_ROWS):
            some = slice(start, start + _BLOCK_ROWS)
            wide = widened(values[some])
            longer = wide @ self.basis
            norm = wide.square().sum(1)
            covered = (longer[:, : self.head].square().sum(1), longer.square().sum(1))
            beyond, beyond_longer[some] = (self._beyond(norm, part) for part in covered)
            operand[some, :-1], rest[some] = longer[:, : self.head], longer[:, self.head :]
            operand[some, -1] = beyond
        beyond = np.ascontiguousarray(operand[:, -1])
        return Bounded(operand=operand, rest=rest, beyond=beyond, beyond_longer=beyond_longer)

    def _beyond(self, norm: torch.Tensor, covered: torch.Tensor) -> NDArray[np.float32]:
        """float32 [N] from squared lengths: |x|^2 - (|computed head| - its error)^2, rounded up."""
        error = 2.0 * float32_bound(self.basis.shape[0] + 2) * (1.0 + NORM_TOLERANCE) ** 2
        least = (covered.sqrt() - self._rotation_error).clamp(min=0.0)
        left = (norm + error - least.square()).clamp(min=0.0).sqrt() * (1.0 + 2.0**-20)
        return np.asarray(left.numpy())


def plan_bounds(
    x: NDArray[np.float16], y: NDArray[np.float16], k: int, *, fewest: int = _FEWEST_ROWS
) -> PrefixBounds | None:
    """The cheapest head, tried on some rows of ``x``; None if full products are about as cheap.

    Args:
        x: float16 [N, D].
        y: float16 [M, D].
        k: neighbours wanted.
        fewest: rows a side below which there is nothing to save.
    """
    dim = x.shape[1]
    heads = sorted({int(dim * share) // 16 * 16 - 1 for share in _HEADS} - {-1})
    if min(len(x), len(y)) < fewest or not heads:
        return None
    axes = _principal_axes(x, y, 2 * heads[-1])
    probes, columns, _, lowest = probed(x, y, k)
    full = len(y) * (dim + _SCAN_COST)
    best: PrefixBounds | None = None
    for head in heads:
        one = PrefixBounds(basis=axes[:, : 2 * head].contiguous(), cost=1.0)
        bounds = one.of(probes).operand @ one.of(columns).operand.T
        candidates = np.count_nonzero(bounds >= lowest[:, None] - one.slack) / len(probes)
        candidates *= len(y) / len(columns)
        widths = head + 1 + (head + 1) * GUESS
        cost = len(y) * (widths + 2 * _SCAN_COST) + 2 * candidates * _CANDIDATE_COST
        if best is None or cost / full < best.cost:
            best = PrefixBounds(basis=one.basis, cost=cost / full)
    return best if best is not None and best.cost < _WORTH else None


def probed(
    x: NDArray[np.float16], y: NDArray[np.float16], k: int, count: int = _PROBED
) -> tuple[NDArray[np.float16], NDArray[np.float16], NDArray[np.float32], NDArray[np.float32]]:
    """Some rows, some columns, their similarities and the k-th highest of these of each row."""
    probes, columns = spread(x, _PROBES), spread(y, count)
    products = widened(probes) @ widened(columns).T
    lowest = products.topk(min(k, len(columns)), dim=1).values[:, -1]
    return probes, columns, products.numpy(), lowest.numpy()


def _principal_axes(x: NDArray[np.float16], y: NDArray[np.float16], count: int) -> torch.Tensor:
    """About the first eigenvectors of both sides' second moments, exactly orthonormal: [D, count]."""
    import torch

    a, b = (widened(spread(side, _SAMPLE)) for side in (x, y))
    moments = a.T @ a / len(a) + b.T @ b / len(b)
    axes: torch.Tensor = torch.eye(x.shape[1], count, dtype=torch.float32)
    axes += 0.01 * torch.randn(axes.shape, generator=torch.Generator().manual_seed(0))
    for _ in range(_POWERS):
        axes = torch.linalg.qr(moments @ axes).Q
    exact: torch.Tensor = torch.linalg.qr(axes.double()).Q
    return exact.float()


def spread(values: NDArray[np.float16], count: int) -> NDArray[np.float16]:
    """At most ``count`` rows, evenly spread."""
    return values if len(values) <= count else values[:: -(-len(values) // count)]
