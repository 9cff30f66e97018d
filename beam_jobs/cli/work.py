"""``mining work``."""

from __future__ import annotations

import re
from collections import Counter

import click

from beam_jobs.cli.options import config_options, read_config
from beam_jobs.cli.run import STAGE_COMMANDS
from beam_jobs.progress import Progress
from mining.contract.errors import ConfigError, IncompleteError

_ALL = "all"
_STAGES = tuple(str(command.name) for command in STAGE_COMMANDS)
# A day: only finished units are seen, and one may take hours, such as a long file on a slow machine;
# execution.max_hours ends what costs too much.
_WAIT_MINUTES = 1440.0
_SHARD = re.compile(r"(\d+)/(\d+)")


@click.command("work")
@click.argument("stage", type=click.Choice([*_STAGES, _ALL]))
@config_options
@click.option("--shard", default="0/1", show_default=True, metavar="I/N",
              help="This worker's share: the I-th of N, counted from 0.")  # fmt: skip
@click.option("--wait", "minutes", default=_WAIT_MINUTES, show_default=True, metavar="MINUTES",
              type=click.FloatRange(0.0),
              help="Give up when the others have finished no unit for so long; must be longer than the "
                   "longest unit takes.")  # fmt: skip
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
def work_command(
    stage: str,
    config_path: str,
    overrides: tuple[str, ...],
    output: str | None,
    shard: str,
    minutes: float,
    quiet: bool,
) -> None:
    """Do a share of a stage's work, without Beam.

    N of these, on as many machines as you like, make a run together: each with the same config, the
    same files at the same addresses and an output that all of them reach. Each does every N-th unit
    of a phase, from the I-th on, unless it is done already, then waits for the others where a later
    phase needs them; STAGE all goes through all stages. A worker that was stopped goes on with the
    same command. The files are those of `mining run`, which may also run beside them.

    Prints how many units this worker did.
    """
    index, count = _shard(shard)
    # models' libraries take seconds to import: not before the command line and the config are right
    config = read_config(config_path, overrides, output)
    from beam_jobs.execution.worker import Shard, Worker
    from beam_jobs.plan import Plan

    progress = Progress(quiet=quiet)
    worker = Worker(
        plan=Plan(config, progress),
        shard=Shard(index=index, count=count),
        wait_s=60.0 * minutes,
        progress=progress,
    )
    try:
        worker.work(_STAGES if stage == _ALL else (stage,))
    except IncompleteError:
        click.echo(f"shard {shard}: {_summary(worker.done)}")
        raise
    click.echo(f"shard {shard}: {_summary(worker.done)}")


def _summary(done: Counter[str]) -> str:
    """``12 units done (prepare 4, embed 8)``."""
    by_stage = ", ".join(f"{name} {units}" for name, units in done.items() if units)
    return f"{done.total()} units done" + (f" ({by_stage})" if by_stage else "")


def _shard(text: str) -> tuple[int, int]:
    match = _SHARD.fullmatch(text)
    index, count = (int(match[1]), int(match[2])) if match else (0, 0)
    if index >= count:
        raise ConfigError(
            f"--shard: must read I/N with I from 0 to N-1, such as 0/4, but is {text!r}"
        )
    return index, count
