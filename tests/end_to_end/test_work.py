"""Workers without Beam: together they make what one run makes, and nothing twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Outcome, World, pairs_digest
from tests.end_to_end.speech_world import SpeechWorld
from tests.end_to_end.test_run import command

Cli = Callable[..., Outcome]


def start(world: World, output: Path, *arguments: object) -> subprocess.Popen[str]:
    """A worker in a process of its own; of one thread, since others run beside it."""
    options = ("--config", world.config, "--output", output, "--set", "execution.threads=1")
    return subprocess.Popen(
        command("work", "all", *options, *arguments),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )  # fmt: skip


@contextmanager
def workers(
    world: World, output: Path, shards: list[str], wait: float = 5
) -> Iterator[list[subprocess.Popen[str]]]:
    """Workers that are killed at the end if they still run."""
    found = [start(world, output, "--shard", shard, "--wait", wait) for shard in shards]
    try:
        yield found
    finally:
        for process in found:
            process.kill()
            process.communicate()


def ended(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out


def units_done(out: str) -> int:
    """What a worker says at its end."""
    return int(out.split(": ")[1].split(" units done")[0])


def receipts(output: Path) -> dict[Path, int]:
    """Receipts of all stages, and when they were written."""
    homes = [p for p in (output / "_state").glob("*/*/*") if p.is_dir()]
    found = [path for home in homes for path in home.glob("*/[!.]*.json")]
    return {path: path.stat().st_mtime_ns for path in found}


def manifests(output: Path) -> dict[str, bytes]:
    return {str(p.relative_to(output)): p.read_bytes() for p in output.rglob("_manifest.json")}


@pytest.fixture
def spoken(speech: SpeechWorld) -> SpeechWorld:
    """Two recordings, and texts: all six stages but tokenize."""
    speech.speak_only([("eng/harbour.flac", "eng"), ("deu/harbour.opus", "deu")])
    speech.change(
        tasks={"st": speech.settings["tasks"]["st"]},
        execution={"threads": 1},  # also of the run it is compared with
    )
    speech.change_corpus("talks", speech={"max_joined": 1})
    return speech


@pytest.mark.usefixtures("no_beam")
def test_three_workers_of_which_one_is_killed_make_what_a_run_makes(
    spoken: SpeechWorld, mining: Cli
) -> None:
    assert mining("run", "--config", spoken.config).code == 0
    output = spoken.folder / "shared"
    with workers(spoken, output, ["0/3", "1/3", "2/3"]) as (first, killed, last):
        while not any("embed" in str(path) for path in receipts(output)):
            time.sleep(0.02)
            assert killed.poll() is None
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        before = receipts(output)
        again = start(spoken, output, "--shard", "1/3")
        done = [units_done(ended(process)) for process in (first, again, last)]
    assert pairs_digest(output) == spoken.digest()
    assert manifests(output) == manifests(spoken.output)
    after = receipts(output)
    assert {path: after[path] for path in before} == before
    # whatever has a receipt was done by one of them, or by the killed one before it was
    assert len(after) - len(before) <= sum(done) <= len(after)
    # nothing is left to do: no worker holds anything that a run would have to make
    finished = mining("run", "--config", spoken.config, "--output", output)
    assert "nothing to do" in finished.err


def test_no_unit_is_done_by_two_workers(world: World, mining: Cli) -> None:
    assert mining("run", "--config", world.config).code == 0
    output = world.folder / "shared"
    with workers(world, output, ["0/2", "1/2"]) as found:
        outs = [ended(process) for process in found]
    assert sum(map(units_done, outs)) == len(receipts(output))
    assert all(map(units_done, outs))
    assert pairs_digest(output) == world.digest()
    idle = mining("work", "all", "--config", world.config, "--output", output, "--shard", "1/2")
    assert (idle.code, units_done(idle.out)) == (0, 0)


def test_the_same_shard_twice_and_a_run_beside_them_do_no_harm(world: World, mining: Cli) -> None:
    assert mining("run", "--config", world.config).code == 0
    output = world.folder / "shared"
    with workers(world, output, ["0/1", "0/1"]) as found:
        beside = mining("run", "--config", world.config, "--output", output)
        for process in found:
            ended(process)
    assert beside.code == 0, beside.err
    assert pairs_digest(output) == world.digest()
    assert manifests(output) == manifests(world.output)


def test_other_settings_and_back_are_worked_anew(world: World, mining: Cli) -> None:
    """Pairs of all settings are written to one folder: receipts of an earlier turn do not count."""
    assert mining("run", "--config", world.config).code == 0
    digest = world.digest()
    stricter = ("--set", "mining.threshold=1.2")
    assert "pairs 3" in mining("work", "all", "--config", world.config, *stricter).out
    assert world.digest() != digest
    assert "pairs 3" in mining("work", "all", "--config", world.config).out
    assert world.digest() == digest


def test_it_waits_longer_than_a_unit_takes_unless_told_otherwise(mining: Cli) -> None:
    said = " ".join(mining("work", "--help").out.split())
    assert "must be longer than the longest unit takes. [default: 1440.0; x>=0.0]" in said


def test_one_that_waits_says_for_whom_and_gives_up(world: World, mining: Cli) -> None:
    alone = mining("work", "all", "--config", world.config, "--shard", "1/3", "--wait", 0.01)
    assert alone.code == 3
    assert "waits for prepare/read: 2 units of shards 0/3, 2/3" in alone.err
    assert "error: prepare/read: 2 units of shards 0/3, 2/3: must be done by other" in alone.err
    early = mining("work", "embed", "--config", world.config, "--wait", 0.01)
    assert early.code == 3
    assert "waits for prepare of texts" in early.err
    for shard in ("3/3", "1", "a/b", "0/0"):
        wrong = mining("work", "all", "--config", world.config, "--shard", shard)
        assert wrong.code == 2
        assert "--shard: must read I/N with I from 0 to N-1" in wrong.err


def test_stage_by_stage_with_the_shards_one_after_the_other(world: World, mining: Cli) -> None:
    """What a queue with few machines does: each shard alone, until nothing is missing."""
    assert mining("run", "--config", world.config).code == 0
    output = world.folder / "shared"
    for _ in range(10):
        codes = [
            mining(
                "work", "all", "--config", world.config, "--output", output,
                "--shard", f"{shard}/2", "--wait", 0,
            ).code
            for shard in (0, 1)
        ]  # fmt: skip
        if codes == [0, 0]:
            break
    assert codes == [0, 0]
    assert pairs_digest(output) == world.digest()


def test_a_worker_imports_no_beam(world: World) -> None:
    code = (
        "import sys; from beam_jobs.cli import cli; "
        f"cli.main(['work', 'prepare', '--config', {str(world.config)!r}], standalone_mode=False); "
        "sys.exit('apache_beam' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False,
                          env={**os.environ, "PYTHONPATH": os.getcwd()})  # fmt: skip
    assert done.returncode == 0, done.stderr
