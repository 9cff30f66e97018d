"""Progress on stderr: a bar on a terminal, a line now and then elsewhere.

No runner tells how far it is, so receipts are counted.
"""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import click

from beam_jobs.pace import pace
from beam_jobs.stage import Stage
from mining.contract.errors import MiningError

_BAR_SECONDS = 0.5
_LINE_SECONDS = 10.0
_BAR_WIDTH = 78


def one_of_each_kind(warnings: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """One warning of those that differ in numbers only, saying how many more there are of it.

    Args:
        warnings: a language pair, and ``<language pair>: <what is said of it>``.
    """
    kinds: dict[str, list[str]] = {}
    for name, warning in warnings:
        kind = re.sub("[0-9]+", "N", warning.removeprefix(f"{name}: "))
        kinds.setdefault(kind, []).append(warning)
    return tuple(
        some[0] if len(some) == 1 else f"{some[0]} (and {len(some) - 1} more language pairs)"
        for some in kinds.values()
    )


@dataclass
class Progress:
    """Where progress goes.

    Attributes:
        quiet: print nothing.
        started: seconds, of the monotonic clock.
        warned: what :meth:`warn` has said.
    """

    quiet: bool = False
    started: float = field(default_factory=time.monotonic)
    warned: set[str] = field(default_factory=set)

    def say(self, text: str) -> None:
        """One line with the seconds since the start."""
        if not self.quiet:
            click.echo(f"[{time.monotonic() - self.started:6.1f} s] {text}", err=True)

    def warn(self, text: str) -> None:
        """A line that is also printed when quiet, but once."""
        if text not in self.warned:
            self.warned.add(text)
            click.echo(f"warning: {text}", err=True)

    @contextmanager
    def watching(self, stages: Sequence[Stage]) -> Iterator[None]:
        """Show how many units of ``stages`` are done, while the body runs."""
        total = sum(len(stage.units(phase)) for stage in stages for phase in stage.phases)
        name = stages[0].name
        done = threading.Event()
        # a bar does not wait for a store that is out of order: nor must its end
        impatient = [replace(stage, run=stage.run.impatient()) for stage in stages]

        def count() -> int:
            return sum(len(stage.done(phase)) for stage in impatient for phase in stage.phases)

        def watch() -> None:
            terminal = sys.stderr.isatty()
            first: tuple[int, float] | None = None  # what was there before was not done so fast
            while not done.wait(_BAR_SECONDS if terminal else _LINE_SECONDS):
                try:
                    there = count()
                except MiningError:  # the storage did not answer; the work itself will say so
                    continue
                now = time.monotonic()
                first = (there, now) if first is None else first
                rate = (there - first[0]) / (now - first[1]) if now > first[1] else 0.0
                known = f"{name}: {there} of {total} units", pace(rate, total - there)
                text = ", ".join(filter(None, known))
                if terminal:
                    seconds = time.monotonic() - self.started
                    click.echo(
                        f"\r{f'[{seconds:6.1f} s] {text}':<{_BAR_WIDTH}}", err=True, nl=False
                    )
                else:
                    self.say(text)
            if terminal:
                click.echo("\r" + " " * _BAR_WIDTH + "\r", err=True, nl=False)

        self.say(f"{name}: {', '.join(stage.subject for stage in stages)}")
        thread = threading.Thread(target=watch, daemon=True)
        if not self.quiet:
            thread.start()
        try:
            yield
        finally:
            done.set()
            if thread.is_alive():
                thread.join()


class Silence(Progress):
    """Says nothing, warnings included: for commands that only look at a run."""

    def __init__(self) -> None:
        super().__init__(quiet=True)

    def warn(self, text: str) -> None:
        """Nothing."""
        del text
