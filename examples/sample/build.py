"""Build a small corpus from its ``meanings.tsv`` and ``distractors.tsv``.

Run from anywhere::

    python examples/sample/build.py            # write the sample's derived files
    python examples/sample/build.py --check    # exit 1 if they are out of date
    python examples/sample/build.py FOLDER     # the same for another corpus folder

The languages are those in the header of ``meanings.tsv``. Derived files, all in the
corpus folder:

* ``text/<lang>.tsv`` (``id``, ``lang``, ``text``): gold sentences, distractors and a
  few exact duplicate rows of one language, in an order fixed by a hash. The ids are
  numbered after that shuffle, so they say nothing about which sentences correspond.
* ``gold.parquet``: one row per meaning and language, in the columns of ``GOLD_SCHEMA``; where
  there is a ``speech_gold.tsv`` (see ``speak.py``), also one per spoken meaning, with its times.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).resolve().parent
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


def read_tsv(path: Path, may_be_empty: str = "") -> tuple[list[str], list[list[str]]]:
    """Return the header and the data rows of a tab-separated file without empty cells.

    Cells of the column ``may_be_empty`` may be empty.
    """
    lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    header, *rows = [line.split("\t") for line in lines]
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header) or not all(
            cell.strip() or name == may_be_empty for name, cell in zip(header, row, strict=True)
        ):
            raise ValueError(f"{path.name}:{number}: expected {len(header)} non-empty cells")
    return header, rows


def read_meanings(path: Path) -> tuple[list[str], list[list[str]]]:
    """Return the languages named in the header and the rows of ``meanings.tsv``."""
    (first, *langs), rows = read_tsv(path)
    if first != "meaning_id" or not langs or len(set(langs)) != len(langs):
        raise ValueError(f"{path.name}: expected the header 'meaning_id' and distinct languages")
    for lang in langs:
        if re.fullmatch("[a-z]{3}", lang) is None:
            raise ValueError(f"{path.name}: not an ISO 639-3 code: {lang!r}")
    return langs, rows


def read_distractors(path: Path, langs: Sequence[str]) -> list[list[str]]:
    """Return the rows of ``distractors.tsv``, refusing languages without meanings."""
    header, rows = read_tsv(path)
    if header != ["lang", "text"]:
        raise ValueError(f"{path.name}: expected the header ['lang', 'text'], found {header}")
    unknown = sorted({lang for lang, _ in rows} - set(langs))
    if unknown:
        raise ValueError(f"{path.name}: unknown languages {unknown}")
    return rows


class Spoken(NamedTuple):
    """A row of ``speech_gold.tsv``: where a sentence sounds, in seconds."""

    source_uri: str
    lang: str
    meaning_id: str  # empty: no meaning, as that of a distractor
    text: str
    start_s: float
    end_s: float


def read_speech_gold(root: Path) -> list[Spoken]:
    """Return the rows of ``speech_gold.tsv``; none if there is no such file."""
    path = root / "speech_gold.tsv"
    if not path.is_file():
        return []
    header, rows = read_tsv(path, may_be_empty="meaning_id")
    if header != list(Spoken._fields):
        raise ValueError(f"{path.name}: expected the header {list(Spoken._fields)}, found {header}")
    return [
        Spoken(uri, lang, meaning_id, text, float(start_s), float(end_s))
        for uri, lang, meaning_id, text, start_s, end_s in rows
    ]


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


def gold_table(
    langs: Sequence[str],
    meanings: Iterable[Sequence[str]],
    speech: Iterable[Spoken],
) -> pa.Table:
    """Return one row per meaning and language, in the order of ``meanings.tsv``, then speech.

    Spoken sentences without a meaning are left out, as written ones are.
    """
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
        for lang, text in zip(langs, texts, strict=True)
    ]
    rows += [
        {**spoken._asdict(), "modality": "speech", "text": None}
        for spoken in speech
        if spoken.meaning_id
    ]
    return pa.Table.from_pylist(rows, schema=GOLD_SCHEMA)


def build(root: Path) -> tuple[dict[Path, str], pa.Table]:
    """Return the derived text files by path and the gold table, writing nothing."""
    langs, meanings = read_meanings(root / "meanings.tsv")
    distractors = read_distractors(root / "distractors.tsv", langs)
    files: dict[Path, str] = {}
    for column, lang in enumerate(langs, start=1):
        sentences = [row[column] for row in meanings]
        sentences += [text for row_lang, text in distractors if row_lang == lang]
        files[root / "text" / f"{lang}.tsv"] = render_lang(lang, sentences)
    return files, gold_table(langs, meanings, read_speech_gold(root))


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
    parser = argparse.ArgumentParser(description="Build a small corpus.")
    parser.add_argument(
        "folder", nargs="?", type=Path, default=HERE, help="corpus folder (default: the sample)"
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if a derived file differs"
    )
    args = parser.parse_args(argv)
    if args.check:
        differing = stale(args.folder)
        for name in differing:
            print(f"out of date: {name}", file=sys.stderr)
        return 1 if differing else 0
    write(args.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
