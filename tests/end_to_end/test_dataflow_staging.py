"""What the Dataflow client puts into the staging bucket, up to the call that would start the job."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import GoogleCloudOptions

from beam_jobs.execution.dataflow import flags
from beam_jobs.execution.pipeline import beam, build
from beam_jobs.execution.runners import build_options
from beam_jobs.stages.embed import Embed
from mining.config import load_config
from tests.end_to_end.object_stores import BUCKET, Store, gs_store
from tests.end_to_end.test_dataflow_image import start

pytest.importorskip("apache_beam.runners.dataflow.internal.apiclient", reason="needs the extra gcp")
pytest.importorskip("gcp_storage_emulator", reason="needs gcp-storage-emulator")

EXAMPLE = Path(__file__).parents[2] / "configs" / "dataflow.yaml"
IMAGE = "europe-docker.pkg.dev/acme-mining/mining/worker:0.1.0"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Store]:
    """A Cloud Storage server that Google's clients take for the real one; nothing else is reached."""
    connect = socket.socket.connect

    def loopback_only(self: socket.socket, address: tuple[str, int]) -> None:
        assert address[0] in ("127.0.0.1", "localhost"), address
        connect(self, address)

    with gs_store() as store:
        monkeypatch.setattr(socket.socket, "connect", loopback_only)
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", store.endpoint)
        # a warning about the bucket's price, for which credentials are looked for again and again
        warn = f"{GoogleCloudOptions.__module__}.GoogleCloudOptions._warn_if_soft_delete_policy_enabled"
        monkeypatch.setattr(warn, lambda *_: None)
        monkeypatch.setenv("HOME", str(tmp_path))
        yield store


def test_a_job_is_staged_whole(bucket: Store) -> None:
    """As a template, so that the client stops after staging."""
    places = {"temp": "tmp", "staging": "staging"}
    change = [f"execution.dataflow.{key}=gs://{BUCKET}/{name}" for key, name in places.items()]
    execution = load_config(str(EXAMPLE), change).execution
    template = f"--template_location=gs://{BUCKET}/templates/embed.json"
    own = [*flags(execution, "embed"), template, "--no_auth"]
    runner, options = build_options(execution.runner, [], own)
    pipeline = beam.Pipeline(runner=runner, options=options)
    build(pipeline, Embed, (), execution)
    pipeline.run()

    found = bucket.objects()
    job = json.loads(found.pop("templates/embed.json"))
    environment = job["environment"]
    (pool,) = environment["workerPools"]
    assert job["type"] == "JOB_TYPE_BATCH"
    assert "no_use_multiple_sdk_containers" in environment["experiments"]
    assert pool["ipConfiguration"] == "WORKER_IP_PRIVATE"
    assert {one["containerImage"] for one in pool["sdkHarnessContainerImages"]} == {IMAGE}
    # the graph, and a list of the launcher's packages; no code and no data
    assert {name.rpartition("/")[2] for name in found} == {
        "pipeline.pb", "submission_environment_dependencies.txt",
    }  # fmt: skip
    assert all(name.startswith("staging/mining-embed-") for name in found)
    graph = next(data for name, data in found.items() if name.endswith("pipeline.pb"))
    assert b"type:nvidia-l4;count:1" in graph
    assert len(graph) < 100_000


def test_weights_are_fetched_from_the_bucket_once(bucket: Store, tmp_path: Path) -> None:
    """By the start of a worker's container."""
    bucket.put("weights/own/config.json", b"{}")
    bucket.put("weights/own/model.safetensors", bytes(300_000))
    for _ in range(2):
        done = start(tmp_path, f"gs://{BUCKET}/weights", STORAGE_EMULATOR_HOST=bucket.endpoint)
        assert (done.returncode, done.stdout) == (0, "--id=1 two words\n"), done.stderr
        own = tmp_path / "weights" / "own"
        assert {path.name: path.stat().st_size for path in own.iterdir()} == {
            "config.json": 2, "model.safetensors": 300_000,
        }  # fmt: skip
        bucket.put("weights/own/later", b"")


def test_weights_that_are_not_there_stop_the_start(bucket: Store, tmp_path: Path) -> None:
    done = start(tmp_path, f"gs://{BUCKET}/none", STORAGE_EMULATOR_HOST=bucket.endpoint)
    assert done.returncode != 0
    assert done.stdout == ""
    assert not (tmp_path / "weights").exists()
