"""What is loaded once in a process."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from beam_jobs.stages.once import Recent, one_copy


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


def test_recent_values_are_loaded_once_while_they_are_held() -> None:
    calls: list[str] = []
    recent = Recent[str](kept=2)

    def asked(name: str) -> str:
        return recent.get(name, lambda: calls.append(name) or name.upper())

    # tiles of three rows against two columns, column by column
    for column in ("x", "y"):
        for row in ("a", "b", "c"):
            assert asked(row) == row.upper()
            assert asked(column) == column.upper()
    assert calls == ["a", "x", "b", "c", "a", "y", "b", "c"]


def test_a_value_that_cannot_be_loaded_is_asked_for_again() -> None:
    recent = Recent[int](kept=1)
    with pytest.raises(ZeroDivisionError):
        recent.get("a", lambda: 1 // 0)
    assert recent.get("a", lambda: 1) == 1
