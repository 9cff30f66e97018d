"""Who did what, read off the logs of the task managers, which hold what their workers log."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from tests.flink.cluster.cluster import Cluster

_UNIT = re.compile(r"beam_jobs/stage\.py:\d+ - (\S+) \S+: (\S+) \S+ done$", re.M)
_LOADED = re.compile(
    r"beam_jobs/stages/once\.py:\d+ - beam_jobs\.stages\.(\S+): loaded by process (\d+)$", re.M
)
NAMES = ("tm1", "tm2")


@dataclass(frozen=True)
class WorkLog:
    """What task managers did since a moment.

    Attributes:
        units: of each task manager: (stage, phase) -> units.
        loads: of each task manager: (module that loads, process) -> how often.
    """

    units: dict[str, Counter[tuple[str, str]]]
    loads: dict[str, Counter[tuple[str, str]]]


class LogReader:
    """Reads the logs from now on."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._start = {name: len(cluster.log(name)) for name in NAMES}

    def read(self) -> WorkLog:
        """What was done since."""
        logs = {name: self._cluster.log(name)[self._start[name] :] for name in NAMES}
        return WorkLog(
            units={name: Counter(_UNIT.findall(text)) for name, text in logs.items()},
            loads={name: Counter(_LOADED.findall(text)) for name, text in logs.items()},
        )
