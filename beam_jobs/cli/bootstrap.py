"""``mining bootstrap``."""

from __future__ import annotations

import click

from beam_jobs.bootstrap.config import load_bootstrap
from beam_jobs.cli.options import config_options
from beam_jobs.progress import Progress


@click.command("bootstrap")
@config_options
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
def bootstrap_command(
    config_path: str, overrides: tuple[str, ...], output: str | None, quiet: bool
) -> None:
    """Train, mine with what was trained, learn from what was mined, and again.

    The config names one for mining, with gold that is held out, and one for training. Rounds end when
    the gold shows no gain. The result is OUTPUT/model, the best round's, which a mining config takes
    as its model.
    """
    # Beam and torch take seconds to import: not before the command line and the config are right
    config = load_bootstrap(config_path, overrides, output)
    from beam_jobs.bootstrap.rounds import bootstrap
    from beam_jobs.bootstrap.table import rounds_table

    progress = Progress(quiet=quiet)
    outcome = bootstrap(config, progress)
    if not outcome.fresh:
        progress.say("nothing to do: all rounds are finished")
    click.echo(rounds_table(outcome.report, outcome.seconds))
    click.echo(f"model: {outcome.model}")
