"""List recordings of people for training, and those that are held out to judge.

    python examples/builtin_ears/people.py DATA OUT

Writes ``OUT/people.tsv`` (Common Voice clips of 22 languages and telephone prompts of five) and
``OUT/held_out.tsv`` (twelve Common Voice clips a language, by speakers, and with sentences, that are
in no training row).

DATA is laid out as in ``examples/evaluation/README.md``.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from sentences import readings
from synthesise import HEADER

from mining.contract.languages import canonical_language

HELD_OUT = 12  # clips a language

Rows = list[dict[str, str]]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    root = arguments.data.absolute()
    clips = read_table(root / "commonvoice/index.tsv")
    kept, judged = split(clips)
    train = [_clip(root, row) for row in kept]
    train += [_prompt(root, row) for row in prompts(root)]
    _write(arguments.output / "people.tsv", train)
    _write(arguments.output / "held_out.tsv", [_clip(root, row) for row in judged])
    print(f"{len(train)} clips to train on, {len(judged)} held out")


def split(clips: Rows) -> tuple[Rows, Rows]:
    """Clips to train on and clips to judge on; a sentence of the latter is in none of the former.

    Speakers are taken in the order of a hash as long as they fit into twelve clips a language.
    """
    judged: set[tuple[str, str]] = set()
    for lang in sorted({row["lang"] for row in clips}):
        sizes = Counter(row["speaker12"] for row in clips if row["lang"] == lang)
        room = HELD_OUT
        for speaker in sorted(sizes, key=lambda name: hashlib.sha256(name.encode()).digest()):
            if sizes[speaker] <= room:
                judged.add((lang, speaker))
                room -= sizes[speaker]
    held_out = [row for row in clips if (row["lang"], row["speaker12"]) in judged]
    said = {(row["lang"], row["sentence"]) for row in held_out}
    kept = [
        row
        for row in clips
        if (row["lang"], row["speaker12"]) not in judged
        and (row["lang"], row["sentence"]) not in said
    ]
    return kept, held_out


def prompts(root: Path) -> Rows:
    """Prompts with the English text of the same prompt, where there is one."""
    rows = read_table(root / "prompts/index.tsv")
    english = {row["prompt_id"]: row["text"] for row in rows if row["lang"] == "eng"}
    for row in rows:
        row["en"] = "" if row["lang"] == "eng" else english.get(row["prompt_id"], "")
    return rows


def read_table(path: Path) -> Rows:
    """A TSV file without quoting."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def _clip(root: Path, row: dict[str, str]) -> Sequence[str]:
    lang = canonical_language(row["lang"]) or row["lang"]
    audio = root / "commonvoice" / row["lang"] / "clips" / row["path"]
    return (str(audio), lang, row["sentence"], row["en_translation"],
            readings(row["sentence"], lang)[0], "", "", row["speaker12"])  # fmt: skip


def _prompt(root: Path, row: dict[str, str]) -> Sequence[str]:
    audio = root / "prompts" / row["path"]
    return (str(audio), row["lang"], row["text"], row["en"], "", "", "", f"prompts-{row['lang']}")


def _write(path: Path, rows: Sequence[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter="\t", lineterminator="\n").writerows([HEADER, *rows])


if __name__ == "__main__":
    main()
