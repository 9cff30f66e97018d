"""How far the run of an output is, from the output alone. Reads only."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from beam_jobs.announced import Announced, announced, begun_at
from beam_jobs.output import read_resolved
from beam_jobs.pace import duration, often
from beam_jobs.speed import padding
from beam_jobs.stage import STAGES
from beam_jobs.stages.reading import INCOMPLETE
from mining.contract.errors import InputError
from mining.contract.uris import canonical_uri
from mining.io.dataset import Receipt, has_manifest, read_manifest, read_receipt, sum_counters
from mining.io.filesystem import Storage, entries_of
from mining.io.times import times_of

_OF_CORPORA = ("prepare", "embed")  # stages that every corpus has; the other two only some
_OF_TASKS = ("knn", "pairs")
_IN = ("rows_in", "segments_in", "regions", "rows", "candidates")
_KEPT = ("kept", "segments", "regions_tokenized", "neighbors")
_SPEEDS = (
    ("audio_ms", "audio"),
    ("clips_ms", "audio"),
    ("rows_in", "rows"),
    ("segments_in", "rows"),
)
_RECENT = 50  # receipts that speed is told by: the newest, so that a pause long ago does not count
_MOST_READ = 5000  # receipts that are read for the counters of an unfinished stage
Receipts = Sequence[tuple[float | None, str]]  # when written, and where; newest last


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table.

    Attributes:
        newest: when the last receipt was written.
    """

    stage: str
    subject: str
    state: str = "not begun"
    rows_in: str = ""
    kept: str = ""
    rejected: str = ""
    speed: str = ""
    left: str = ""
    newest: float | None = None


def status(output: str, storage: Storage) -> str:
    """A table: one line a stage and subject, and when something was last done.

    Raises:
        InputError: if the folder is no output.
    """
    home = canonical_uri(output)
    config = _config(home, storage)
    begun = announced(home, storage)
    rows = [
        _row(home, begun[key], storage) if key in begun else Row(stage=key[0], subject=key[1])
        for key in _wanted(config, set(begun))
    ]
    return "\n".join(_lines(rows))


def _config(home: str, storage: Storage) -> Mapping[str, Any]:
    found: Mapping[str, Any] | None = read_resolved(home, storage)
    if found is None:
        raise InputError(
            f"{home}: must be an output of mining run or mining work, but holds no "
            "config.resolved.yaml; check the path, and --storage"
        )
    return found


def _wanted(config: Mapping[str, Any], begun: set[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Stages and subjects that the latest config has, in order."""
    names: dict[str, None] = {}
    for task in config["tasks"].values():
        for side in (task["source"], task["target"]):
            names |= dict.fromkeys(side if isinstance(side, list) else [side])
    corpora = [name for name in config["corpora"] if name in names]
    for stage in STAGES:
        for subject in config["tasks"] if stage in _OF_TASKS else corpora:
            if stage in (*_OF_CORPORA, *_OF_TASKS) or (stage, subject) in begun:
                yield stage, subject


def _row(home: str, one: Announced, storage: Storage) -> Row:
    there = {phase: _there(home, one, phase, storage) for phase in one.phases}
    times = [when for some in there.values() for when, _ in some if when is not None]
    row = Row(stage=one.stage, subject=one.subject, newest=max(times, default=None))
    folder = f"{home}/{one.folder}"
    if has_manifest(folder, one.hash, storage):
        manifest = read_manifest(folder, storage)
        counters, lacking = manifest.counters, manifest.attributes.get(INCOMPLETE)
        state = "incomplete" if lacking else "finished"
        span = max(times, default=0.0) - (begun_at(home, one, storage) or 0.0)
        return replace(row, state=state, speed=_speed(counters, span), **_counts(counters))
    done = [r for phase in there for r in _read(there[phase], storage)]
    total = sum(map(len, there.values()))
    counts: dict[str, Any] = _counts(sum_counters(done)) if total <= _MOST_READ else {}
    for phase, units in one.phases.items():
        if len(there[phase]) < units:
            return replace(row, **counts, **_phase(phase, units, there[phase], storage))
    return replace(row, state="no manifest yet", **counts)


def _there(home: str, one: Announced, phase: str, storage: Storage) -> Receipts:
    """Receipts of a phase. Where files were left out, there may be some of when others were: newest."""
    below = f"{home}/{one.home}"
    names = (entry["name"].rstrip("/").rpartition("/")[2] for entry in entries_of(below, storage))
    folders = [f"{below}/{name}" for name in names if name.partition(".")[0] == phase]
    some = [
        sorted(
            ((when, f"{folder}/{name}") for name, when in times_of(folder, storage).items()),
            key=lambda receipt: receipt[0] or 0.0,
        )
        for folder in folders
    ]
    return max(filter(None, some), key=lambda receipts: receipts[-1][0] or 0.0, default=[])


def _read(some: Receipts, storage: Storage) -> list[Receipt]:
    """Receipts of a phase, unless they are too many."""
    if len(some) > _MOST_READ:
        return []
    places = (uri.rpartition("/") for _, uri in some)
    found = (read_receipt(at, name.removesuffix(".json"), storage) for at, _, name in places)
    return [receipt for receipt in found if receipt is not None]


def _phase(phase: str, units: int, some: Receipts, storage: Storage) -> dict[str, Any]:
    """State, speed and time left of a phase at work, by its newest receipts."""
    found: dict[str, Any] = {"state": f"{phase} {len(some)}/{units} units"}
    recent = some[-_RECENT:]
    times = [when for when, _ in recent if when is not None]
    if len(times) < 2 or len(times) < len(recent) or times[-1] <= times[0]:
        return found
    span, rate = times[-1] - times[0], (len(times) - 1) / (times[-1] - times[0])
    counters = sum_counters(_read(recent[1:], storage))
    found["speed"] = _speed(counters, span) or f"{often(rate)} units"
    found["left"] = duration((units - len(some)) / rate)
    return found


def _speed(counters: Mapping[str, int], span: float) -> str:
    """``41 times real time``, ``320 rows a second, padding 7 %``; empty if it cannot be told."""
    for name, kind in _SPEEDS:
        if counters.get(name) and span > 0.0:
            if kind == "audio":
                return f"{counters[name] / 1000.0 / span:.0f} times real time"
            rate = f"{counters[name] / span:.0f} rows a second"
            return ", ".join(filter(None, (rate, padding(counters))))
    return padding(counters)


def _counts(counters: Mapping[str, int]) -> dict[str, Any]:
    """What came in, was kept and was rejected, where a stage counts it."""
    found: dict[str, Any] = {}
    for column, names in (("rows_in", _IN), ("kept", _KEPT)):
        for name in names:
            if name in counters:
                found[column] = f"{counters[name]:,}"
                break
    refused = [count for name, count in counters.items() if name.startswith("rejected.")]
    return found | ({"rejected": f"{sum(refused):,}"} if refused or found else {})


def _lines(rows: Sequence[Row]) -> Iterator[str]:
    columns = ("stage", "subject", "state", "rows_in", "kept", "rejected", "speed", "left")
    titles = ("stage", "subject", "state", "in", "kept", "rejected", "speed", "time left")
    table = [titles, *(tuple(getattr(row, column) for column in columns) for row in rows)]
    widths = [max(len(line[i]) for line in table) for i in range(len(columns))]
    for line in table:
        cells = [
            f"{cell:>{width}}" if 3 <= i <= 5 else f"{cell:<{width}}"
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()
    newest = max((row for row in rows if row.newest), key=lambda row: row.newest or 0, default=None)
    lacking = dict.fromkeys(row.subject for row in rows if row.state == "incomplete")
    if lacking:
        names = ", ".join(lacking)
        yield f"incomplete: {names} without files at which processes died; mining run names them"
    elif all(row.state == "finished" for row in rows):
        yield "finished"
    elif newest is not None and newest.newest is not None:
        ago = duration(max(0.0, time.time() - newest.newest))
        yield f"last unit done {ago} ago: {newest.stage} of {newest.subject}"
