"""How long a stage takes on some workers: it cannot take less than its largest unit of work."""

from __future__ import annotations

import heapq
from collections.abc import Sequence


def hours_on(workers: int, fixed_s: float, proportional_s: float, units: Sequence[float]) -> float:
    """Hours of the clock of a stage on equal workers.

    Every worker pays the fixed cost; units go, the largest first, to whoever is free (Graham 1969,
    Bounds on multiprocessing timing anomalies: at most 4/3 of the best).

    Args:
        workers: how many.
        fixed_s: seconds of a worker before its first unit.
        proportional_s: seconds of all units together.
        units: their relative weights; none: they can be cut at will.
    """
    total = sum(units)
    if not units or total <= 0.0:
        return (fixed_s + proportional_s / workers) / 3600.0
    busy = [0.0] * min(workers, len(units))
    for weight in sorted(units, reverse=True):
        heapq.heapreplace(busy, busy[0] + weight)
    return (fixed_s + proportional_s * max(busy) / total) / 3600.0
