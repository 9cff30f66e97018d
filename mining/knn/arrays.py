"""Both directions of a search between two arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mining.contract.errors import InputError
from mining.knn.backends import nominator, thread_count
from mining.knn.exact import TopK, search_both
from mining.knn.planner import AUTO


def search_arrays(
    x: NDArray[np.float16],
    y: NDArray[np.float16],
    k: int,
    *,
    backend: str = AUTO,
    threads: int | None = None,
) -> tuple[TopK, TopK]:
    """The min(k, M) nearest rows of ``y`` for every row of ``x``, and the other way round.

    Args:
        x: float16 [N, D] as :func:`mining.contract.vectors.to_stored` makes them; may be memory-mapped.
        y: float16 [M, D].
        k: neighbours wanted, at least 1.
        backend: a key of ``BACKENDS``, or ``auto``; decides the time, never the result.
        threads: of the backend; None: one a core.

    Raises:
        InputError: if the arrays are not float16 of one dimension, or k < 1.
        ConfigError: if there is no such backend.
    """
    if {x.dtype, y.dtype} != {np.dtype("<f2")} or x.shape[1:] != y.shape[1:] or k < 1:
        raise InputError(
            f"knn: must be two float16 arrays of one dimension and k from 1, but are {x.dtype} "
            f"{list(x.shape)}, {y.dtype} {list(y.shape)} and k {k}"
        )
    kernel = nominator(backend, threads, len(x), len(y), x.shape[1])
    return search_both(x, y, (k, k), kernel, thread_count(threads))
