"""What a run will cost: counts of its corpora, laws of its stages, speed of this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from beam_jobs.forecast.disk import TILES, disk_of
from beam_jobs.forecast.fleet import simulated
from beam_jobs.forecast.lines import corpus_lines, start_line, task_lines
from beam_jobs.forecast.pilot import Pilot, run_pilots
from beam_jobs.forecast.sampling import Counted
from beam_jobs.forecast.work import CANDIDATES_PER_S, Asked, Whole, count, whole_of
from beam_jobs.plan import Plan
from beam_jobs.thresholds import score_settings
from mining.config import Config
from mining.config.model import EXACT
from mining.contract.schemas import SPEECH
from mining.forecast import Estimate, measure_kernels, priced
from mining.forecast.kernels import flops
from mining.knn import AUTO, Choice, choose_backend

_FEW_ROWS = 10  # of a language: what so few cost is mostly the fixed cost


def forecast(plan: Plan, asked: Asked) -> Estimate:
    """Forecast a run.

    Raises:
        MiningError: if the corpora cannot be read, hold nothing, or a pilot fails.
    """
    plan.check()
    pilots: tuple[Pilot, ...] = ()
    counted: dict[str, Counted] = {}
    if asked.fraction is not None:
        counted, pilots = run_pilots(plan, asked.fraction, asked.folder, plan.progress)
    for name in plan.corpora:
        if name not in counted:
            counted[name] = count(plan, name, asked)
    whole = whole_of(plan, asked, counted, pilots)
    settings, card = score_settings(plan.run.config.mining), plan.cards[plan.corpora[0]]
    execution = plan.run.config.execution
    plan.progress.say("measuring the search for neighbours")
    kernels = measure_kernels(card.dim, settings.k, execution.threads)
    choice = _backend(plan, whole, card.dim)
    kernel = kernels[choice.backend]
    lines = [
        *start_line(pilots),
        *corpus_lines(plan, whole, pilots, asked.workers),
        *task_lines(plan, whole, pilots, kernel, asked.workers),
    ]
    disk = disk_of(plan, whole, pilots)
    kept = sum(size for kind, size in disk.items() if kind != TILES or execution.keep_tiles)
    similarities = sum(task.similarities for task in whole.tasks.values())
    return Estimate(
        segments=whole.segments,
        lines=lines,
        disk_bytes=disk,
        kernels={
            name: (
                flops(similarities, one.dim, one.passes),
                one.cpu_s * similarities,
                one.wall_s * similarities,
            )
            for name, one in kernels.items()
        },
        backend=choice.backend,
        workers=asked.workers,
        price=priced(lines, kept, execution.rates, on_gpu=_on_gpu(plan.run.config)),
        notes=(*_notes(plan, asked, pilots, counted), f"k-NN by {choice.backend}: {choice.reason}"),
        simulation=None if asked.fleet is None else simulated(whole, lines, asked.fleet),
    )


def _backend(plan: Plan, whole: Whole, dim: int) -> Choice:
    """What searches the tiles of the largest language pair, and why."""
    execution = plan.run.config.execution
    if execution.backend != AUTO:
        return Choice(backend=execution.backend, reason="execution.backend says so")
    largest = max(
        (pool for task in whole.tasks.values() for pool in task.pools),
        key=lambda pool: pool.rows * pool.columns,
    )
    height, width = largest.rows / largest.row_blocks, largest.columns / largest.column_blocks
    return choose_backend(round(height), round(width), dim)


def _on_gpu(config: Config) -> bool:
    if config.execution.device != "auto":
        return config.execution.device == "cuda"
    import torch

    return bool(torch.cuda.is_available())


def _notes(
    plan: Plan, asked: Asked, pilots: Sequence[Pilot], counted: Mapping[str, Counted]
) -> tuple[str, ...]:
    """What was assumed, and what is not known."""
    notes = []
    if not pilots:
        notes.append(
            "without --pilot only the search for neighbours is timed, by a short measurement of its "
            "product; every row is taken to become a segment, and memory is beside libraries and models"
        )
        if any(plan.run.config.corpora[name].modality == SPEECH for name in plan.corpora):
            notes.append(f"{CANDIDATES_PER_S:g} candidates for a second of audio are assumed")
    else:
        notes.append(
            f"extrapolated from runs of {pilots[0].fraction:.3%} and {pilots[1].fraction:.3%} of the "
            "corpora; judging with gold is not in it"
        )
        smaller = pilots[0].segments.values()
        if any(one.rows < _FEW_ROWS * len(one.langs) for one in smaller):
            notes.append("the smaller pilot has few rows a language: a larger --pilot is surer")
    for name, one in counted.items():
        if one.unknown:
            notes.append(
                f"corpora.{name}: {one.unknown} rows are in no language or an unwanted one"
            )
    for name, task in plan.run.config.tasks.items():
        if task.documents is not None:
            notes.append(
                f"tasks.{name}: forecast as if documents were not there, which is too dear"
            )
    if plan.run.config.mining.index != EXACT:
        notes.append(
            f"k-NN by {plan.run.config.mining.index}: forecast as an exact search, which is dearer "
            "where the index pays"
        )
    if asked.workers > 1:
        notes.append("every worker pays the fixed cost of a stage; the price counts it once")
    return tuple(notes)
