"""Products of int8 with sums in int32.

B rows and W columns of a tile, D dimensions.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mining.knn.int8_kernels import LEVELS

if TYPE_CHECKING:
    import torch

MOST_DIM = (2**31 - 1) // LEVELS**2  # terms that an int32 can hold the sum of


def multiply(rows: NDArray[np.int8], columns: NDArray[np.int8], out: torch.Tensor) -> None:
    """Products of int8 [B, D] and int8 [W, D] into int32 [B, W], exactly on any CPU."""
    import torch

    a, b = torch.from_numpy(rows), torch.from_numpy(columns).T
    if a.shape[1] > 1 and multiplies_int8():  # torch mistakes the strides of one dimension
        torch._int_mm(a, b, out=out)
    else:
        out.copy_(a.double() @ b.double())


@cache
def multiplies_int8() -> bool:
    """Whether this CPU has instructions for products of int8, and torch makes exact ones of them.

    Without VNNI, sums of two products are cut to 16 bits (oneDNN, Nuances of int8 computations).
    """
    import torch

    onednn = bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]
    if not onednn or not torch.cpu._is_vnni_supported():
        return False
    extreme = torch.full((64, 256), LEVELS, dtype=torch.int8)
    most = 256 * LEVELS * LEVELS
    same, opposite = torch._int_mm(extreme, extreme.T), torch._int_mm(extreme, -extreme.T)
    return bool((same == most).all() and (opposite == -most).all())
