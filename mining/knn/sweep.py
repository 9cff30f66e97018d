"""Blocks of rows, dealt to threads that each keep what they found."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from mining.threads import torch_threads

T = TypeVar("T")


def sweep(blocks: range, threads: int, share: Callable[[Iterator[int]], T]) -> list[T]:
    """What each thread returns of its share of the blocks.

    A thread takes the next block when it has done one, so that none waits for another. In a thread
    torch multiplies by itself.

    Args:
        blocks: where they begin.
        threads: how many work.
        share: gets the starts that fall to a thread.
    """
    import torch

    starts, lock = iter(blocks), threading.Lock()

    def taken() -> Iterator[int]:
        while True:
            with lock:
                start = next(starts, None)
            if start is None:
                return
            yield start

    def work() -> T:
        torch.set_num_threads(1)  # of this thread, which is new
        return share(taken())

    with torch_threads(None), ThreadPoolExecutor(threads) as pool:
        return [future.result() for future in [pool.submit(work) for _ in range(threads)]]
