"""What a run on Google Cloud Dataflow is told, and what a stage asks of its workers.

Only forms are checked here: an address of a wrong form makes the Dataflow client wait for a bucket that
it tries to make.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Literal

from mining.config.binding import setting

# https://cloud.google.com/storage/docs/buckets#naming; Beam wants the slash after the bucket
BUCKET_FOLDER = (
    r"gs://(?!goog|[0-9.]+/)(?=[^/]{3,222}/)[a-z0-9]([a-z0-9_-]|\.(?!\.)){0,220}[a-z0-9]/[^\s?*\[\]#]*",
    "gs://BUCKET/FOLDER, the bucket of at least 3 lower-case letters, digits, -, _ and .",
)
_PROJECT = (
    r"([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]",
    "a project id: 6 to 30 lower-case letters, digits and -, beginning with a letter",
)
_REGION = (r"[a-z]+-[a-z]+[0-9]+", "a region such as europe-west4")
_ZONE = (r"[a-z]+-[a-z]+[0-9]+-[a-z]", "a zone such as europe-west4-a")
_IMAGE = (
    r"[a-z0-9][a-z0-9.-]*(:[0-9]+)?(/[a-z0-9][a-z0-9._-]*)+(:[A-Za-z0-9_][\w.-]*|@sha256:[0-9a-f]{64})",
    "an image with its tag or digest, such as europe-docker.pkg.dev/acme/mining/worker:1",
)
_MACHINE = (r"[a-z][a-z0-9]*(-[a-z0-9]+)+", "a machine type such as n2-standard-8")
_ACCOUNT = (r"[^@\s]+@[a-z0-9.-]+\.[a-z]+", "the address of a service account")
_SUBNETWORK = (
    r"(https://\S+/)?regions/[a-z0-9-]+/subnetworks/[a-z0-9-]+",
    "regions/REGION/subnetworks/NAME, or its full address",
)
_ACCELERATOR = (r"nvidia-[a-z0-9-]+", "a GPU as Compute Engine calls it, such as nvidia-l4")


@dataclass(frozen=True, kw_only=True)
class Dataflow:
    """A run on Dataflow: each stage is a job of its own. Beam's options after ``--`` win over these.

    Attributes:
        project: id of the project that pays.
        region: where the jobs and their workers are.
        temp: ``gs://`` folder for the jobs' temporary files.
        image: container image of the workers (``configs/dataflow/Dockerfile``). It must hold the same
            version of this project as the machine that starts the run.
        staging: ``gs://`` folder for what the launcher hands to the workers; not given: ``temp``.
        machine_type: of the workers; not given: Dataflow chooses.
        disk_gb: of each worker, in GB (10^9 bytes); not given: Dataflow chooses.
        workers: to begin with; not given: Dataflow chooses.
        max_workers: most workers of a job; not given: Dataflow's own limit.
        autoscaling: whether the number of workers follows the work that is left. ``false`` keeps
            ``workers``.
        service_account: that the workers run as; not given: Compute Engine's default.
        public_ips: whether workers have addresses of their own on the internet. They need none: give
            the subnetwork Private Google Access.
        subnetwork: not given: the project's default network.
        zone: of the workers; not given: Dataflow chooses one of the region. GPUs are not in every one.
        flexrs: cheaper workers that may be taken away and start within six hours: ``cost`` or
            ``speed``. What Dataflow offers of Spot machines; not together with ``execution.stages``.
    """

    project: str = setting(form=_PROJECT)
    region: str = setting(form=_REGION)
    temp: str = setting(form=BUCKET_FOLDER)
    image: str = setting(form=_IMAGE)
    staging: str | None = setting(default=None, form=BUCKET_FOLDER)
    machine_type: str | None = setting(default=None, form=_MACHINE)
    disk_gb: int | None = setting(default=None, low=25, high=65536)
    workers: int | None = setting(default=None, low=1, high=4000)
    max_workers: int | None = setting(default=None, low=1, high=4000)
    autoscaling: bool = True
    service_account: str | None = setting(default=None, form=_ACCOUNT)
    public_ips: bool = False
    subnetwork: str | None = setting(default=None, form=_SUBNETWORK)
    zone: str | None = setting(default=None, form=_ZONE)
    flexrs: Literal["cost", "speed"] | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers > (self.max_workers or self.workers):
            raise ValueError(f"workers must not exceed max_workers, but is {self.workers}")
        if not self.autoscaling and self.workers is None:
            raise ValueError("autoscaling: false needs workers: how many there are to be")
        if self.zone is not None and not self.zone.startswith(f"{self.region}-"):
            raise ValueError(f"zone must be one of {self.region}, but is {self.zone!r}")


@dataclass(frozen=True, kw_only=True)
class StageResources:
    """What one stage needs of a worker, as Beam resource hints. Only Dataflow heeds them.

    Attributes:
        accelerator: GPU, as Compute Engine calls it. Only phases that compute with a model or multiply
            tiles get it. All threads of a worker then share one process and one copy of each model.
        accelerator_count: GPUs of a worker. A model is held on one of them, so this is 1: for more
            GPUs, more workers.
        machine_type: of the workers with the accelerator; not given: Dataflow chooses.
        min_ram_gib: least memory of a worker, in GiB (2^30 bytes).
        units_at_once: units of work that a worker with an accelerator does at the same time: one
            reads or writes while another computes. GPU memory grows with it.
    """

    accelerator: str | None = setting(default=None, form=_ACCELERATOR)
    accelerator_count: int = setting(default=1, low=1, high=1)
    machine_type: str | None = setting(default=None, form=_MACHINE)
    min_ram_gib: float | None = setting(default=None, low=1.0, high=12288.0)
    units_at_once: int = setting(default=2, low=1, high=64)

    def __post_init__(self) -> None:
        if self.accelerator is None and self.machine_type is not None:
            raise ValueError("machine_type needs an accelerator; else set dataflow.machine_type")
        if self.accelerator is None and self.units_at_once != 2:
            raise ValueError("units_at_once needs an accelerator")


@dataclass(frozen=True, kw_only=True)
class Stages:
    """Resources by stage."""

    prepare: StageResources = field(default_factory=StageResources)
    transcribe: StageResources = field(default_factory=StageResources)
    tokenize: StageResources = field(default_factory=StageResources)
    embed: StageResources = field(default_factory=StageResources)
    knn: StageResources = field(default_factory=StageResources)
    pairs: StageResources = field(default_factory=StageResources)

    def __post_init__(self) -> None:
        for name in ("prepare", "pairs"):
            if getattr(self, name).accelerator is not None:
                raise ValueError(f"{name}.accelerator must be left out: no part of it uses a GPU")

    @property
    def with_accelerator(self) -> tuple[str, ...]:
        """Names of the stages that ask for a GPU."""
        return tuple(f.name for f in fields(self) if getattr(self, f.name).accelerator is not None)
