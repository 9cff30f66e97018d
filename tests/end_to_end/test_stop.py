"""Stopped by the user or by a scheduler in the middle of a unit."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Outcome, World
from tests.end_to_end.test_run import command

Cli = Callable[..., Outcome]


@contextmanager
def reading(world: World, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A process that opens a file of the corpus and waits: a pipe that nobody writes to."""
    pipe = world.folder / "texts-9.tsv"
    os.mkfifo(pipe)
    process = subprocess.Popen(
        command(*arguments, "--config", world.config),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        # a shell that started the tests in the background lets them, and so us, ignore Ctrl-C
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    try:
        _wait_for_note(world, process)
        yield process
    finally:
        process.kill()
        process.communicate()
        pipe.unlink()


def _wait_for_note(world: World, process: subprocess.Popen[str]) -> None:
    """Until a unit that it has begun stays begun."""
    before: set[Path] = set()
    while process.poll() is None:
        notes = begun(world)
        if before & notes:
            return
        before = notes
        time.sleep(0.5)
    raise AssertionError(process.communicate()[1])


def begun(world: World) -> set[Path]:
    """Notes of files that are being read."""
    found = world.output.glob("_state/prepare/*/*/begun/**/*")
    return {path for path in found if path.is_file()}


@pytest.mark.parametrize(
    ("arguments", "number", "code"),
    [
        (("run",), signal.SIGINT, 130),
        (("run",), signal.SIGTERM, 143),
        (("work", "all"), signal.SIGINT, 130),
        (("work", "all"), signal.SIGTERM, 143),
    ],
)
def test_it_ends_at_once_and_says_how_to_go_on(
    world: World, mining: Cli, arguments: tuple[str, ...], number: signal.Signals, code: int
) -> None:
    with reading(world, *arguments) as process:
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        assert process.returncode == code, err
    assert "Traceback" not in err
    again = f"go on with: mining {' '.join(arguments)} --config {world.config}"
    assert [line for line in err.splitlines() if line.endswith(again)]
    strays = [path for path in world.output.rglob(".*") if path.is_file()]
    assert not strays  # no file was left half written
    assert not begun(world)  # it is not the file's fault
    assert mining(*arguments, "--config", world.config).code == 0
