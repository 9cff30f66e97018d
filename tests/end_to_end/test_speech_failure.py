"""A spoken run that is killed at any moment, or fails at any write, goes on to the same bytes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Outcome, pairs_digest
from tests.end_to_end.speech_world import SpeechWorld
from tests.end_to_end.test_failure import Disk
from tests.end_to_end.test_run import command

Cli = Callable[..., Outcome]


@pytest.fixture
def small(speech: SpeechWorld) -> SpeechWorld:
    """One recording a language, and speech against speech: what text does is tried elsewhere."""
    speech.speak_only(
        [("eng/kitchen.wav", "eng"), ("deu/none.wav", "deu"), ("deu/harbour.opus", "deu")]
    )
    speech.change(partitions=1, tasks={"ss": speech.settings["tasks"]["ss"]})
    speech.change_corpus("talks", speech={"max_joined": 1})
    return speech


@pytest.mark.usefixtures("no_beam")
def test_a_full_disk_at_every_write_loses_nothing(
    small: SpeechWorld, mining: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    assert mining("run", "--config", small.config).code == 0
    writes, digest = disk.count, small.digest()
    assert writes > 30
    for number in range(writes):  # before and after in turn: after one is before the next
        output = small.folder / f"out-{number}"
        disk.count, disk.fail_at, disk.after = 0, number, bool(number % 2)
        failed = mining("run", "--config", small.config, "--output", output)
        assert failed.code == 4, f"write {number}: {failed}"
        assert "disk full" in failed.err
        assert "Traceback" not in failed.err
        disk.fail_at = -1
        assert mining("run", "--config", small.config, "--output", output).code == 0
        assert pairs_digest(output) == digest, f"write {number}"


def files_in(folder: Path) -> int:
    return sum(path.is_file() for path in folder.rglob("*"))


def killed_runs(world: SpeechWorld, mining: Cli, kills: int) -> None:
    """Kill a run when it has written so and so many files, and go on with it."""
    assert mining("run", "--config", world.config).code == 0
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    whole = files_in(world.output)
    draw = random.Random(12)
    for number in range(kills):
        output = world.folder / f"killed-{number}"
        process = subprocess.Popen(
            command("run", "--config", world.config, "--output", output),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment,
        )  # fmt: skip
        wanted = draw.randrange(1, whole)
        while files_in(output) < wanted and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (output / "pairs" / "ss" / "_manifest.json").is_file()
        done = mining("run", "--config", world.config, "--output", output)
        assert done.code == 0, done.err
        assert pairs_digest(output) == world.digest()
        strays = [p for p in (output / "pairs").rglob("*") if p.is_file()]
        assert all(p.suffix in {".parquet", ".json"} or p.name[0] == "." for p in strays)


@pytest.mark.usefixtures("no_beam")  # but not in the process that is killed
def test_kill_9_at_two_moments(small: SpeechWorld, mining: Cli) -> None:
    killed_runs(small, mining, kills=2)


@pytest.mark.slow
def test_kill_9_at_ten_moments(speech: SpeechWorld, mining: Cli) -> None:
    killed_runs(speech, mining, kills=10)


@pytest.mark.usefixtures("no_beam")
def test_what_changes_between_two_stages_is_said(speech: SpeechWorld, mining: Cli) -> None:
    """The recordings are opened again to be transcribed: they must be those that were heard."""
    assert mining("prepare", "--config", speech.config).code == 0
    changed = speech.audio / "eng" / "kitchen.wav"
    times = changed.stat()
    data = bytearray(changed.read_bytes())
    data[-1000:] = bytes(1000)
    changed.write_bytes(data)
    os.utime(changed, ns=(times.st_atime_ns, times.st_mtime_ns))  # the listing cannot see it
    failed = mining("transcribe", "--config", speech.config)
    assert failed.code == 3
    assert "kitchen.wav: must be the file that was prepared" in failed.err
    assert "Traceback" not in failed.err
    os.utime(changed)  # now it can
    done = mining("run", "--config", speech.config)
    assert done.code == 0, done.err
