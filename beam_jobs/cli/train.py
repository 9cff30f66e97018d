"""``mining train``."""

from __future__ import annotations

from typing import Any

import click

from beam_jobs.cli.options import config_options
from beam_jobs.progress import Progress
from encoders.train.config import load_training


@click.command("train")
@config_options
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
def train_command(
    config_path: str, overrides: tuple[str, ...], output: str | None, quiet: bool
) -> None:
    """Train a dual encoder of speech and text.

    The config names a start, seeds of speech and text pairs. A run that was stopped goes on from its
    last state. The result is OUTPUT/model, which a mining config takes as its model.
    """
    # torch takes seconds to import: not before the command line and the config are right
    config = load_training(config_path, overrides, output)
    from encoders.train.run import train

    outcome = train(config, Progress(quiet=quiet).say)
    click.echo(_summary(outcome.report))
    click.echo(f"model: {outcome.model}")


def _summary(report: dict[str, Any]) -> str:
    """Loss and R@1, one line a task and language."""
    last = report["last_step"]
    lines = [
        f"step {last['step']}: loss {last['loss']:.4f}, {last['audio_h']:.2f} h of speech heard"
    ]
    if report["judged"]:
        lines.append(
            f"{'held out':<20} {'languages':<9} {'queries':>7} {'R@1':>6} {'by length':>9}"
        )
    for one in report["judged"]:
        langs = f"{one['lang']}-{one['target_lang']}"
        lines.append(
            f"{one['task']:<20} {langs:<9} {one['queries']:>7} {one['recall']:>6.3f} "
            f"{one['by_length']:>9.3f}"
        )
    return "\n".join(lines)
