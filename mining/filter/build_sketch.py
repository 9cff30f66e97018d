"""Make a shipped sketch: ``python -m mining.filter.build_sketch NAME FILE...``.

Writes ``NAME.parquet`` beside this file. For the two sets that come with this package::

    python -m mining.filter.build_sketch ntrex NTREX/newstest2019-*.txt
    python -m mining.filter.build_sketch flores200-dev FLORES/dev/*.dev
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mining.filter.contamination import read_sentences, sketches_to_table
from mining.filter.sketch import sketch_texts
from mining.io.filesystem import Storage


def main(name: str, *files: str) -> None:
    """Sketch all lines of the files into one table."""
    lines = pa.chunked_array([read_sentences(file, Storage()) for file in files], pa.string())
    table = sketches_to_table(sketch_texts(lines))
    target = Path(__file__).with_name(f"{name}.parquet")
    pq.write_table(
        table,
        target,
        compression="zstd",
        compression_level=19,
        use_dictionary=False,
        column_encoding={"exact": "DELTA_BINARY_PACKED"},
    )
    print(f"{target}: {table.num_rows} sentences, {target.stat().st_size} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
