"""The whole sample, speech included, on two task managers: every byte is that of the local run."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from tests.flink.cluster.cluster import Cluster
from tests.flink.conftest import ROOT, digests, mine
from tests.flink.worklog import NAMES, LogReader

pytestmark = pytest.mark.flink


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample as the in-process runner mines it; $MINING_SAMPLE_RUN names one that is there."""
    if there := os.environ.get("MINING_SAMPLE_RUN"):
        return ROOT / there
    output = tmp_path_factory.mktemp("local") / "out"
    done = mine("--config", "configs/sample.yaml", "--output", output)
    assert done.code == 0, done.err
    return output


def test_the_sample_on_two_task_managers(cluster: Cluster, local: Path, tmp_path: Path) -> None:
    output, log = tmp_path / "out", LogReader(cluster)
    jobs_before = {job["jid"] for job in cluster.rest("jobs/overview")["jobs"]}
    done = mine(
        "--config", "configs/sample.yaml", "--output", output, *cluster.through_endpoint()
    )  # fmt: skip
    assert done.code == 0, done.err

    expected, found = digests(local), digests(output)
    assert [name for name in expected if name.startswith("pairs/") and name.endswith(".parquet")]
    assert {name for name in expected if expected[name] != found.get(name)} == set()
    assert found.keys() == expected.keys()

    # both worked, by what the workers say and by what Flink says
    work = log.read()
    for stage in ("tokenize", "embed", "knn", "pairs"):
        for name in NAMES:
            assert sum(n for (s, _), n in work.units[name].items() if s == stage), (stage, name)
    jobs = [job for job in cluster.rest("jobs/overview")["jobs"] if job["jid"] not in jobs_before]
    assert {job["state"] for job in jobs} == {"FINISHED"}
    records = records_read(cluster, [job["jid"] for job in jobs])
    assert all(records[name] > 0 for name in NAMES), records

    # what a process has loaded it keeps, for all of its threads and units
    for name in NAMES:
        assert set(work.loads[name].values()) == {1}, work.loads
        assert {"embed", "tokenize"} <= {module for module, _ in work.loads[name]}
    print(f"\nunits {work.units}\nloads {work.loads}\nrecords {dict(records)}")


def records_read(cluster: Cluster, jobs: list[str]) -> Counter[str]:
    """Records that each task manager read."""
    total: Counter[str] = Counter()
    for job in jobs:
        for vertex in cluster.rest(f"jobs/{job}")["vertices"]:
            workers = cluster.rest(f"jobs/{job}/vertices/{vertex['id']}/taskmanagers")
            for worker in workers["taskmanagers"]:
                total[worker["taskmanager-id"]] += worker["metrics"]["read-records"]
    return total
