"""Runners that start workers elsewhere: everything that travels is pickled, and the bytes stand.

Two worker processes of the in-process runner are tested beside the stages, Flink in tests/flink.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import apache_beam
import pytest

from tests.end_to_end.conftest import Outcome, World
from tests.end_to_end.test_run import command

Cli = Callable[..., Outcome]


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[str]:
    """Address of a pool of workers, as one runs beside a task manager."""
    with socket.create_server(("localhost", 0)) as free:
        port = free.getsockname()[1]
    module = "apache_beam.runners.worker.worker_pool_main"
    with (tmp_path / "pool.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module, f"--service_port={port}"],
            stdout=log, stderr=log, env=surroundings(), start_new_session=True,
        )  # fmt: skip
    try:
        until = time.monotonic() + 60
        while not answers(port):
            assert process.poll() is None, (tmp_path / "pool.log").read_text()
            assert time.monotonic() < until
            time.sleep(0.1)
        yield f"localhost:{port}"
    finally:
        process.terminate()
        process.wait(timeout=30)


def surroundings() -> dict[str, str]:
    """The pool starts whatever ``python`` is first on PATH."""
    folders = (str(Path(sys.executable).parent), os.environ["PATH"])
    return {**os.environ, "PATH": os.pathsep.join(folders), "PYTHONPATH": os.getcwd()}


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("localhost", port)) == 0


def same_bytes(world: World, mining: Cli, runner: str, *options: str) -> None:
    assert mining("run", "--config", world.config).code == 0
    other = world.folder / "other"
    done = subprocess.run(
        command("run", "--config", world.config, "--output", other, "--runner", runner, "--", *options),
        capture_output=True, text=True, timeout=240, check=False, env=surroundings(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert World(world.folder, world.config, other).digest() == world.digest()


def test_a_pool_of_workers(world: World, mining: Cli, pool: str) -> None:
    same_bytes(
        world, mining, "PortableRunner",
        "--job_endpoint=embed", "--environment_type=EXTERNAL", f"--environment_config={pool}",
    )  # fmt: skip


def test_prism(world: World, mining: Cli) -> None:
    prism = os.environ.get("MINING_PRISM") or shutil.which("prism")
    if prism is None:
        pytest.skip(
            "no prism on PATH and no $MINING_PRISM: with Go, go install "
            f"github.com/apache/beam/sdks/v2/go/cmd/prism@v{apache_beam.__version__}"
        )
    same_bytes(world, mining, "PrismRunner", f"--prism_location={prism}")
