"""``mining mine``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from beam_jobs.progress import Progress
from mining.contract.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

_MARGINS = ("ratio", "distance", "absolute")
_INDEXES = ("exact", "ivf-flat", "ivf-pq", "ivf-fastscan")
_SELECTS = ("max", "intersection", "union", "forward", "backward", "all")


@click.command("mine")
@click.option("--source", required=True, type=click.Path(path_type=Path), metavar="FILE",
              help="Vectors: .npy, or Parquet with columns id and embedding.")  # fmt: skip
@click.option("--target", required=True, type=click.Path(path_type=Path), metavar="FILE",
              help="Likewise.")  # fmt: skip
@click.option("--to", "output", required=True, metavar="OUT.parquet", help="Where the pairs go.")
@click.option("--k", type=click.IntRange(1, 1024), default=4, show_default=True,
              help="Neighbours a side.")  # fmt: skip
@click.option("--margin", type=click.Choice(_MARGINS), default="ratio", show_default=True)
@click.option("--select", type=click.Choice(_SELECTS), default="max", show_default=True)
@click.option("--threshold", type=float, help="Lowest margin score kept; default: no limit.")
@click.option("--keep-copies", is_flag=True,
              help="Mine every row; otherwise a vector of several rows is mined once.")  # fmt: skip
@click.option("--backend", default="auto", show_default=True,
              help="Of exact search; decides time, never the result.")  # fmt: skip
@click.option("--index", type=click.Choice(_INDEXES), default="exact", show_default=True,
              help="Approximate: faster on millions of rows; says what it missed.")  # fmt: skip
@click.option("--probes", type=click.IntRange(1), default=128, show_default=True,
              help="Lists of an approximate index that a query looks into.")  # fmt: skip
@click.option("--threads", type=click.IntRange(1), help="Default: one a core.")
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
def mine_command(
    source: Path, target: Path, output: str, keep_copies: bool, quiet: bool, **options: Any
) -> None:
    """Mine pairs of two files of vectors, without a corpus or a config.

    Writes src_row, tgt_row (0-based), similarity, margin_score and mutual, best first; src_id and
    tgt_id beside them where a file holds ids (Parquet, or .npy with one id a line in NAME.ids.txt).
    """
    # numba and torch take seconds to import: not before the command line is right
    from mining.contract.uris import canonical_uri
    from mining.io.filesystem import Storage
    from mining.io.parquet import write_table
    from mining.mine import Search, mine_pairs

    progress = Progress(quiet=quiet)
    (x, src_ids), (y, tgt_ids) = _read(source), _read(target)
    search = Search(
        **{name: options.pop(name) for name in ("backend", "threads", "index", "probes")}
    )
    pairs = mine_pairs(x, y, distinct=not keep_copies, search=search, say=progress.say, **options)
    for name, ids in (("src", src_ids), ("tgt", tgt_ids)):
        if ids is not None:
            pairs = pairs.append_column(f"{name}_id", ids.take(pairs[f"{name}_row"]))
    write_table(canonical_uri(output), pairs, Storage())
    click.echo(f"{pairs.num_rows} pairs of {len(x)} and {len(y)} rows: {output}")


def _read(path: Path) -> tuple[NDArray[np.floating[Any]], pa.Array | None]:
    """Vectors, and their ids if the file has some."""
    import numpy as np

    from encoders.precomputed import VectorFile, open_vectors

    if not path.is_file():
        raise InputError(f"{path}: must be a file of vectors, .npy or Parquet, but there is none")
    if path.suffix == ".parquet":
        return open_vectors(VectorFile(path=path, ids_path=path))
    ids = path.with_suffix(".ids.txt")
    if ids.is_file():
        return open_vectors(VectorFile(path=path, ids_path=ids))
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False), None
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            f"{path}: must be a .npy array of floats, but cannot be read: {error}"
        ) from None
