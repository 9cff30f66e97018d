"""Killed, stopped or failing on a cluster: the bytes stand, and the user is told what was wrong."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.end_to_end.conftest import Outcome, World
from tests.flink.cluster.cluster import Cluster
from tests.flink.conftest import ROOT, ended, mine, start
from tests.flink.worklog import NAMES, LogReader

pytestmark = pytest.mark.flink

PARTS = 24


def await_that(happened: Callable[[], object], seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < until, "not within time"
        time.sleep(0.05)


def refused(outcome: Outcome, code: int, *words: str) -> None:
    """One clear line, whatever stack of Python and Java traces lies under it."""
    assert outcome.code == code, outcome.err
    (line,) = [line for line in outcome.err.splitlines() if line.startswith("error: ")]
    for word in words:
        assert word in line, outcome.err
    assert "Traceback" not in outcome.err
    assert "\tat " not in outcome.err


def make_texts(folder: Path) -> World:
    """The sample's texts in parts, each of which keeps the encoder busy for a while."""
    sample = yaml.safe_load((ROOT / "configs/sample.yaml").read_text())
    sample.pop("evaluate")
    sample["corpora"].pop("talks")
    sample["tasks"] = {"tt": sample["tasks"]["tt"] | {"langs": ["deu-eng", "deu-fra"]}}
    sample |= {"output": str(folder / "out"), "partitions": PARTS}
    config = folder / "texts.yaml"
    config.write_text(yaml.safe_dump(sample))
    return World(folder=folder, config=config, output=folder / "out")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The texts, prepared here: every run on the cluster goes on from there."""
    local = make_texts(tmp_path_factory.mktemp("prepared"))
    done = mine("--config", local.config, verb="prepare")
    assert done.code == 0, done.err
    return local


@pytest.fixture(scope="module")
def wanted(prepared: World, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Digest of the texts' pairs, mined by the in-process runner."""
    local = going_on_from(prepared, tmp_path_factory.mktemp("local"))
    done = mine("--config", local.config)
    assert done.code == 0, done.err
    return local.digest()


@pytest.fixture
def texts(prepared: World, tmp_path: Path) -> World:
    return going_on_from(prepared, tmp_path)


def going_on_from(prepared: World, folder: Path) -> World:
    shutil.copytree(prepared.output, folder / "out")
    return make_texts(folder)


def embedded(log: LogReader) -> dict[str, int]:
    """Parts that each task manager's worker has embedded."""
    units = log.read().units
    return {name: units[name]["embed", "embed"] for name in NAMES}


@pytest.mark.parametrize("killed", ["task manager", "worker"])
def test_killed_in_mid_stage(cluster: Cluster, texts: World, wanted: str, killed: str) -> None:
    log = LogReader(cluster)
    run = start(("--config", texts.config, *cluster.through_endpoint()))
    try:
        await_that(lambda: all(count >= 2 for count in embedded(log).values()))
        (job,) = [j for j in cluster.rest("jobs/overview")["jobs"] if j["state"] == "RUNNING"]
        kill = cluster.kill_workers if killed == "worker" else cluster.kill_task_manager
        kill("tm2")
        before = embedded(log)
        found = ended(run)
    finally:
        run.kill()
        if killed == "task manager":
            cluster.start_task_manager("tm2")
            cluster.await_task_managers(2)
    assert found.code == 0, found.err
    assert texts.digest() == wanted
    # it was at work and there was work left; it was missed; more was done later (the last line that a
    # killed worker logs may be lost)
    assert before["tm2"] >= 2
    assert sum(before.values()) < PARTS
    assert sum(embedded(log).values()) > sum(before.values())
    history = cluster.rest(f"jobs/{job['jid']}/exceptions")["exceptionHistory"]["entries"]
    assert history, "the job never noticed"


def test_stopped_and_gone_on_with(cluster: Cluster, texts: World, wanted: str) -> None:
    """The job server does not stop a batch: the next run meets the units of the last one at work.

    The next run brings a job server of its own.
    """
    log = LogReader(cluster)
    run = start(("--config", texts.config, *cluster.through_endpoint()))
    await_that(lambda: any(embedded(log).values()))
    run.send_signal(signal.SIGINT)
    stopped = ended(run)
    assert stopped.code == 130, stopped.err
    assert "go on with: mining run" in stopped.err
    found = mine("--config", texts.config, *cluster.through_jar())
    assert found.code == 0, found.err
    assert texts.digest() == wanted


def test_what_a_worker_refuses_is_said(cluster: Cluster, world: World) -> None:
    (world.folder / "texts-9.tsv").write_text("id\ttext\nx\thallo\n")
    failed = mine("--config", world.config, *cluster.through_endpoint())
    refused(failed, 3, "texts-9.tsv", "must have one lang column")


def test_an_output_that_workers_do_not_see(cluster: Cluster, world: World) -> None:
    arguments = ("--config", world.config, "--output", "memory://here-only")
    failed = mine(*arguments, *cluster.through_endpoint())
    refused(failed, 2, "memory://here-only", "must be storage that every worker sees")


def test_a_worker_that_cannot_start(cluster: Cluster, world: World, tmp_path: Path) -> None:
    arguments = [word.replace("boot.py", "no_boot.py") for word in cluster.through_endpoint()]
    refused(mine("--config", world.config, *arguments), 2, "Cannot run program", "no_boot.py")


def test_an_option_that_nobody_knows(cluster: Cluster, world: World) -> None:
    # the first one is known to the job server only
    arguments = (*cluster.through_endpoint(), "--execution_retry_delay=1000", "--numbr=3")
    refused(mine("--config", world.config, *arguments), 2, "--numbr")
