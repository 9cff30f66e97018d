"""What is loaded once in a process: weights."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from functools import lru_cache
from typing import ParamSpec, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")

_LOG = logging.getLogger(__name__)


def one_copy(kept: int) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorate a function that loads: equal calls share what it returned, in all threads.

    Args:
        kept: how many different results are held; the one that was not used for longest goes first.
    """

    def decorate(load: Callable[P, T]) -> Callable[P, T]:
        @lru_cache(maxsize=kept)
        def logged(*args: P.args, **kwargs: P.kwargs) -> T:
            loaded = load(*args, **kwargs)
            _LOG.info("%s: loaded by process %d", load.__module__, os.getpid())
            return loaded

        cached = cast(Callable[P, T], logged)
        loading = threading.Lock()

        def once(*args: P.args, **kwargs: P.kwargs) -> T:
            with loading:
                return cached(*args, **kwargs)

        return once

    return decorate
