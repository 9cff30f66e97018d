"""``mining evaluate`` and ``mining calibrate``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from beam_jobs.cli.options import config_options, read_config
from beam_jobs.progress import Progress
from mining.config import Config
from mining.contract.errors import ConfigError

if TYPE_CHECKING:
    from mining.evaluate.thresholds import Calibrated


@click.command("evaluate")
@config_options
@click.option("--task", help="Only this task; otherwise all.")
@click.option("--table", metavar="FILE.parquet", help="Also write all figures as a table.")
def evaluate_command(
    config_path: str,
    overrides: tuple[str, ...],
    output: str | None,
    task: str | None,
    table: str | None,
) -> None:
    """Judge mined pairs and embeddings against gold.

    Precision, recall and F1 of the pairs as mined and at the threshold of best F1 (BUCC's rule; mine
    with --set mining.threshold=none to let it choose freely), xsim, R@1, R@5 and MRR in the whole
    pool. Every figure with its 95 % bootstrap interval and two controls: length alone,
    and chance (for speech: the audio shuffled).
    """
    config = read_config(config_path, overrides, output)
    import pyarrow as pa
    import pyarrow.parquet as pq

    from beam_jobs.evaluation import judge
    from beam_jobs.plan import Plan
    from mining.evaluate.render import render
    from mining.io.filesystem import write_atomic

    plan = Plan(config, Progress(quiet=True))
    tables = []
    for name in _tasks(config, task):
        evaluation = judge(plan, name, retrieval=True)
        if evaluation is None:
            click.echo(f"task {name}: the gold holds none of its language pairs")
            continue
        click.echo(f"task {name}\n{render(evaluation)}")
        figures = evaluation.to_table()
        tables.append(figures.append_column("task", pa.array([name] * len(figures))))
    if not tables:
        raise ConfigError(
            "evaluate.gold: must hold some language pair of the tasks, but holds none"
        )
    if table is not None:
        sink = pa.BufferOutputStream()
        pq.write_table(pa.concat_tables(tables), sink)
        write_atomic(table, sink.getvalue().to_pybytes(), plan.run.storage)


@click.command("calibrate")
@config_options
@click.option("--task", help="Only this task; otherwise all.")
@click.option("--precision", "targets", multiple=True, type=click.FloatRange(0.01, 0.999),
              default=(0.8, 0.9, 0.95), show_default=True,
              help="Wanted precision. May be repeated.")  # fmt: skip
@click.option("--to", "uri", metavar="FILE.json", help="Default: calibration.json in the output.")
def calibrate_command(
    config_path: str,
    overrides: tuple[str, ...],
    output: str | None,
    task: str | None,
    targets: tuple[float, ...],
    uri: str | None,
) -> None:
    """Find thresholds for wanted precisions, and for the best F1, from gold.

    One half of the gold chooses, the other half judges. Neighbours must have been found. Use the
    result with mining.calibration and mining.target_precision.
    """
    config = read_config(config_path, (*overrides, "mining.threshold=none"), output)
    from beam_jobs.evaluation import calibrate_task
    from beam_jobs.plan import Plan
    from mining.evaluate.calibration import write_calibration

    plan = Plan(config, Progress(quiet=True))
    found = [
        (name, one)
        for name in _tasks(config, task)
        for one in calibrate_task(plan, name, [None, *targets]).thresholds
    ]
    width = max(len(name) for name, _ in [("task", None), *found])
    wide = max([12, *(len(one.entry.key.name) for _, one in found)])
    click.echo(
        f"{'task':<{width}} {'languages':<{wide}} {'target':>7} {'threshold':>9}  "
        f"{'precision [95 %]':<22} {'recall':>6}  precision in the other half of the gold"
    )
    for name, one in found:
        click.echo(f"{name:<{width}} {one.entry.key.name:<{wide}} {_row(one)}")
    path = uri or f"{plan.run.output}/calibration.json"
    write_calibration(path, [one.entry for _, one in found], plan.run.storage)
    click.echo(
        f"written to {path}; to use it: --set mining.calibration={path} "
        f"--set mining.target_precision={targets[-1]:g}"
    )


def _row(one: Calibrated) -> str:
    entry = one.entry
    target = "best F1" if entry.target is None else f"{entry.target:.2f}"
    if entry.threshold is None:
        return f"{target:>7} {'-':>9}  {entry.reason}"
    interval = f"{entry.precision:.3f} [{entry.low:.3f},{entry.high:.3f}]"
    judged = f"{one.judged.precision:.3f}" if one.judged and one.judged.mined else "-"
    return f"{target:>7} {entry.threshold:>9.4f}  {interval:<22} {entry.recall:>6.3f}  {judged}"


def _tasks(config: Config, task: str | None) -> tuple[str, ...]:
    if task is None:
        return tuple(config.tasks)
    if task not in config.tasks:
        raise ConfigError(f"--task {task}: must be one of {', '.join(config.tasks)}")
    return (task,)
