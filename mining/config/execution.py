"""How and where a run is executed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mining.config.binding import setting
from mining.config.dataflow import Dataflow, Stages

DATAFLOW = "DataflowRunner"
DIRECT = "DirectRunner"  # Beam's in-process runner


@dataclass(frozen=True, kw_only=True)
class Rates:
    """What a run is paid with, in any one currency, for ``mining plan``. Not given: left out.

    Attributes:
        cpu_hour: of one processor for an hour, as clouds bill a vCPU.
        gpu_hour: of one GPU for an hour.
        disk_gib_month: of a GiB (2^30 bytes) kept for a month.
    """

    cpu_hour: float | None = setting(default=None, low=0.0)
    gpu_hour: float | None = setting(default=None, low=0.0)
    disk_gib_month: float | None = setting(default=None, low=0.0)


@dataclass(frozen=True, kw_only=True)
class Execution:
    """How the work is done. Nothing here changes a result, so nothing here is hashed.

    One exception: with an approximate ``mining.index``, ``tile_rows`` decides what is found, and is.

    Attributes:
        runner: Beam runner. DirectRunner is Beam's in-process runner.
        shards: work is dealt into this many Beam elements a phase; null: one per unit of work.
        threads: threads of torch and FAISS in a process; null: one per core. Vectors of large models
            may differ in the last bits between thread counts.
        tile_rows: rows a side of a k-NN tile; memory grows with it.
        keep_tiles: keep the results of k-NN tiles under ``OUTPUT/_state/tiles``, so that a later run
            with a further corpus searches only the tiles that hold its rows. They take about
            8 k bytes a row and block of the other side, and the same the other way; a run needs that
            room while it searches in any case. ``false`` frees it when the neighbours are finished.
        backend: k-NN backend: ``exact``, ``exact-int8``, ``exact-prefix``, ``exact-cuda``,
            ``exact-torch``, ``faiss-flat`` or ``faiss-gpu``; ``auto`` chooses by the tile and the
            device, never FAISS. All give the same bytes.
        device: ``auto`` takes a GPU if there is one.
        tries: processes that may die while they read a file, or hear a recording, before it is left
            out, and the corpus' dataset is ``incomplete``. The first may not know at which of a unit's
            files it died.
        storage: fsspec options by protocol, e.g. ``{s3: {endpoint_url: ...}}``.
        patience_s: how long an object store that is out of order is asked again, in seconds, after what
            its own client tries; then the run ends, and the same command goes on from there.
        rates: prices, for ``mining plan`` and ``max_cost``.
        max_hours: hours after which a command begins no further unit of work. What is begun is
            finished, the command ends with exit code 5, and the same command goes on.
        max_cost: the same, by what this machine costs in the currency of ``rates``: ``cpu_hour`` times
            its processors, and ``gpu_hour`` if it uses a GPU. Of each ``mining work`` its own; not with
            other runners, whose workers are not known here.
        dataflow: project, buckets, image and workers of a run on Dataflow.
        stages: what single stages need of a worker on Dataflow, e.g. ``{knn: {min_ram_gib: 64}}``.
        commercial: refuse corpora and weights whose licence does not allow commercial use, or is not
            known to (:mod:`mining.contract.licences`).
    """

    runner: str = DIRECT
    shards: int | None = setting(default=None, low=1)
    threads: int | None = setting(default=None, low=1)
    tile_rows: int = setting(default=65536, low=16)
    keep_tiles: bool = True
    backend: str = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    tries: int = setting(default=3, low=2, high=100)
    storage: Mapping[str, Mapping[str, Any]] = setting(default={})
    patience_s: float = setting(default=120.0, low=0.0, high=86400.0)
    rates: Rates = field(default_factory=Rates)
    commercial: bool = False
    max_hours: float | None = setting(default=None, low=0.0)
    max_cost: float | None = setting(default=None, low=0.0)
    dataflow: Dataflow | None = None
    stages: Stages = field(default_factory=Stages)

    def __post_init__(self) -> None:
        if self.runner == DATAFLOW and self.dataflow is None:
            raise ValueError(
                f"runner {DATAFLOW} needs dataflow with project, region, temp and image"
            )
        if self.device == "cpu" and (stages := self.stages.with_accelerator):
            raise ValueError(
                f"device must be auto where stages.{stages[0]} has an accelerator, but is cpu"
            )
        if self.dataflow is not None and self.dataflow.flexrs and self.stages != Stages():
            raise ValueError("dataflow.flexrs must be left out where stages are given resources")
        if self.max_cost is not None and not (self.rates.cpu_hour or self.rates.gpu_hour):
            raise ValueError("max_cost needs a price: rates: {cpu_hour: ...} or {gpu_hour: ...}")
        if self.max_cost is not None and self.runner != DIRECT:
            raise ValueError(
                f"max_cost must be left out with runner {self.runner}: it counts what this machine "
                "costs, not what the runner's workers do; max_hours limits those, too"
            )
