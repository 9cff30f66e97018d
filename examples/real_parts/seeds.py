"""What is learned from: recordings of people, some synthetic speech, and parallel text."""

from __future__ import annotations

import csv
import gzip
import hashlib
from collections import Counter
from pathlib import Path

SOURCES = ("story_game", "office_help", "desktop_guide")
_LONGEST = 200  # letters of a text
_MARKUP = frozenset("$|<>{}%")

Rows = list[dict[str, str]]


def write_people(manifest: Path, langs: frozenset[str], output: Path) -> int:
    """The clips of people in some languages (none: all); how many."""
    return _write(_kept(manifest, langs), output)


def write_synthetic(
    manifest: Path, langs: frozenset[str], count: int, longest_s: float, output: Path
) -> int:
    """``count`` clips of each language, drawn by a hash; how many in all.

    Args:
        manifest: of ``examples/builtin_ears/synthesise.py``: start_s and end_s are given.
        langs: codes; none: all.
        count: a language.
        longest_s: longer ones are left out.
        output: manifest that is written, with absolute addresses.
    """
    seen: Counter[str] = Counter()
    drawn = []
    for row in sorted(_kept(manifest, langs), key=_draw):
        fits = float(row["end_s"]) - float(row["start_s"]) <= longest_s
        if fits and seen[row["lang"]] < count:
            seen[row["lang"]] += 1
            drawn.append(row)
    return _write(sorted(drawn, key=lambda row: (row["audio"], float(row["start_s"]))), output)


def write_texts(packages: Path, langs: frozenset[str], most: int, output: Path) -> int:
    """Pairs of a language and English with one id, as ``data.texts`` reads them; how many.

    Args:
        packages: of translations, see ``examples/evaluation/README.md``.
        langs: codes.
        most: pairs a language, drawn by a hash.
        output: table that is written.
    """
    count = 0
    with gzip.open(output, "wt", encoding="utf-8", newline="", compresslevel=1) as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE,
                            escapechar="\\")  # fmt: skip
        writer.writerow(("source", "target", "source_lang", "target_lang"))
        for lang in sorted(langs - {"eng"}):
            pairs = sorted(set(_pairs(packages, lang)), key=lambda pair: _digest("\t".join(pair)))
            writer.writerows((*pair, lang, "eng") for pair in pairs[:most])
            count += min(len(pairs), most)
    return count


def languages(manifest: Path) -> frozenset[str]:
    """Codes of the languages of a manifest."""
    return frozenset(row["lang"] for row in read_table(manifest))


def read_table(path: Path) -> Rows:
    """A TSV file with quoting as of CSV, which is how manifests are written."""
    if not path.is_file():
        raise SystemExit(
            f"{path}: must be a manifest, but is not there; make it with examples/builtin_ears"
        )
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def _pairs(packages: Path, lang: str) -> list[tuple[str, str]]:
    found = []
    for source in SOURCES:
        english = _texts(packages / source / "eng.tsv.gz")
        for key, text in _texts(packages / source / f"{lang}.tsv.gz").items():
            other = english.get(key, "")
            if other and max(len(text), len(other)) <= _LONGEST and not _MARKUP & {*text, *other}:
                found.append((text, other))
    return found


def _texts(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return {row["id"]: " ".join(row["text"].split()) for row in rows}


def _kept(manifest: Path, langs: frozenset[str]) -> Rows:
    rows = [row for row in read_table(manifest) if not langs or row["lang"] in langs]
    for row in rows:
        row["audio"] = str((manifest.parent / row["audio"]).absolute())
    return rows


def _write(rows: Rows, output: Path) -> int:
    if not rows:
        raise SystemExit(f"{output}: must hold some clips, but no row fits; check --langs")
    partial = output.with_suffix(".partial")
    with partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    partial.rename(output)
    return len(rows)


def _draw(row: dict[str, str]) -> bytes:
    return _digest(f"{Path(row['audio']).name} {row['start_s']} {row['lang']}")


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
