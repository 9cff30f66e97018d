"""Which backend a search is given, and why."""

from __future__ import annotations

from dataclasses import dataclass

AUTO = "auto"

_GPU_PRODUCTS = 1e11  # multiply-adds, below which copying to a GPU and back takes longer
_INT8_ROWS, _INT8_DIM = 8192, 128  # on random vectors of 128, twice as fast as exact
_PREFIX_ROWS = 16384  # a side; on embeddings of 768, 1.8 times as fast as exact at 25,600 rows
_PREFIX_DIM = 256


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A backend and the reason for it.

    Attributes:
        backend: a key of ``BACKENDS``.
        reason: a clause for people.
    """

    backend: str
    reason: str


def choose_backend(
    rows: int, columns: int, dim: int, *, cuda: bool | None = None, int8: bool | None = None
) -> Choice:
    """The backend for a search of ``rows`` against ``columns``.

    All are exact: time decides. Memory is looked at in none (see their docstrings).

    Args:
        rows: N.
        columns: M.
        dim: D.
        cuda: whether there is a CUDA device; None: looked up where that matters.
        int8: whether the CPU has instructions for exact products of int8; None: likewise.
    """
    products = float(rows) * columns * dim
    if products >= _GPU_PRODUCTS and (_has_cuda() if cuda is None else cuda):
        return Choice(backend="exact-cuda", reason=f"{products:.1e} products, and a CUDA device")
    large = min(rows, columns) >= _INT8_ROWS and dim >= _INT8_DIM
    if large and (_has_int8() if int8 is None else int8):
        return Choice(
            backend="exact-int8",
            reason=f"no CUDA device, {rows} x {columns} rows of {dim}, and a CPU that multiplies int8: "
            "where a sample says that bounds from int8 do not pay, it is exact",
        )
    if min(rows, columns) >= _PREFIX_ROWS and dim >= _PREFIX_DIM:
        return Choice(
            backend="exact-prefix",
            reason=f"no CUDA device and no products of int8, {rows} x {columns} rows: bounds from "
            "a few principal axes may pay; where a sample says that they do not, it is exact",
        )
    return Choice(
        backend="exact",
        reason=f"{rows} x {columns} rows of {dim} are few: one pass of full products",
    )


def _has_cuda() -> bool:
    import torch

    return bool(torch.cuda.is_available())


def _has_int8() -> bool:
    from mining.knn.int8_products import multiplies_int8

    return multiplies_int8()
