"""A forecast as a table for people, or as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict

from mining.forecast.estimate import Estimate, Line, Simulation

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def render(estimate: Estimate) -> str:
    """The table: segments, stages, neighbours by backend, disk, price, and what was assumed."""
    return "\n".join(_table(estimate))


def to_json(estimate: Estimate) -> str:
    """The same figures: seconds and bytes, sorted keys."""
    price = estimate.price
    values = asdict(estimate) | {
        "cpu_s": estimate.cpu_s,
        "wall_s": estimate.wall_s,
        "is_measured": estimate.is_measured,
        "kernels": {
            name: {"flop": flop, "cpu_s": cpu, "wall_s": wall}
            for name, (flop, cpu, wall) in estimate.kernels.items()
        },
        "price": None if price is None else {"parts": dict(price.parts), "total": price.total},
    }
    return json.dumps(values, indent=1, sort_keys=True)


def _table(estimate: Estimate) -> Iterator[str]:
    for corpus, langs in estimate.segments.items():
        shown = ", ".join(f"{lang} {_count(rows)}" for lang, rows in sorted(langs.items()))
        yield f"{corpus}: about {_count(sum(langs.values()))} segments: {shown}"
    several = f"on {estimate.workers}"
    yield (
        f"{'stage':<11} {'of':<14} {'work':>10} {'':<17} {'processor':>10} {'here':>10} {several:>10} "
        f"{'memory':>10}"
    )
    for line in estimate.lines:
        yield _row(line)
    known = "total" if estimate.is_measured else "known so far"
    workers = sum(line.hours_on_workers or 0.0 for line in estimate.lines)
    yield (
        f"{known:<26} {'':>10} {'':<17} {_time(estimate.cpu_s)} {_time(estimate.wall_s)} "
        f"{_time(workers * 3600)}"
    )
    for name, (flop, cpu, wall) in estimate.kernels.items():
        chosen = "  (the config's)" if name == estimate.backend else ""
        yield (
            f"neighbours by {name}: {flop:.3g} operations, {_time(cpu).strip()} of a processor, "
            f"{_time(wall).strip()} here{chosen}"
        )
    sizes = ", ".join(f"{name} {_bytes(size)}" for name, size in estimate.disk_bytes.items())
    yield f"disk: {_bytes(sum(estimate.disk_bytes.values()))} at most: {sizes}"
    if estimate.price is not None:
        parts = ", ".join(f"{name} {value:.2f}" for name, value in estimate.price.parts.items())
        partly = "" if estimate.is_measured else " of what is known"
        yield f"price{partly}: {estimate.price.total:.2f} ({parts})"
    if estimate.simulation is not None:
        yield _played(estimate.simulation)
    yield from (f"note: {note}" for note in estimate.notes)


def _played(found: Simulation) -> str:
    """The search on workers that are lost and not equally fast, in one line."""
    fleet = found.fleet
    hours = sorted(played.seconds for played in found.plays)
    middle = next(played for played in found.plays if played.seconds == hours[len(hours) // 2])
    what = [f"knn played on {fleet.workers} workers"]
    if fleet.preemptions:
        what.append(
            f"each lost {fleet.preemptions:g} times an hour and replaced in {fleet.restart_s:.0f} s"
        )
    if fleet.stragglers:
        what.append(f"{fleet.stragglers:.3g} of them {fleet.slowdown:g} times as slow")
    return (
        f"{', '.join(what)}: {_time(middle.seconds).strip()} ({_time(hours[0]).strip()} to "
        f"{_time(hours[-1]).strip()} in {len(hours)} plays) where equal ones that are never lost, read "
        f"nothing and never wait take {_time(found.undisturbed_s).strip()}; "
        f"{_count(middle.tiles)} tiles, {_count(middle.lost)} begun again for "
        f"{_time(middle.lost_s).strip()} of workers, "
        f"{_time(middle.waited_s).strip()} waited at the end, {_bytes(middle.read_bytes)} read at "
        f"{_bytes(fleet.read_bytes_s)} a second"
    )


def _row(line: Line) -> str:
    memory = "-" if line.memory_bytes is None else _bytes(line.memory_bytes)
    several = None if line.hours_on_workers is None else line.hours_on_workers * 3600
    return (
        f"{line.stage:<11} {line.subject:<14} {_count(line.work) if line.unit else '':>10} "
        f"{line.unit:<17} {_time(line.cpu_s)} {_time(line.wall_s)} {_time(several)} {memory:>10}"
    )


def _time(seconds: float | None) -> str:
    if seconds is None:
        return f"{'-':>10}"
    for unit, length in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:>{9 - len(unit)},.1f} {unit}"
    return f"{seconds:>8.1f} s"


def _count(number: float) -> str:
    return f"{number:.0f}" if number < 1e6 else f"{number:.3g}"


def _bytes(size: float) -> str:
    for unit in _UNITS:
        if size < 1024 or unit == _UNITS[-1]:
            break
        size /= 1024
    return f"{size:.3g} {unit}" if size < 1000 else f"{size:.0f} {unit}"
