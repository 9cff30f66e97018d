"""``mining forget``."""

from __future__ import annotations

import click

from beam_jobs.bootstrap.config import is_bootstrap, load_bootstrap
from beam_jobs.cli.options import read_config, work_options
from beam_jobs.progress import Progress


@click.command("forget")
@click.argument("arguments", metavar="ID...", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option("--corpus", metavar="NAME", help="Look for ID in this corpus only.")
@work_options
def forget_command(
    arguments: tuple[str, ...],
    corpus: str | None,
    config_path: str,
    overrides: tuple[str, ...],
    output: str | None,
    runner: str | None,
    quiet: bool,
) -> None:
    """Forget recordings or documents: no id or text of them stays in the output.

    ID is a recording (its address as in the pairs' src_uri, its id, or its columns.id), a text
    document's id (columns.id), or a text file's address. All copies of a recording are forgotten.

    The stages run again where something changes; then old results are removed and every file of the
    output is looked through. The pairs are those of a run whose corpora never held it, byte by byte; in
    tasks with documents, up to run_id where it is rows within a file. What another document says, too,
    stays with that one.

    Give the config and the --set of the run: results of other settings of the same corpora are removed.
    Your own files are not touched; later runs to this output keep it forgotten, by the digests of ids in
    OUTPUT/_state/forgotten.json, and another output knows nothing of it. Who is interrupted goes on with
    the same command.

    With a config of mining bootstrap, what its rounds mined is forgotten, and what they learned from is
    removed. Models cannot forget: those that learned from mined pairs are named.
    """
    # what follows -- comes as further arguments
    names = [one for one in arguments if not one.startswith("--")]
    beam_args = [one for one in arguments if one.startswith("--")]
    progress = Progress(quiet=quiet)
    if is_bootstrap(config_path):
        rounds = load_bootstrap(config_path, overrides, output)
        from beam_jobs.forget.rounds import forget_rounds

        lines = forget_rounds(rounds, names, corpus, (runner, beam_args), progress)
    else:
        config = read_config(config_path, overrides, output, runner)
        from beam_jobs.forget.forget import forget

        lines = forget(config, names, corpus, beam_args, progress)
    for line in lines:
        click.echo(line)
    progress.say("done")
