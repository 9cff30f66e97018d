"""A cluster for all of these tests, and the command line as a user calls it."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Outcome, World, make_world
from tests.end_to_end.test_run import command
from tests.flink.cluster.artifacts import MissingToolError, require_java
from tests.flink.cluster.cluster import Cluster

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two task managers, up once."""
    try:
        require_java()
    except MissingToolError as error:
        if os.environ.get("MINING_REQUIRE_FLINK"):
            pytest.fail(str(error))
        pytest.skip(str(error))
    found = Cluster(tmp_path_factory.mktemp("flink") / "cluster")
    try:
        found.start()
        yield found
    finally:
        found.stop()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def start(arguments: Sequence[object], verb: str = "run") -> subprocess.Popen[str]:
    """``mining run`` in a process of its own, from the root of the repository."""
    return subprocess.Popen(
        command(verb, *arguments), cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def ended(process: subprocess.Popen[str], seconds: float = 300) -> Outcome:
    """Wait for its end."""
    try:
        out, err = process.communicate(timeout=seconds)
    finally:
        process.kill()
    return Outcome(process.returncode, out, err)


def mine(*arguments: object, verb: str = "run") -> Outcome:
    """``mining run`` from beginning to end."""
    return ended(start(arguments, verb))


def digests(output: Path) -> dict[str, str]:
    """SHA-256 of every file of an output but those that name it: config and reports at its top."""
    return {
        str(path.relative_to(output)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(output.rglob("*"))
        if path.is_file() and path.parent != output
    }
