"""``mining status``."""

from __future__ import annotations

import click

from beam_jobs.cli.options import storage_options


@click.command("status")
@click.argument("output")
@click.option("--storage", default="", metavar="YAML",
              help="fsspec options by protocol, such as '{s3: {anon: true}}'.")  # fmt: skip
def status_command(output: str, storage: str) -> None:
    """Say how far a run is, from any other shell. Reads only.

    One line a stage and corpus or task of OUTPUT, a folder or any fsspec address: units done of
    all, or finished; rows in, kept and rejected; speed and time left by the newest receipts, of
    all workers together.
    """
    from beam_jobs.status import status

    click.echo(status(output, storage_options(storage)))
