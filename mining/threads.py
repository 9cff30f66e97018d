"""Torch's number of threads, which is one setting of the whole process.

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
