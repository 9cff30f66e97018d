"""``mining inspect``."""

from __future__ import annotations

import click

from beam_jobs.cli.options import storage_options


@click.command("inspect")
@click.argument("dataset")
@click.option("--rows", default=5, show_default=True, type=click.IntRange(0, 1000))
@click.option("--storage", default="", metavar="YAML",
              help="fsspec options by protocol, such as '{s3: {anon: true}}'.")  # fmt: skip
def inspect_command(dataset: str, rows: int, storage: str) -> None:
    """Print schema, counts, statistics, first rows, and rejects by reason.

    DATASET is a folder below an output, a Parquet file, or the output itself.
    """
    from mining.report import inspect

    click.echo(inspect(dataset, storage_options(storage), rows))
