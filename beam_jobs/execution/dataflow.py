"""What Dataflow is told of a run and of each of its stages: Beam's options and resource hints."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping

from mining.config import Config, Execution
from mining.config.dataflow import BUCKET_FOLDER, Dataflow, StageResources
from mining.config.execution import DATAFLOW
from mining.config.model import DocumentPairs
from mining.contract.errors import ConfigError
from mining.contract.uris import canonical_uri
from mining.filter import shipped_sets

# Phases of these stages that compute without a GPU: they only sort and join.
_WITHOUT_GPU = {"transcribe": ("join",), "knn": ("blocks", "deal", "merge")}
_FLEXRS = {"cost": "COST_OPTIMIZED", "speed": "SPEED_OPTIMIZED"}
_BUCKETS = ("temp_location", "staging_location")  # Beam's options that name one


def flags(execution: Execution, stage: str | None = None) -> list[str]:
    """Beam's options for a stage's job; none for another runner.

    Args:
        execution: of the run.
        stage: not given: what all stages have.
    """
    if execution.runner != DATAFLOW or execution.dataflow is None:
        return []
    block = execution.dataflow
    found = [
        f"--project={block.project}",
        f"--region={block.region}",
        f"--temp_location={block.temp}",
        f"--staging_location={block.staging or block.temp}",
        f"--sdk_container_image={block.image}",
        "--sdk_location=container",  # the image holds Beam: nothing is fetched and staged
        "--use_public_ips" if block.public_ips else "--no_use_public_ips",
        f"--autoscaling_algorithm={'THROUGHPUT_BASED' if block.autoscaling else 'NONE'}",
        *_optional(block),
    ]
    if stage is None:
        return found
    found.append(f"--job_name=mining-{stage}-{secrets.token_hex(4)}")
    wanted = _resources(execution, stage)
    if wanted.accelerator is not None:
        found += [
            # one process a worker: its threads share one copy of a model on the GPU
            "--experiments=no_use_multiple_sdk_containers",
            f"--number_of_worker_harness_threads={wanted.units_at_once}",
        ]
    return found


def _optional(block: Dataflow) -> list[str]:
    """Options that are left to Dataflow where the block does not name them."""
    named = {
        "worker_machine_type": block.machine_type,
        "disk_size_gb": block.disk_gb,
        "num_workers": block.workers,
        "max_num_workers": block.max_workers,
        "service_account_email": block.service_account,
        "subnetwork": block.subnetwork,
        "worker_zone": block.zone,
        "flexrs_goal": _FLEXRS.get(block.flexrs or ""),
    }
    return [f"--{name}={value}" for name, value in named.items() if value is not None]


def hints(execution: Execution, stage: str, phase: str) -> Mapping[str, str]:
    """Beam resource hints of a phase's work; none for another runner."""
    if execution.runner != DATAFLOW:
        return {}
    wanted, found = _resources(execution, stage), {}
    if wanted.min_ram_gib is not None:
        found["min_ram"] = f"{wanted.min_ram_gib:g}GiB"
    if wanted.accelerator is not None and phase not in _WITHOUT_GPU.get(stage, ()):
        # https://cloud.google.com/dataflow/docs/guides/right-fitting
        machine = f"machine_type:{wanted.machine_type};" if wanted.machine_type else ""
        found["accelerator"] = (
            f"type:{wanted.accelerator};count:{wanted.accelerator_count};{machine}install-nvidia-driver"
        )
    return found


def _resources(execution: Execution, stage: str) -> StageResources:
    found: StageResources = getattr(execution.stages, stage)
    return found


def check_buckets(options: Mapping[str, object]) -> None:
    """Look at the buckets as Beam's options name them in the end.

    Raises:
        ConfigError: for an address of a wrong form: the client would try to make a bucket and hang.
    """
    for name in _BUCKETS:
        value = options.get(name)
        if not isinstance(value, str) or not re.fullmatch(BUCKET_FOLDER[0], value):
            raise ConfigError(f"Beam option --{name}: must be {BUCKET_FOLDER[1]}, but is {value!r}")


def require_reachable(config: Config) -> None:
    """Workers on Dataflow see object stores, not the disk of the machine that starts the run.

    Raises:
        ConfigError: if the output or a corpus is on a local disk.
    """
    if config.execution.runner != DATAFLOW:
        return
    for key, uri in addresses(config):
        if "://" not in canonical_uri(uri) or uri.startswith("memory:"):
            raise ConfigError(
                f"{key}: must be on an object store (gs://, s3://) for {DATAFLOW}, since its workers do "
                f"not see this machine's disk, but is {uri}"
            )


def addresses(config: Config) -> list[tuple[str, str]]:
    """(key, address) of everything of a config that workers read or write, models left out."""
    found = [("output", config.output)]
    for name, corpus in config.corpora.items():
        found += [(f"corpora.{name}.uri", uri) for uri in corpus.uris]
        if corpus.audio_root is not None:
            found.append((f"corpora.{name}.audio_root", corpus.audio_root))
    for name, task in config.tasks.items():
        if isinstance(task.documents, DocumentPairs):
            found.append((f"tasks.{name}.documents.pairs", task.documents.pairs))
    files = [name for name in config.contamination.sets if name not in shipped_sets()]
    return [*found, *(("contamination.sets", uri) for uri in files)]
