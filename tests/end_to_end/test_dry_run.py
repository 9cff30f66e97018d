"""Jobs for Dataflow as they would be sent, built with no network and no credentials."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from beam_jobs.execution.dry_run import Built, build_jobs
from beam_jobs.execution.pipeline import build_job
from beam_jobs.plan import Plan
from beam_jobs.progress import Progress
from beam_jobs.stages.embed import Embed
from mining.config import load_config
from tests.end_to_end.conftest import Outcome, World
from tests.end_to_end.test_bad_input import refused

pytest.importorskip("apache_beam.runners.dataflow.internal.apiclient", reason="needs the extra gcp")

Cli = Callable[..., Outcome]
ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "configs" / "dataflow.yaml"
IMAGE = "europe-docker.pkg.dev/acme-mining/mining/worker:0.1.0"
L4 = b"type:nvidia-l4;count:1;machine_type:g2-standard-8;install-nvidia-driver"
ACCELERATOR, RAM = "beam:resources:accelerator:v1", "beam:resources:min_ram_bytes:v1"


@contextmanager
def offline() -> Iterator[None]:
    """No connection, and nothing at home that could stand for credentials."""

    def refuse(self: socket.socket, address: object) -> None:
        raise AssertionError(f"a dry run must not connect, but asks for {address}")

    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as home:
        patch.setattr(socket.socket, "connect", refuse)
        patch.setenv("HOME", home)
        patch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
        patch.setenv("NO_GCE_CHECK", "false")
        yield


def built(config: Path, *beam_args: str) -> dict[str, Built]:
    """The jobs, by the class of their stages."""
    plan = Plan(load_config(str(config)), Progress(quiet=True))
    with offline():
        return {one.kind.__name__: one for one in build_jobs(plan, beam_args)}


@pytest.fixture(scope="module")
def example() -> dict[str, Built]:
    return built(EXAMPLE)


def work_hints(one: Built) -> dict[str, dict[str, bytes]]:
    """Resource hints by step, of the steps that have any."""
    components = one.job.proto_pipeline.components
    found = {}
    for step in components.transforms.values():
        environment = components.environments.get(step.environment_id)
        if environment is not None and environment.resource_hints:
            found[step.unique_name] = dict(environment.resource_hints)
    return found


def environment_of(one: Built) -> Any:
    """What Dataflow would be told of the workers."""
    from apache_beam.runners.dataflow.internal.apiclient import Environment

    return Environment([], one.job.options, "8", "gs://x/y", one.job.proto_pipeline).proto


def test_the_example_is_built_as_its_config_says(example: dict[str, Built]) -> None:
    jobs = example
    assert list(jobs) == ["Prepare", "PrepareSpeech", "Tokenize", "Embed", "Knn", "Pairs"]
    for one in jobs.values():
        images = {
            environment.payload
            for environment in one.job.proto_pipeline.components.environments.values()
        }
        assert len(images) == 1
        assert IMAGE.encode() in images.pop()
        assert one.units is None
    gpu = {ACCELERATOR: L4, RAM: str(24 * 2**30).encode()}
    assert work_hints(jobs["Embed"]) == {"embed/embed: work": gpu}
    assert work_hints(jobs["Tokenize"]) == {"tokenize/tokenize: work": gpu}
    ram = {RAM: str(48 * 2**30).encode()}
    assert work_hints(jobs["Knn"]) == {
        f"knn/{phase}: work": ram for phase in ("blocks", "tiles", "merge")
    }
    assert not work_hints(jobs["Prepare"])
    assert not work_hints(jobs["Pairs"])


def test_workers_are_as_the_config_says(example: dict[str, Built]) -> None:
    for name, one in example.items():
        environment = environment_of(one)
        (pool,) = environment.worker_pools
        assert environment.service_account_email == "mining@acme-mining.iam.gserviceaccount.com"
        assert pool.ip_configuration.name == "WORKER_IP_PRIVATE"
        assert pool.machine_type == "n2-highmem-8"
        assert pool.disk_size_gb == 100
        assert pool.autoscaling_settings.max_num_workers == 200
        assert pool.subnetwork == "regions/europe-west4/subnetworks/mining"
        # one process a worker, so one copy of a model, where there is a GPU; else one a core
        alone = "no_use_multiple_sdk_containers" in environment.experiments
        assert alone == (name in ("Tokenize", "Embed"))
        assert alone != ("use_multiple_sdk_containers" in environment.experiments)
        assert pool.num_threads_per_worker == (2 if alone else 0)


def test_options_after_the_dashes_win() -> None:
    config = load_config(str(EXAMPLE)).execution
    given = ["--worker_machine_type=n2-standard-4", "--max_num_workers=7"]
    with offline():
        one = Built(kind=Embed, units=None, job=build_job(Embed, (), config, given))
    (pool,) = environment_of(one).worker_pools
    assert (pool.machine_type, pool.autoscaling_settings.max_num_workers) == ("n2-standard-4", 7)


def on_dataflow(world: World) -> Path:
    """The world's config for Dataflow, output and corpus where they are."""
    example = yaml.safe_load(EXAMPLE.read_text())["execution"]
    here = yaml.safe_load(world.config.read_text())["execution"]
    path = world.folder / "dataflow.yaml"
    config = yaml.safe_load(world.config.read_text()) | {"execution": here | example}
    path.write_text(yaml.safe_dump(config))
    return path


def test_units_of_a_finished_run_are_in_the_graph_and_its_data_is_not(
    world: World, mining: Cli
) -> None:
    assert mining("run", "--config", world.config).code == 0
    before = sorted(world.output.rglob("*"))
    jobs = built(on_dataflow(world))
    assert {name: one.units for name, one in jobs.items()} == {
        "Prepare": 9, "Embed": 3, "Knn": 12 + 36 + 6, "Pairs": 3,
    }  # fmt: skip
    for one in jobs.values():
        graph = one.job.proto_pipeline.SerializeToString()
        assert len(graph) < 150_000
        assert b"sentence 3 about" not in graph
    assert sorted(world.output.rglob("*")) == before


def test_a_run_that_was_not_begun_is_built_as_far_as_it_is_known(world: World) -> None:
    jobs = built(on_dataflow(world))
    assert {name: one.units for name, one in jobs.items()} == {
        "Prepare": 9, "Embed": None, "Knn": None, "Pairs": None,
    }  # fmt: skip
    assert not world.output.exists()


def test_the_command_prints_a_line_a_stage_and_what_it_proves(mining: Cli) -> None:
    with offline():
        done = mining("run", "--config", EXAMPLE, "--dry_run")
    assert done.code == 0, done.err
    *lines, last = done.out.splitlines()
    assert [line.split(" (")[0] for line in lines] == [
        "prepare", "prepare", "tokenize", "embed", "knn", "pairs",
    ]  # fmt: skip
    assert "units not known yet" in lines[3]
    assert f"image {IMAGE}" in lines[3]
    assert "accelerator type:nvidia-l4;count:1" in lines[3]
    assert "memory 24 GiB" in lines[3]
    assert "nothing was sent" in last


def test_what_is_wrong_is_one_line_before_anything_is_sent(world: World, mining: Cli) -> None:
    refused(
        mining("run", "--config", world.config, "--dry_run"), 2, "runner must be DataflowRunner"
    )
    refused(
        mining("run", "--config", world.config, "--", "--dry_run=True"), 2, "write --dry_run before"
    )
    refused(mining("run", "--config", on_dataflow(world)), 2, "output", "on an object store")
    template = ("--", "--template_location=gs://acme/x")
    refused(mining("run", "--config", EXAMPLE, "--dry_run", *template), 2, "must be left out")
    dry = ("run", "--config", EXAMPLE, "--dry_run", "--")
    with offline():
        for option in ("--temp_location=gs://No_Such/x", "--staging_location=/tmp"):
            name = option.split("=")[0]
            refused(mining(*dry, option), 2, f"Beam option {name}", "must be gs://BUCKET/FOLDER")
        refused(mining(*dry, "--nonsense=1"), 2, "nonsense")
    refused(
        mining("run", "--config", EXAMPLE, "--set", "execution.dataflow.temp=gs://No/x"),
        2, "execution.dataflow.temp", "must be gs://BUCKET/FOLDER",
    )  # fmt: skip
