"""How the cost of a stage grows: a fixed cost, and one for each piece of work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls


@dataclass(frozen=True, kw_only=True)
class Law:
    """seconds = fixed + slope * work.

    Attributes:
        fixed: seconds whatever the work: weights, compiled code, files of each partition.
        slope: seconds for a unit of work: a row, a second of audio, a neighbour.
    """

    fixed: float
    slope: float

    def at(self, work: float) -> float:
        """Seconds for so much work; none for none."""
        return self.fixed + self.slope * work if work > 0 else 0.0


def fit_units(points: Sequence[tuple[float, float, float]]) -> tuple[float, float]:
    """Seconds of a unit and of a piece of work, from several tasks that do the same kind of work.

    Small pilots of one task differ by less than a second, which is mostly noise; all tasks together tell
    more. Least squares of relative errors, neither part negative.

    Args:
        points: (units, work, seconds), units and work above 0.
    """
    if not points:
        return 0.0, 0.0
    known = np.array(points, dtype=np.float64)
    scale = np.maximum(known[:, 2], 0.1 * known[:, 2].max())
    if not scale.all():
        return 0.0, 0.0
    of_unit, of_work = nnls(known[:, :2] / scale[:, None], known[:, 2] / scale)[0]
    return float(of_unit), float(of_work)


def fit(points: Sequence[tuple[float, float]]) -> Law:
    """The law through measured points.

    Least squares with weights 1 / work, so that a small pilot's fixed cost counts as much as a large
    one's slope; two points are met exactly. Neither part is ever negative: where noise makes one so,
    the other alone explains the largest point, or the mean of all.

    Args:
        points: (work, seconds), work above 0. Equal works tell nothing of the slope: all is taken to
            grow with the work then, which errs on the dear side.
    """
    if not points:
        return Law(fixed=0.0, slope=0.0)
    weights = [1.0 / work for work, _ in points]
    total = sum(weights)
    work = sum(w * x for w, (x, _) in zip(weights, points, strict=True)) / total
    cost = sum(w * y for w, (_, y) in zip(weights, points, strict=True)) / total
    spread = sum(w * (x - work) ** 2 for w, (x, _) in zip(weights, points, strict=True))
    largest_work, largest_cost = max(points)
    if spread <= 1e-12 * work * work * total:
        return Law(fixed=0.0, slope=max(y for _, y in points) / largest_work)
    joint = sum(w * (x - work) * (y - cost) for w, (x, y) in zip(weights, points, strict=True))
    slope = joint / spread
    if slope <= 0.0:
        return Law(fixed=sum(y for _, y in points) / len(points), slope=0.0)
    if cost - slope * work < 0.0:
        return Law(fixed=0.0, slope=largest_cost / largest_work)
    return Law(fixed=cost - slope * work, slope=slope)
