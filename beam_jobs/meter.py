"""What work costs: seconds of the clock and of the processors, and the peak of memory.

Nothing is measured unless somebody asks: a :class:`Meter` that is :meth:`~Meter.reading` gets a
:class:`Span` of every stage and of every unit that this process does. Times are never written into
a dataset, whose bytes must not depend on them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

_STATUS, _FORGET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # proc(5): resets the peak resident set size


@dataclass(frozen=True, kw_only=True)
class Span:
    """One piece of work.

    Attributes:
        stage: its stage; ``start`` for what comes before the first.
        subject: corpus or task; empty: of the whole stage.
        phase: empty: of the whole stage.
        unit: key of the unit; empty: of the whole stage.
        wall_s: seconds of the clock.
        cpu_s: seconds of all processors, user and system, of all threads of this process.
        peak_bytes: highest resident set; 0 for a unit.
    """

    stage: str
    subject: str = ""
    phase: str = ""
    unit: str = ""
    wall_s: float
    cpu_s: float
    peak_bytes: int = 0


@dataclass
class Meter:
    """Gathers spans."""

    spans: list[Span] = field(default_factory=list)

    @contextmanager
    def reading(self) -> Iterator[Meter]:
        """Measure what this process does in the body."""
        _READING.append(self)
        try:
            yield self
        finally:
            _READING.remove(self)


_READING: list[Meter] = []


@contextmanager
def timed_stage(stage: str) -> Iterator[None]:
    """A whole stage."""
    if not _READING:
        yield
        return
    _forget_peak()
    wall, cpu = time.monotonic(), time.process_time()
    yield
    _tell(
        Span(
            stage=stage,
            wall_s=time.monotonic() - wall,
            cpu_s=time.process_time() - cpu,
            peak_bytes=peak_bytes(),
        )
    )


@contextmanager
def timed_unit(stage: str, subject: str, phase: str, unit: str) -> Iterator[None]:
    """One unit of a stage."""
    if not _READING:
        yield
        return
    wall, cpu = time.monotonic(), time.process_time()
    yield
    _tell(
        Span(
            stage=stage,
            subject=subject,
            phase=phase,
            unit=unit,
            wall_s=time.monotonic() - wall,
            cpu_s=time.process_time() - cpu,
        )
    )


def _tell(span: Span) -> None:
    for meter in _READING:
        meter.spans.append(span)


def peak_bytes() -> int:
    """Highest resident set of this process since the stage began, or since its start elsewhere."""
    with suppress(OSError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource  # of Unix alone, and needed by nobody who measures nothing

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _forget_peak() -> None:
    with suppress(OSError):  # no Linux: the peak is then that of the whole process
        _FORGET.write_text(_RESET_PEAK)
