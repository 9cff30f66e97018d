"""What is loaded once in a process: weights."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import lru_cache
from typing import ParamSpec, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")


def one_copy(kept: int) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorate a function that loads: equal calls share what it returned, in all threads.

    Args:
        kept: how many different results are held; the one that was not used for longest goes first.
    """

    def decorate(load: Callable[P, T]) -> Callable[P, T]:
        cached = cast(Callable[P, T], lru_cache(maxsize=kept)(load))
        loading = threading.Lock()

        def once(*args: P.args, **kwargs: P.kwargs) -> T:
            with loading:
                return cached(*args, **kwargs)

        return once

    return decorate
