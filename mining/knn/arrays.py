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
    backward_k: int | None = None,
    backend: str = AUTO,
    threads: int | None = None,
) -> tuple[TopK, TopK]:
    """The min(k, M) nearest rows of ``y`` for every row of ``x``, and the other way round.

    Args:
        x: float16 [N, D] as :func:`mining.contract.vectors.to_stored` makes them; may be memory-mapped.
        y: float16 [M, D].
        k: neighbours wanted of a row of ``x``, at least 1.
        backward_k: of a row of ``y``; None: as many.
        backend: a key of ``BACKENDS``, or ``auto``; decides the time, never the result.
        threads: of the backend; None: one a core.

    Raises:
        InputError: if the arrays are not float16 of one dimension, or k < 1.
        ConfigError: if there is no such backend.
    """
    wanted = checked(x, y, k, backward_k)
    kernel = nominator(backend, threads, len(x), len(y), x.shape[1])
    return search_both(x, y, wanted, kernel, thread_count(threads))


def checked(
    x: NDArray[np.float16], y: NDArray[np.float16], k: int, backward_k: int | None
) -> tuple[int, int]:
    """Neighbours of a row of ``x``, and of ``y``; None: as many.

    Raises:
        InputError: if the arrays are not float16 of one dimension, or k < 1.
    """
    back = k if backward_k is None else backward_k
    for side in (x, y):
        if side.ndim != 2 or side.dtype != np.dtype("<f2"):
            raise InputError(
                f"knn: vectors must be float16 [rows, D], but are {side.dtype} {list(side.shape)}; "
                "convert them with mining.contract.vectors.to_stored"
            )
    if x.shape[1] != y.shape[1]:
        raise InputError(
            f"knn: both sides must have one dimension, but have {x.shape[1]} and {y.shape[1]}; embed "
            "them with one encoder"
        )
    if min(k, back) < 1:
        raise InputError(f"knn: k must be at least 1, but is {min(k, back)}")
    return k, back
