"""The backends by name. Each gives the same bytes; they differ in time and memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from mining.contract.errors import ConfigError
from mining.knn.backend import Nominator
from mining.knn.faiss_flat import FaissFlat
from mining.knn.one_pass import OnePass
from mining.knn.prefix import Prefix
from mining.knn.torch_tiles import TorchTiles

BACKENDS: Mapping[str, Callable[[int], Nominator]] = {
    "exact": lambda threads: OnePass(threads=threads),
    "exact-cuda": lambda threads: TorchTiles(device="cuda"),
    "exact-prefix": lambda threads: Prefix(threads=threads),
    "exact-torch": lambda threads: TorchTiles(device="cpu"),
    "faiss-flat": lambda threads: FaissFlat(threads=threads),
}


def nominator(name: str, threads: int | None) -> Nominator:
    """The backend of that name.

    Args:
        name: a key of :data:`BACKENDS`.
        threads: None: one a core.

    Raises:
        ConfigError: for an unknown name, naming those there are.
    """
    if name not in BACKENDS:
        raise ConfigError(f"knn backend: must be one of {sorted(BACKENDS)}, but is {name!r}")
    return BACKENDS[name](thread_count(threads))


def thread_count(threads: int | None) -> int:
    """How many threads are meant."""
    return threads or len(os.sched_getaffinity(0))
