"""Sentences to be spoken, out of parallel text, and how they are read aloud."""

from __future__ import annotations

import csv
import gzip
import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

SOURCES = ("story_game", "office_help", "desktop_guide", "office_interface", "wiki_interface")
_MOST_LETTERS = 110
_FEWEST_LETTERS = 9
# What no one reads aloud: digits, markup, placeholders, paths, shouting.
_UNSPOKEN = re.compile(r"[0-9$%&<>{}\[\]|\\/_=+*#@~^]|[A-Z]{3}|https?:|\w\.\w")
_IDEOGRAPHS = ("zho", "jpn")


class Sentence(NamedTuple):
    """A sentence, its English translation ("" for English itself), and its reading.

    ``reading`` is what the recogniser learns to spell where the script does not say it: pinyin of
    Chinese, Latin letters of Japanese; "" elsewhere. ``spoken`` is what a synthesiser is given.
    """

    text: str
    translation: str
    reading: str
    spoken: str


def sentences(packages: Path, lang: str, count: int, seed: int) -> list[Sentence]:
    """Sentences of a language, drawn; half of them as long as people speak, no text twice.

    Args:
        packages: folder with ``<source>/<lang>.tsv.gz``, columns id and text.
        lang: ISO 639-3 code.
        count: how many, at most.
        seed: of the draw.
    """
    found: dict[str, str] = {}
    for source in SOURCES:
        english = rows_of(packages / source / "eng.tsv.gz")
        for key, text in rows_of(packages / source / f"{lang}.tsv.gz").items():
            if _can_be_spoken(text, lang):
                found.setdefault(text, "" if lang == "eng" else english.get(key, ""))
    texts = sorted(found)
    rng = np.random.default_rng([seed, *lang.encode()])
    # longer ones are rarer in these sources than in speech
    weight = np.array([min(len(text), 60) ** 1.5 for text in texts])
    count = min(count, len(texts))
    chosen = rng.choice(len(texts), count, replace=False, p=weight / weight.sum())
    return [Sentence(texts[i], found[texts[i]], *readings(texts[i], lang)) for i in chosen]


def readings(text: str, lang: str) -> tuple[str, str]:
    """How a recogniser spells a text ("" if as it stands), and what a synthesiser is given."""
    if lang == "zho":
        from pypinyin import Style, lazy_pinyin

        return " ".join(lazy_pinyin(text)), " ".join(lazy_pinyin(text, style=Style.TONE3))
    if lang == "jpn":
        pieces = kakasi().convert(text)
        return (
            " ".join(piece["hepburn"] for piece in pieces),
            "".join(piece["hira"] for piece in pieces),
        )
    return "", text


@cache
def kakasi() -> Any:
    import pykakasi

    return pykakasi.kakasi()


@cache
def rows_of(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        reader = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        next(reader)
        return {row[0]: row[1] for row in reader if len(row) == 2}


def _can_be_spoken(text: str, lang: str) -> bool:
    letters = sum(map(str.isalpha, text))
    shrink = 3 if lang in _IDEOGRAPHS else 1  # a Chinese character says as much as three letters
    if not letters * shrink >= _FEWEST_LETTERS or len(text) * shrink > _MOST_LETTERS:
        return False
    if _UNSPOKEN.search(text) or letters < 0.6 * len(text):
        return False
    return lang not in _IDEOGRAPHS or not re.search(r"[A-Za-z]", text)
