"""Killed at any moment, failing at any write: the same command goes on and ends in the same bytes."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Outcome, World
from tests.end_to_end.test_run import command

Cli = Callable[..., Outcome]


class Disk:
    """Counts renames into place and fails one of them, before or after it happened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.fail_at = -1
        self.after = False
        self._replace = os.replace
        monkeypatch.setattr("mining.io.filesystem.os.replace", self)

    def __call__(self, source: object, target: object) -> None:
        number, self.count = self.count, self.count + 1
        if number == self.fail_at and not self.after:
            raise OSError(errno.ENOSPC, "No space left on device")
        self._replace(source, target)  # type: ignore[call-overload]
        if number == self.fail_at:
            raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.usefixtures("no_beam")
def test_a_full_disk_at_every_write_loses_nothing(
    world: World, mining: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = {"source": "texts", "target": "texts", "langs": ["deu-eng"]}
    world.change(partitions=2, tasks={"tt": task})
    disk = Disk(monkeypatch)
    assert mining("run", "--config", world.config).code == 0
    writes, digest = disk.count, world.digest()
    assert writes > 30, writes
    for number in range(2 * writes):
        output = world.folder / f"out-{number}"
        disk.count, disk.fail_at, disk.after = 0, number // 2, bool(number % 2)
        failed = mining("run", "--config", world.config, "--output", output)
        assert failed.code == 4, f"write {number}: {failed}"
        assert "disk full" in failed.err
        assert "Traceback" not in failed.err
        disk.fail_at = -1
        assert mining("run", "--config", world.config, "--output", output).code == 0
        assert World(world.folder, world.config, output).digest() == digest, f"write {number}"


def test_a_full_disk_under_beam_is_one_line(
    world: World, mining: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert mining("run", "--config", world.config).code == 0
    disk = Disk(monkeypatch)
    disk.fail_at = 40
    output = world.folder / "other"
    failed = mining("run", "--config", world.config, "--output", output)
    assert failed.code == 4
    assert [line for line in failed.err.splitlines() if "disk full" in line]
    assert "Traceback" not in failed.err
    disk.fail_at = -1
    assert mining("run", "--config", world.config, "--output", output).code == 0
    assert World(world.folder, world.config, output).digest() == world.digest()


def killed_runs(world: World, mining: Cli, kills: int) -> None:
    assert mining("run", "--config", world.config).code == 0
    digest = world.digest()
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    start = time.monotonic()
    whole = world.folder / "whole"
    subprocess.run(
        command("run", "--config", world.config, "--output", whole),
        check=True, capture_output=True, env=environment,
    )  # fmt: skip
    seconds = time.monotonic() - start
    draw = random.Random(11)
    for number in range(kills):
        output = world.folder / f"killed-{number}"
        arguments = command("run", "--config", world.config, "--output", output)
        process = subprocess.Popen(
            arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
        )
        time.sleep(draw.uniform(0.2, 1.0) * seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
        done = mining("run", "--config", world.config, "--output", output)
        assert done.code == 0, done.err
        assert World(world.folder, world.config, output).digest() == digest
        strays = [p for p in Path(output, "pairs").rglob("*") if p.is_file()]
        assert all(p.suffix in {".parquet", ".json"} or p.name[0] == "." for p in strays)


def test_kill_9_at_two_moments(world: World, mining: Cli) -> None:
    killed_runs(world, mining, kills=2)


@pytest.mark.slow
def test_kill_9_at_ten_moments(world: World, mining: Cli) -> None:
    killed_runs(world, mining, kills=10)
