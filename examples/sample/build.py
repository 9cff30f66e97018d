"""Build the sample corpus from ``meanings.tsv`` and ``distractors.tsv``.

Run from anywhere::

    python examples/sample/build.py            # write the derived files
    python examples/sample/build.py --check    # exit 1 if they are out of date

Derived files, all next to this script:

* ``text/<lang>.tsv`` (``id``, ``lang``, ``text``): gold sentences, distractors and a
  few exact duplicate rows of one language, in an order fixed by a hash. The ids are
  numbered after that shuffle, so they say nothing about which sentences correspond.
* ``gold.parquet``: one row per meaning and language, in the columns of ``GOLD_SCHEMA``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).resolve().parent
LANGS: tuple[str, ...] = ("eng", "deu", "fra", "spa", "ita", "nld", "cat", "cym", "est", "tur")
DUPLICATES_PER_LANG = 3

_GOLD_COLUMNS: dict[str, pa.DataType] = {
    "meaning_id": pa.string(),
    "lang": pa.string(),
    "modality": pa.string(),
    "text": pa.string(),
    "source_uri": pa.string(),
    "start_s": pa.float64(),
    "end_s": pa.float64(),
}
GOLD_SCHEMA = pa.schema(_GOLD_COLUMNS)


def read_tsv(path: Path, header: Sequence[str]) -> list[list[str]]:
    """Return the data rows of a tab-separated file, refusing any other header or width."""
    lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    rows = [line.split("\t") for line in lines]
    if rows[0] != list(header):
        raise ValueError(f"{path.name}: expected the header {list(header)}, found {rows[0]}")
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(header) or not all(cell.strip() for cell in row):
            raise ValueError(f"{path.name}:{number}: expected {len(header)} non-empty cells")
    return rows[1:]


def digest(*parts: str) -> bytes:
    """Return a stable sort key for a tuple of strings."""
    return blake2b("\t".join(parts).encode("utf-8"), digest_size=16).digest()


def render_lang(lang: str, sentences: Iterable[str]) -> str:
    """Return the content of ``text/<lang>.tsv``, duplicates included."""
    texts = list(sentences)
    if len(set(texts)) != len(texts):
        raise ValueError(f"{lang}: the gold sentences and distractors are not all distinct")
    repeated = sorted(texts, key=lambda text: digest("duplicate", lang, text))
    keyed = [(digest(lang, text), text) for text in texts]
    keyed += [(digest(lang, text, "copy"), text) for text in repeated[:DUPLICATES_PER_LANG]]
    lines = ["id\tlang\ttext"]
    for number, (_, text) in enumerate(sorted(keyed), start=1):
        lines.append(f"{lang}-{number:03d}\t{lang}\t{text}")
    return "\n".join(lines) + "\n"


def gold_table(meanings: Iterable[Sequence[str]]) -> pa.Table:
    """Return one row per meaning and language, in the order of ``meanings.tsv``."""
    rows = [
        {
            "meaning_id": meaning_id,
            "lang": lang,
            "modality": "text",
            "text": text,
            "source_uri": None,
            "start_s": None,
            "end_s": None,
        }
        for meaning_id, *texts in meanings
        for lang, text in zip(LANGS, texts, strict=True)
    ]
    return pa.Table.from_pylist(rows, schema=GOLD_SCHEMA)


def build(root: Path) -> tuple[dict[Path, str], pa.Table]:
    """Return the derived text files by path and the gold table, writing nothing."""
    meanings = read_tsv(root / "meanings.tsv", ("meaning_id", *LANGS))
    distractors = read_tsv(root / "distractors.tsv", ("lang", "text"))
    unknown = sorted({lang for lang, _ in distractors} - set(LANGS))
    if unknown:
        raise ValueError(f"distractors.tsv: unknown languages {unknown}")
    files: dict[Path, str] = {}
    for column, lang in enumerate(LANGS, start=1):
        sentences = [row[column] for row in meanings]
        sentences += [text for row_lang, text in distractors if row_lang == lang]
        files[root / "text" / f"{lang}.tsv"] = render_lang(lang, sentences)
    return files, gold_table(meanings)


def stale(root: Path) -> list[str]:
    """Name the derived files that are missing or differ from what ``build`` gives.

    The Parquet file is compared by schema and content: its bytes depend on the
    version of pyarrow that wrote it.
    """
    files, gold = build(root)
    differing = [
        path.name
        for path, content in files.items()
        if not path.is_file() or path.read_bytes() != content.encode("utf-8")
    ]
    expected = {path.name for path in files}
    differing += sorted(
        path.name for path in (root / "text").glob("*") if path.name not in expected
    )
    gold_path = root / "gold.parquet"
    if not gold_path.is_file() or not pq.read_table(gold_path).equals(gold):
        differing.append(gold_path.name)
    return differing


def write(root: Path) -> None:
    """Write every derived file below ``root``."""
    files, gold = build(root)
    (root / "text").mkdir(exist_ok=True)
    for path, content in files.items():
        path.write_bytes(content.encode("utf-8"))
    pq.write_table(gold, root / "gold.parquet", compression="zstd")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(description="Build the sample corpus.")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if a derived file differs"
    )
    args = parser.parse_args(argv)
    if args.check:
        differing = stale(HERE)
        for name in differing:
            print(f"out of date: {name}", file=sys.stderr)
        return 1 if differing else 0
    write(HERE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
