"""``mining diff``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from beam_jobs.cli.options import storage_options

if TYPE_CHECKING:
    import pyarrow as pa

    from mining.report import Counts


@click.command("diff")
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@click.option("--rows", default=0, show_default=True, type=click.IntRange(0, 1000),
              help="Examples shown of each change, task and language pair.")  # fmt: skip
@click.option(
    "--to", "uri", metavar="FILE.parquet", help="Write every changed pair, with both scores."
)
@click.option("--json", "as_json", is_flag=True, help="Counts as JSON, without examples.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 if anything differs, as git does.")
@click.option("--storage", default="", metavar="YAML",
              help="fsspec options by protocol, such as '{s3: {anon: true}}'.")  # fmt: skip
@click.pass_context
def diff_command(
    context: click.Context,
    before: str,
    after: str,
    rows: int,
    uri: str | None,
    as_json: bool,
    exit_code: bool,
    storage: str,
) -> None:
    """Compare mined pairs: which were added, removed, or scored otherwise.

    A and B are outputs, folders of pairs, or Parquet files. A pair is the same if both its segments
    are; it is rescored if its margin score or similarity differs at all.
    """
    from mining.contract.uris import canonical_uri
    from mining.io.parquet import write_tables
    from mining.report import PAIR_CHANGE, differences, examples_of, find_pairs, table_of

    options = storage_options(storage)
    sides = find_pairs(before, options), find_pairs(after, options)
    counts: list[Counts] = []
    shown: list[str] = []

    def changes() -> Iterator[pa.Table]:
        for one in differences(*sides, rows=bool(uri) or (rows > 0 and not as_json)):
            counts.append(one.counts)
            if rows and one.counts.changed:
                shown.append(f"{one.counts.task} {one.counts.languages}".strip())
                shown.extend(examples_of(one.rows, rows))
            yield one.rows

    if uri is None:
        for _ in changes():
            continue
    else:
        write_tables(canonical_uri(uri), changes(), PAIR_CHANGE, options)
    if as_json:
        click.echo(json.dumps([one.to_json() for one in counts], indent=1))
    else:
        click.echo("\n".join([table_of(counts), *shown]))
    if exit_code and any(one.changed for one in counts):
        context.exit(1)
