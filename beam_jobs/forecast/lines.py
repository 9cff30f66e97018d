"""What each stage of a run will cost: the laws that two pilots fit, and the machine's kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from beam_jobs.forecast.measured_run import START
from beam_jobs.forecast.pilot import Pilot
from beam_jobs.forecast.work import Whole, task_size
from beam_jobs.plan import Plan
from mining.forecast import Kernel, Law, Line, TaskSize, fit, fit_units, hours_on, tile_bytes
from mining.forecast.sizes import scoring_bytes

_CHARS = 60.0  # of a sentence
_UNIT_SPEECH_S = 900.0  # of beam_jobs.stages.recordings
_MOST_UNITS = 20_000  # weights that are dealt to workers; more are as good as cut at will
_CLOCKS = ("cpu_s", "wall_s")
UnitLaw = tuple[float, float]  # seconds of a unit, and of a piece of work
_OF_CORPUS = ("prepare", "transcribe", "tokenize", "embed")


def start_line(pilots: Sequence[Pilot]) -> list[Line]:
    """Imports and models' cards, and what a stage costs beside its units: no work makes them more."""
    if not pilots:
        return []
    cpu, wall = (
        sum(pilot.rest[stage][place] for pilot in pilots for stage in pilot.rest) / len(pilots)
        for place in (0, 1)
    )
    return [
        Line(
            stage=START, subject="", work=0.0, unit="", cpu_s=cpu, wall_s=wall, fixed_cpu_s=cpu,
            hours_on_workers=wall / 3600.0, memory_bytes=pilots[-1].peak[START],
        )
    ]  # fmt: skip


def corpus_lines(plan: Plan, whole: Whole, pilots: Sequence[Pilot], workers: int) -> list[Line]:
    """Prepare, transcribe, tokenize and embed of every corpus."""
    wanted = {
        "prepare": plan.corpora,
        "transcribe": tuple(plan.recognisers),
        "tokenize": tuple(plan.tokenizers),
        "embed": plan.corpora,
    }
    return [
        _corpus_line(plan, whole, pilots, workers, (stage, corpus))
        for stage in _OF_CORPUS
        for corpus in wanted[stage]
    ]


def _corpus_line(
    plan: Plan, whole: Whole, pilots: Sequence[Pilot], workers: int, key: tuple[str, str]
) -> Line:
    stage, corpus = key
    speech = corpus in whole.audio_s
    work = whole.work(stage, corpus)
    unit = "segments" if stage == "embed" else "seconds of audio" if speech else "rows"
    line = Line(stage=stage, subject=corpus, work=work, unit=unit)
    if not pilots:
        return line
    cpu, wall = (
        fit(
            [(pilot.work(*key), spent[key]) for pilot in pilots for spent in [getattr(pilot, name)]]
        )
        for name in ("cpu_s", "wall_s")
    )
    more = (0.0, 0.0)
    if stage == "prepare" and not speech:  # the pilot reads its sample out of one Parquet file
        counted = whole.counted[corpus]
        times = work / (sum(counted.rows.values()) + counted.unknown)
        more = times * counted.read_cpu_s, times * counted.read_wall_s
    units = {
        "prepare": whole.counted[corpus].files,
        "embed": plan.run.config.partitions,
    }.get(stage, round(work / _UNIT_SPEECH_S))
    proportional = wall.slope * work + more[1]
    return replace(
        line,
        cpu_s=cpu.at(work) + more[0],
        wall_s=wall.at(work) + more[1],
        fixed_cpu_s=cpu.fixed,
        hours_on_workers=hours_on(workers, wall.fixed, proportional, _equal(units)),
        memory_bytes=pilots[-1].peak[stage] + _growth(plan, stage, work - pilots[-1].work(*key)),
    )


def _equal(units: int) -> list[float]:
    return [1.0] * units if units <= _MOST_UNITS else []


def _growth(plan: Plan, stage: str, more_rows: float) -> float:
    """Memory that a partition takes beyond the pilot's: rows are held whole, three times with copies.

    A row of SEGMENT has some 250 bytes beside its text, one of EMBEDDING 2 D; recordings are streamed.
    """
    rows = max(0.0, more_rows) / plan.run.config.partitions
    dim = plan.cards[plan.corpora[0]].dim
    size = {"prepare": 250.0 + _CHARS, "embed": 250.0 + _CHARS + 2.0 * dim}.get(stage, 0.0)
    return 3.0 * rows * size


def task_lines(
    plan: Plan, whole: Whole, pilots: Sequence[Pilot], kernel: Kernel, workers: int
) -> list[Line]:
    """Neighbours and pairs of every task."""
    lines: list[Line] = []
    before = [
        {name: task_size(pilot.plan, name, pilot.embedded) for name in whole.tasks}
        for pilot in pilots
    ]
    scoring = tuple(_scoring_law(before, pilots, name) for name in _CLOCKS)
    for name, task in whole.tasks.items():
        sizes = [one[name] for one in before]
        lines.append(_knn_line(task, sizes, pilots, kernel, workers))
    for name, task in whole.tasks.items():
        sizes = [one[name] for one in before]
        lines.append(_pairs_line(task, sizes, pilots, scoring, workers))
    return lines


def _scoring_law(
    before: Sequence[Mapping[str, TaskSize]], pilots: Sequence[Pilot], clock: str
) -> UnitLaw:
    """Seconds of a language pair, and of a neighbour."""
    return fit_units([
        (len(size.pools), size.neighbors, getattr(pilot, clock)["pairs", name])
        for pilot, sizes in zip(pilots, before, strict=True)
        for name, size in sizes.items()
    ])  # fmt: skip


def _knn_line(
    task: TaskSize,
    sizes: Sequence[TaskSize],
    pilots: Sequence[Pilot],
    kernel: Kernel,
    workers: int,
) -> Line:
    """Search: the product of the two sides, which is quadratic, and what is linear in neighbours."""
    key = ("knn", task.task)
    quadratic = kernel.cpu_s * task.similarities, kernel.wall_s * task.similarities
    line = Line(
        stage="knn", subject=task.task, work=task.similarities, unit="similarities",
        cpu_s=quadratic[0], wall_s=quadratic[1], memory_bytes=tile_bytes(task),
    )  # fmt: skip
    laws = [Law(fixed=0.0, slope=0.0)] * 2
    if pilots:
        laws = [
            fit([
                (size.partials, max(0.0, getattr(pilot, name)[key] - each * size.similarities))
                for pilot, size in zip(pilots, sizes, strict=True)
            ])
            for name, each in (("cpu_s", kernel.cpu_s), ("wall_s", kernel.wall_s))
        ]  # fmt: skip
        more = max(0.0, tile_bytes(task) - tile_bytes(sizes[-1]))
        line = replace(line, memory_bytes=pilots[-1].peak["knn"] + more)
    cpu, wall = laws
    return replace(
        line,
        cpu_s=quadratic[0] + cpu.at(task.partials),
        wall_s=quadratic[1] + wall.at(task.partials),
        fixed_cpu_s=cpu.fixed,
        hours_on_workers=hours_on(
            workers, wall.fixed, quadratic[1] + wall.slope * task.partials, _equal(task.tiles)
        ),
    )


def _pairs_line(
    task: TaskSize,
    sizes: Sequence[TaskSize],
    pilots: Sequence[Pilot],
    laws: tuple[UnitLaw, ...],
    workers: int,
) -> Line:
    """Scoring: linear in the neighbours, one language pair a unit."""
    line = Line(
        stage="pairs", subject=task.task, work=task.neighbors, unit="neighbours",
        memory_bytes=scoring_bytes(task),
    )  # fmt: skip
    if not pilots:
        return line
    cpu, wall = (Law(fixed=each * len(task.pools), slope=slope) for each, slope in laws)
    weights = [pool.rows + pool.columns for pool in task.pools]
    more = max(0.0, scoring_bytes(task) - scoring_bytes(sizes[-1]))
    return replace(
        line,
        cpu_s=cpu.at(task.neighbors),
        wall_s=wall.at(task.neighbors),
        fixed_cpu_s=cpu.fixed,
        hours_on_workers=hours_on(workers, wall.fixed, wall.slope * task.neighbors, weights),
        memory_bytes=pilots[-1].peak["pairs"] + more,
    )
