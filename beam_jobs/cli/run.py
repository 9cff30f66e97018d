"""``mining run`` and one command a stage."""

from __future__ import annotations

import click

from beam_jobs.cli.options import read_config, run_options
from beam_jobs.progress import Progress
from mining.contract.errors import IncompleteError

_HELP = {
    "prepare": "Read texts and recordings, cut them into segments, refuse, collapse duplicates.",
    "transcribe": "Recognise the speech of prepared segments.",
    "tokenize": "Turn the speech of prepared segments into the units of an encoder that hears.",
    "embed": "Embed prepared segments.",
    "knn": "Find nearest neighbours in both directions.",
    "pairs": "Score neighbours, select pairs, write Parquet.",
}


@click.command("run")
@run_options
@click.option("--dry_run", "--dry-run", is_flag=True,
              help="Only build every stage's job for Dataflow, and say what is in it: no network, no "
              "credentials, nothing is written.")  # fmt: skip
@click.option("--commercial", is_flag=True,
              help="Refuse corpora and weights whose licence does not allow commercial use, or is not "
              "known to. The same as --set execution.commercial=true.")  # fmt: skip
def run_command(
    config_path: str,
    overrides: tuple[str, ...],
    output: str | None,
    runner: str | None,
    quiet: bool,
    beam_args: tuple[str, ...],
    dry_run: bool,
    commercial: bool,
) -> None:
    """Run all stages; judge the pairs if the config names gold.

    What is finished is not done again, so the same command resumes a run that was stopped. A file at
    which several processes died (execution.tries) is left out: the rest is done, the exit code is 3.
    """
    # Beam and torch take seconds to import: not before the command line and the config are right
    if commercial:
        overrides = (*overrides, "execution.commercial=true")
    config = read_config(config_path, overrides, output, runner)
    from beam_jobs.execution.run import run
    from beam_jobs.plan import Plan
    from beam_jobs.stage import STAGES
    from beam_jobs.summary import summarise

    progress = Progress(quiet=quiet)
    plan = Plan(config, progress)
    if dry_run:
        from beam_jobs.execution.dry_run import describe_jobs

        for line in describe_jobs(plan, beam_args):
            click.echo(line)
        return
    try:
        if not run(plan, STAGES, beam_args, progress):
            progress.say("nothing to do: everything is up to date")
    except IncompleteError:
        click.echo(summarise(plan))
        raise
    click.echo(summarise(plan))
    progress.say("done")


def _stage_command(stage: str) -> click.Command:
    @click.command(stage, help=_HELP[stage])
    @run_options
    def command(
        config_path: str,
        overrides: tuple[str, ...],
        output: str | None,
        runner: str | None,
        quiet: bool,
        beam_args: tuple[str, ...],
    ) -> None:
        config = read_config(config_path, overrides, output, runner)
        from beam_jobs.execution.run import run
        from beam_jobs.plan import Plan

        progress = Progress(quiet=quiet)
        if not run(Plan(config, progress), [stage], beam_args, progress):
            progress.say("nothing to do: everything is up to date")

    return command


STAGE_COMMANDS = tuple(_stage_command(stage) for stage in _HELP)
