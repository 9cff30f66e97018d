"""What is loaded once in a process: weights; and what is kept while it may be needed again."""

from __future__ import annotations

import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from typing import Generic, ParamSpec, TypeVar, cast

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


class Recent(Generic[T]):
    """The values that were used last, by key, for all threads; one of them loads at a time.

    What is still in use elsewhere stays in memory when it is let go here.
    """

    def __init__(self, kept: int) -> None:
        """``kept``: how many are held at most."""
        self._kept = kept
        self._values: OrderedDict[str, T] = OrderedDict()
        self._loading = threading.Lock()

    def get(self, key: str, load: Callable[[], T]) -> T:
        """The value of a key; loaded where it is not held."""
        with self._loading:
            if key not in self._values:
                while len(self._values) >= self._kept:  # before, so that never more are in memory
                    self._values.popitem(last=False)
                self._values[key] = load()
            self._values.move_to_end(key)
            return self._values[key]

    def clear(self) -> None:
        """Let all of them go."""
        with self._loading:
            self._values.clear()
