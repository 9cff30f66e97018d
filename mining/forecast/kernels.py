"""What exact neighbours cost by backend, from a short measurement on this machine.

n rows and m columns of a tile, D dimensions. Every similarity is D multiplications and D additions:
one pass over a tile is 2 n m D floating-point operations.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from mining.contract.vectors import to_stored
from mining.knn import available, choose_backend, search_arrays
from mining.knn.int8_codes import FEWEST_ROWS

# Passes over the similarities of a tile, by backend: the one place to add one. Those of BACKENDS that
# stand not here are taken to make one.
PASSES: Mapping[str, int] = {"faiss-flat": 2, "faiss-gpu": 2}

# A backend that is another one on fewer rows a side is measured on so many, and twice as many.
_LEAST_OF: Mapping[str, int] = {"exact-int8": FEWEST_ROWS}
_PROBE_FLOP = 4e10  # of the larger tile, about a second on one core
_LEAST, _MOST = 512, 4096  # rows of the larger tile
_REPEATS = 3


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """The speed of a backend.

    Attributes:
        backend: its name; ``gemm`` is NumPy's float32 matrix product alone: what a search in float32
            cannot beat with one pass.
        passes: over the similarities.
        cpu_s: processor seconds for one similarity, all passes.
        wall_s: seconds of the clock for the same.
        dim: D it was measured at.
    """

    backend: str
    passes: int
    cpu_s: float
    wall_s: float
    dim: int

    @property
    def gflop_s(self) -> float:
        """Billions of operations in a second of the clock, 2 D a similarity and pass."""
        return 2.0 * self.dim * self.passes / self.wall_s / 1e9


def flops(similarities: float, dim: int, passes: int) -> float:
    """2 n m D for each pass."""
    return 2.0 * similarities * dim * passes


def measure_kernels(dim: int, k: int, threads: int | None) -> dict[str, Kernel]:
    """Measure the matrix product and every backend that can run here, a few seconds each.

    A backend's cost for one similarity is what is quadratic in the tile: with t(n) the time of an
    n x n tile, (t(n) - 2 t(n/2)) / (n^2 / 2); what is linear in rows is fitted by the pilot.

    Args:
        dim: D of the run's vectors.
        k: neighbours.
        threads: of the backends; NumPy's product has as many as the process gives it.
    """
    rows = int(np.clip((_PROBE_FLOP / (4.0 * dim)) ** 0.5, _LEAST, _MOST)) // 2 * 2
    rng = np.random.default_rng(0)
    most = max(rows, *(2 * least for least in _LEAST_OF.values()))
    both = [rng.standard_normal((most, dim), dtype=np.float32) for _ in range(2)]
    stored = [to_stored(side)[0] for side in both]
    floor = _least(lambda: both[0][:rows] @ both[1][:rows].T)
    area = float(rows * rows)
    found = {
        "gemm": Kernel(
            backend="gemm", passes=1, cpu_s=floor[0] / area, wall_s=floor[1] / area, dim=dim
        )
    }
    for name in available():
        least = _LEAST_OF.get(name, 0)
        # where it is never chosen, it may as well be measured as what it is there
        is_chosen = choose_backend(least, least, dim, cuda=False).backend == name
        own = max(rows, 2 * least) if is_chosen else rows
        times, area = [], float(own * own)
        for size in (own // 2, own):
            x, y = (side[:size] for side in stored)
            times.append(_least(partial(search_arrays, x, y, k, backend=name, threads=threads)))
        small, large = times
        cpu, wall = (
            # on a busy machine noise may hide the square: all of the time is then taken for it
            one if (one := (b - 2.0 * a) / (area / 2.0)) > 0.0 else b / area
            for a, b in zip(small, large, strict=True)
        )
        found[name] = Kernel(
            backend=name, passes=PASSES.get(name, 1), cpu_s=cpu, wall_s=wall, dim=dim
        )
    return found


def _least(work: Callable[[], object]) -> tuple[float, float]:
    """Processor and clock seconds, the least of some calls: others' work only ever adds."""
    work()  # libraries and pages
    times = []
    for _ in range(_REPEATS):
        cpu, wall = time.process_time(), time.perf_counter()
        work()
        times.append((time.process_time() - cpu, time.perf_counter() - wall))
    return min(cpu for cpu, _ in times), min(wall for _, wall in times)
