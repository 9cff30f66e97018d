"""``mining inspect``."""

from __future__ import annotations

import click

from mining.config.yaml_nodes import parse_yaml
from mining.contract.errors import ConfigError


@click.command("inspect")
@click.argument("dataset")
@click.option("--rows", default=5, show_default=True, type=click.IntRange(0, 1000))
@click.option("--storage", default="", metavar="YAML",
              help="fsspec options by protocol, such as '{s3: {anon: true}}'.")  # fmt: skip
def inspect_command(dataset: str, rows: int, storage: str) -> None:
    """Print schema, counts, statistics, first rows, and rejects by reason.

    DATASET is a folder below an output, a Parquet file, or the output itself.
    """
    from mining.io.filesystem import Storage
    from mining.report import inspect

    problems: list[str] = []
    options = parse_yaml(storage, "--storage", problems).plain()
    if problems or not isinstance(options, dict):
        raise ConfigError(f"--storage: must be a YAML mapping, but is {storage!r}")
    click.echo(inspect(dataset, Storage(options=options), rows))
