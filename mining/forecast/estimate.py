"""The forecast of a run, and its price."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mining.config.execution import Rates
from mining.forecast.fleet import Fleet, Played

ON_DEVICE = frozenset(
    {"transcribe", "tokenize", "embed"}
)  # stages that run on a GPU if there is one
_GIB = 2.0**30


@dataclass(frozen=True, kw_only=True)
class Line:
    """One stage of one subject.

    Attributes:
        stage: its name.
        subject: corpus or task; empty: of the whole run.
        work: how much there is to do, in ``unit``.
        unit: rows, seconds of audio, segments, similarities or neighbours.
        cpu_s: processor seconds; None: not measured.
        wall_s: seconds of the clock on one worker such as this machine; None: not measured.
        fixed_cpu_s: of ``cpu_s``, what does not grow with the work.
        hours_on_workers: hours of the clock on the asked number of workers.
        memory_bytes: peak of a worker; None: not known.
    """

    stage: str
    subject: str
    work: float
    unit: str
    cpu_s: float | None = None
    wall_s: float | None = None
    fixed_cpu_s: float = 0.0
    hours_on_workers: float | None = None
    memory_bytes: float | None = None


@dataclass(frozen=True, kw_only=True)
class Price:
    """What a run costs, in the currency of the rates.

    Attributes:
        parts: by kind of rate.
    """

    parts: Mapping[str, float]

    @property
    def total(self) -> float:
        """All parts."""
        return sum(self.parts.values())


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """The search for neighbours, played.

    Attributes:
        fleet: the workers.
        plays: each with draws of its own.
        undisturbed_s: seconds of as many equal workers that are never lost, never read and never wait.
    """

    fleet: Fleet
    plays: tuple[Played, ...]
    undisturbed_s: float


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Everything that ``mining plan`` says.

    Attributes:
        segments: by corpus and language.
        lines: stages in their order.
        disk_bytes: by dataset; ``tiles`` go when they are merged, unless execution.keep_tiles.
        kernels: backend -> (operations of the run's search, processor seconds, seconds of the clock).
        backend: the one that the config names.
        workers: for which ``hours_on_workers`` are.
        price: None: no rates are given.
        notes: what was assumed.
        simulation: of the search; None: not asked for.
    """

    segments: Mapping[str, Mapping[str, float]]
    lines: Sequence[Line]
    disk_bytes: Mapping[str, float]
    kernels: Mapping[str, tuple[float, float, float]]
    backend: str
    workers: int
    price: Price | None = None
    notes: Sequence[str] = field(default_factory=tuple)
    simulation: Simulation | None = None

    @property
    def is_measured(self) -> bool:
        """Whether every stage's time is known."""
        return all(line.cpu_s is not None for line in self.lines)

    @property
    def cpu_s(self) -> float:
        """Processor seconds of all stages whose time is known."""
        return sum(line.cpu_s or 0.0 for line in self.lines)

    @property
    def wall_s(self) -> float:
        """Seconds of the clock of the same, on one worker."""
        return sum(line.wall_s or 0.0 for line in self.lines)


def priced(lines: Sequence[Line], disk_bytes: float, rates: Rates, *, on_gpu: bool) -> Price | None:
    """Price of a run; None without rates.

    cpu_hour x processor hours; gpu_hour x hours of the clock of the stages that run on the device, if
    the run has one; disk_gib_month x GiB of all datasets, kept for a month.
    """
    parts = {}
    if rates.cpu_hour is not None:
        parts["cpu_hour"] = rates.cpu_hour * sum(line.cpu_s or 0.0 for line in lines) / 3600.0
    if rates.gpu_hour is not None:
        wall = sum(line.wall_s or 0.0 for line in lines if line.stage in ON_DEVICE)
        parts["gpu_hour"] = rates.gpu_hour * (wall if on_gpu else 0.0) / 3600.0
    if rates.disk_gib_month is not None:
        parts["disk_gib_month"] = rates.disk_gib_month * disk_bytes / _GIB
    return Price(parts=parts) if parts else None
