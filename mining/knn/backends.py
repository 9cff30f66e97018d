"""The backends by name. Each gives the same bytes; they differ in time and memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from mining.contract.errors import ConfigError
from mining.knn.backend import Nominator
from mining.knn.faiss_flat import FaissFlat, gpus
from mining.knn.int8 import Int8
from mining.knn.one_pass import OnePass
from mining.knn.planner import AUTO, choose_backend
from mining.knn.prefix import Prefix
from mining.knn.torch_tiles import TorchTiles

BACKENDS: Mapping[str, Callable[[int], Nominator]] = {
    "exact": lambda threads: OnePass(threads=threads),
    "exact-cuda": lambda threads: TorchTiles(device="cuda"),
    "exact-int8": lambda threads: Int8(threads=threads),
    "exact-prefix": lambda threads: Prefix(threads=threads),
    "exact-torch": lambda threads: TorchTiles(device="cpu"),
    "faiss-flat": lambda threads: FaissFlat(threads=threads),
    "faiss-gpu": lambda threads: FaissFlat(threads=threads, gpu=True),
}


def available() -> tuple[str, ...]:
    """Names of those that this machine can run."""
    import torch

    there = {"exact-cuda": torch.cuda.is_available(), "faiss-gpu": gpus() > 0}
    return tuple(name for name in BACKENDS if there.get(name, True))


def nominator(name: str, threads: int | None, rows: int, columns: int, dim: int) -> Nominator:
    """The backend of that name.

    Args:
        name: a key of :data:`BACKENDS`, or ``auto``: :func:`mining.knn.planner.choose_backend` chooses.
        threads: None: one a core.
        rows: N.
        columns: M.
        dim: D.

    Raises:
        ConfigError: for an unknown name, naming those there are.
    """
    if name == AUTO:
        name = choose_backend(rows, columns, dim).backend
    if name not in BACKENDS:
        raise ConfigError(
            f"knn backend: must be one of {sorted(BACKENDS)} or {AUTO}, but is {name!r}"
        )
    return BACKENDS[name](thread_count(threads))


def thread_count(threads: int | None) -> int:
    """How many threads are meant."""
    return threads or len(os.sched_getaffinity(0))
