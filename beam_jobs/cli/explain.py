"""``mining explain``."""

from __future__ import annotations

import click

from beam_jobs.cli.options import config_options, read_config
from mining.config import Config
from mining.contract.errors import ConfigError

_LABEL = 11  # width of the widest label


@click.command("explain")
@click.argument("source")
@click.argument("target")
@config_options
@click.option("--task", help="Must be named where the config has several.")
def explain_command(
    source: str,
    target: str,
    config_path: str,
    overrides: tuple[str, ...],
    output: str | None,
    task: str | None,
) -> None:
    """Say why a pair was or was not mined by a run.

    SOURCE and TARGET each name a segment: by its id, by its text, by its place in a file as
    occurrences and rejects write it (file#row.part) or, of speech, by a stretch of a recording
    (uri@start-end, in seconds) or by the recording. Nothing is run: what the run left is read, and
    the vectors of the other side once, where the pair's rank must be counted.
    """
    config = read_config(config_path, overrides, output)
    from beam_jobs.explain.explain import explain
    from beam_jobs.plan import Plan
    from beam_jobs.progress import Silence

    plan = Plan(config, Silence())
    for number, found in enumerate(explain(plan, _task(config, task), source, target)):
        if number:
            click.echo()
        for label, sentence in found.lines:
            click.echo(f"{label:<{_LABEL}} {sentence}")
        click.echo(f"{'verdict':<{_LABEL}} {found.verdict}")


def _task(config: Config, task: str | None) -> str:
    if task is not None and task in config.tasks:
        return task
    if task is None and len(config.tasks) == 1:
        return next(iter(config.tasks))
    shown = "must be named" if task is None else f"must be one of the config's, but is {task!r}"
    raise ConfigError(f"--task: {shown}; there are {', '.join(config.tasks)}")
