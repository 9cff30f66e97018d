"""The settings of a run on Dataflow: every wrong value is named with its file, line and key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from mining.config import load_config
from mining.contract.errors import ConfigError

ROOT = Path(__file__).parents[4]
BLOCK: dict[str, Any] = {
    "project": "acme-mining",
    "region": "europe-west4",
    "temp": "gs://acme/tmp",
    "image": "europe-docker.pkg.dev/acme/mining/worker:1",
}


def write(folder: Path, **execution: object) -> str:
    text = "schema: 1\noutput: gs://acme/out\ncorpora: {t: {uri: 'gs://acme/t.tsv', lang: deu}}\n"
    text += "tasks: {tt: {source: t, target: t}}\nexecution:\n"
    for key, value in execution.items():
        line = yaml.safe_dump(value, default_flow_style=True, width=1000).splitlines()[0]
        text += f"  {key}: {line}\n"
    path = folder / "run.yaml"
    path.write_text(text)
    return str(path)


def fault(folder: Path, **execution: object) -> str:
    with pytest.raises(ConfigError) as error:
        load_config(write(folder, **execution))
    return str(error.value)


def test_the_example_is_right() -> None:
    config = load_config(str(ROOT / "configs" / "dataflow.yaml"))
    assert config.execution.dataflow is not None
    assert config.execution.stages.with_accelerator == ("tokenize", "embed")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("project", "12345678"),
        ("project", "Acme Mining"),
        ("region", "europe"),
        ("region", "europe-west4-a"),
        ("temp", "s3://acme/tmp"),
        ("temp", "acme/tmp"),
        ("temp", "gs://Acme/tmp"),
        ("temp", "gs://acme"),
        ("temp", "gs://a_/tmp"),
        ("temp", "gs://ac me/tmp"),
        ("temp", "gs://acme..x/tmp"),
        ("temp", "gs://goog-acme/tmp"),
        ("temp", "gs://10.0.0.1/tmp"),
        ("temp", f"gs://{'a' * 223}/tmp"),
        ("temp", "gs:///tmp"),
        ("staging", "gs://acme/tmp/*"),
        ("image", "worker"),
        ("image", "europe-docker.pkg.dev/acme/mining/worker"),
        ("image", "https://europe-docker.pkg.dev/acme/worker:1"),
        ("machine_type", "big"),
        ("disk_gb", 1),
        ("max_workers", 0),
        ("service_account", "mining"),
        ("subnetwork", "mining"),
        ("zone", "europe-west4"),
        ("flexrs", "spot"),
        ("public_ips", "no"),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, key: str, value: object) -> None:
    message = fault(tmp_path, runner="DataflowRunner", dataflow=BLOCK | {key: value})
    assert "run.yaml:7: execution.dataflow." + key in message
    assert "must be" in message
    assert str(value)[:40] in message


@pytest.mark.parametrize("key", sorted(BLOCK))
def test_what_is_missing_is_named(tmp_path: Path, key: str) -> None:
    block = {name: value for name, value in BLOCK.items() if name != key}
    message = fault(tmp_path, runner="DataflowRunner", dataflow=block)
    assert f"run.yaml:7: key 'execution.dataflow.{key}' is missing; it must be" in message


def test_the_runner_needs_its_block(tmp_path: Path) -> None:
    path = write(tmp_path, runner="DataflowRunner")
    with pytest.raises(
        ConfigError, match=r"run.yaml:5: execution: runner DataflowRunner needs data"
    ):
        load_config(path)
    with pytest.raises(ConfigError, match="DataflowRunner needs dataflow"):
        load_config(write(tmp_path, shards=2), ["execution.runner=DataflowRunner"])


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ({"workers": 5, "max_workers": 4}, "workers must not exceed max_workers"),
        ({"autoscaling": False}, "autoscaling: false needs workers"),
        ({"zone": "europe-west1-b"}, "zone must be one of europe-west4"),
    ],
)
def test_values_that_do_not_go_together(
    tmp_path: Path, block: dict[str, object], words: str
) -> None:
    message = fault(tmp_path, dataflow=BLOCK | block)
    assert message.startswith(f"{tmp_path}/run.yaml:6: execution.dataflow: ")
    assert words in message


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ({"embedd": {}}, "unknown key 'execution.stages.embedd'; did you mean 'embed'?"),
        ({"embed": {"accelerator": "l4"}}, "execution.stages.embed.accelerator must be a GPU"),
        ({"embed": {"min_ram_gib": 0}}, "execution.stages.embed.min_ram_gib must be between"),
        (
            {"embed": {"accelerator": "nvidia-l4", "accelerator_count": 2}},
            "accelerator_count must be",
        ),
        ({"embed": {"machine_type": "g2-standard-4"}}, "machine_type needs an accelerator"),
        ({"embed": {"units_at_once": 4}}, "units_at_once needs an accelerator"),
        ({"pairs": {"accelerator": "nvidia-l4"}}, "pairs.accelerator must be left out"),
    ],
)
def test_resources_of_stages(tmp_path: Path, stages: dict[str, object], words: str) -> None:
    message = fault(tmp_path, stages=stages)
    assert f"{tmp_path}/run.yaml:6: " in message
    assert words in message


def test_resources_that_cannot_be_had(tmp_path: Path) -> None:
    embed = {"embed": {"accelerator": "nvidia-l4"}}
    assert "device must be auto" in fault(tmp_path, device="cpu", stages=embed)
    cheap = BLOCK | {"flexrs": "cost"}
    assert "flexrs must be left out" in fault(tmp_path, dataflow=cheap, stages=embed)
