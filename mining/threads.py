"""Torch's settings of the whole process: how many threads, and how exact its products are.

It stands below all that compute with torch: the speech detector, the search, the encoders.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def torch_threads(count: int | None) -> Iterator[None]:
    """Compute with so many threads for a while; None: with as many as now.

    Sums depend on it in their last bit: what follows must not inherit it.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def full_products() -> Iterator[None]:
    """Multiply float32 as float32, and add up in float32, for a while.

    A process may have allowed TF32 or bfloat16 in place of float32, or sums in float16: faster, and
    wrong by more than bounds of the search prove.
    """
    import torch

    precision = torch.get_float32_matmul_precision()
    matmul = torch.backends.cuda.matmul
    reduced = matmul.allow_fp16_reduced_precision_reduction
    accumulated = matmul.allow_fp16_accumulation
    torch.set_float32_matmul_precision("highest")
    matmul.allow_fp16_reduced_precision_reduction = False
    matmul.allow_fp16_accumulation = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(precision)
        matmul.allow_fp16_reduced_precision_reduction = reduced
        matmul.allow_fp16_accumulation = accumulated
