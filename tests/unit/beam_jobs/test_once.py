"""What is loaded once in a process."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from beam_jobs.once import one_copy


def test_threads_that_ask_at_once_get_one_copy() -> None:
    calls: list[str] = []
    together = threading.Barrier(8)

    @one_copy(kept=2)
    def load(name: str) -> object:
        calls.append(name)
        time.sleep(0.05)  # as weights do
        return object()

    def ask(_: int) -> object:
        together.wait(10)
        return load("a")

    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(ask, range(8)))
    assert (len(found), calls) == (1, ["a"])


def test_the_copy_that_was_not_used_for_longest_goes() -> None:
    calls: list[str] = []

    @one_copy(kept=2)
    def load(name: str) -> str:
        calls.append(name)
        return name

    for name in ("a", "b", "a", "c", "a", "b"):
        assert load(name) == name
    assert calls == ["a", "b", "c", "b"]
