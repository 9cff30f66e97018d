"""Bounds of similarities from int8 codes, and where they pay.

With centres a and b, codes q and p and steps s and t, x - a = s q + e and y - b = t p + f. Then
x.y = s t q.p + x.b + a.y - a.b + e.(y - b) + s q.f, and by Cauchy and Schwarz the last two are at most
|e| |y - b| + |s q| |f|. The product of codes is exact in int32, so that this is a bound whatever the
centres are; embeddings have a common direction, which without them would take most of the codes' range.

N rows, M columns, D dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mining.knn.bounded import Singles
from mining.knn.int8_kernels import encode
from mining.knn.int8_products import MOST_DIM
from mining.knn.prefix_bounds import probed, spread

_SAMPLE = 4096  # rows a side whose mean is the centre
_PROBED = 4096  # columns that bounds are tried with
# In float32 multiply-adds, measured beside the GEMM on one core: a product of codes, at the ratio of
# AVX-512's instructions for both (oneDNN reached 8 on a Zen 5); a bound that is made and scanned, and a
# product that is scanned; and a dimension of a pair that is left, in both directions and with those that
# are computed while thresholds rise.
_CODE_COST, _SCAN_COST, _FULL_SCAN_COST, _CANDIDATE_COST = 0.25, 45.0, 25.0, 10.0
_WORTH = 0.8  # of the cost of full products, above which codes are not tried
FEWEST_ROWS = 8192  # a side, below which there is little to save
# A bound is made by 12 roundings of float32 numbers below 16 (lengths are at most 1.004, less a centre
# 2.008). Doubled to be on the safe side. The roundings of x - a and of s q, together below
# 2^-21 of either's length, are counted as lost.
SLACK = 2.0 * 12 * 16 * 2.0**-24
_ROUNDED, _UP = 2.0**-20, 1.0 + 2.0**-20


@dataclass(frozen=True, kw_only=True)
class Codes:
    """Some vectors as int8.

    Attributes:
        values: int8 [N, D].
        facts: float32 [5, N]: the step; the product with the other side's centre (of rows, less that of
            both centres); lengths of what is lost, of what is kept and of both, rounded up.
    """

    values: NDArray[np.int8]
    facts: Singles

    @property
    def closer(self) -> tuple[Singles, Singles, Singles]:
        """Nothing is known that would make a bound closer."""
        none = np.zeros(len(self.values), np.float32)
        return np.zeros((len(self.values), 0), np.float32), none, none

    def part(self, some: slice) -> Codes:
        """Some of them."""
        return Codes(values=self.values[some], facts=np.ascontiguousarray(self.facts[:, some]))


@dataclass(frozen=True, kw_only=True)
class Centres:
    """What is taken from vectors before they are rounded.

    Attributes:
        row: float32 [D], of rows.
        column: float32 [D], of columns.
    """

    row: Singles
    column: Singles

    def of_rows(self, values: NDArray[np.float16]) -> Codes:
        """Codes of float16 [N, D]."""
        both = np.dot(self.row.astype(np.float64), self.column.astype(np.float64))
        return _encoded(values, self.row, self.column, float(both))

    def of_columns(self, values: NDArray[np.float16]) -> Codes:
        """Codes of float16 [M, D]."""
        return _encoded(values, self.column, self.row, 0.0)


def _encoded(values: NDArray[np.float16], centre: Singles, other: Singles, both: float) -> Codes:
    codes, facts = np.empty(values.shape, np.int8), np.empty((len(values), 5))
    encode(np.ascontiguousarray(values).view(np.uint16), centre, other, codes, facts)
    facts[:, 1] -= both
    facts[:, 2:] = facts[:, 2:] * _UP + _ROUNDED
    return Codes(values=codes, facts=np.ascontiguousarray(facts.T, dtype=np.float32))


def means(x: NDArray[np.float16], y: NDArray[np.float16]) -> Centres:
    """The mean of some of each side: apart, since encoders put languages apart."""
    row, column = (
        np.asarray(spread(side, _SAMPLE), np.float32).mean(axis=0, dtype=np.float64)
        for side in (x, y)
    )
    return Centres(row=row.astype(np.float32), column=column.astype(np.float32))


def plan_codes(
    x: NDArray[np.float16], y: NDArray[np.float16], k: int, *, fewest: int = FEWEST_ROWS
) -> Centres | None:
    """Centres, if on some rows of ``x`` bounds leave few pairs; None: full products are cheaper.

    Args:
        x: float16 [N, D].
        y: float16 [M, D].
        k: neighbours wanted.
        fewest: rows a side below which there is nothing to save.
    """
    if min(len(x), len(y)) < fewest or x.shape[1] > MOST_DIM:
        return None
    centres = means(x, y)
    probes, columns, products, lowest = probed(x, y, k, _PROBED)
    rows, others = centres.of_rows(probes).facts, centres.of_columns(columns).facts
    error = np.outer(rows[2], others[4]) + np.outer(rows[3], others[2])
    candidates = np.count_nonzero(products + error >= lowest[:, None]) / len(probes)
    candidates *= len(y) / len(columns)
    dim = x.shape[1]
    cost = len(y) * (dim * _CODE_COST + _SCAN_COST) + candidates * dim * _CANDIDATE_COST
    return centres if cost < _WORTH * len(y) * (dim + _FULL_SCAN_COST) else None
