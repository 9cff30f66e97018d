"""Sentences: which are spoken, which are read, which only judge, and what is known of each language.

A meaning is judged or learned from in all languages alike: its English wording decides.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from encoders.audio_tokens.letters import letters

sys.path.append(str(Path(__file__).parents[1] / "builtin_ears"))
from sentences import sentences

SPOKEN = ("deu", "eng", "fra", "nld", "por", "spa")  # with speech to learn from
UNSEEN = ("ita", "swe", "slv", "rus")  # without: two near kin, one far, one in another script
ENGLISH = "eng"

Text = Literal["none", "monolingual", "parallel"]
TEXTS: tuple[Text, ...] = ("none", "monolingual", "parallel")

_JUDGED_IN = 8  # one meaning in so many is judged
_FEWEST_LETTERS, _MOST_LETTERS = 12, 70  # of what is spoken
_NOISE = 0.15  # of the letters of a text
_ALPHABET = "abcdefghijklmnopqrstuvwxyz "


class Sentence(NamedTuple):
    """A text and its English translation: of an English text the text itself, "" if not known."""

    text: str
    english: str


class Sentences(NamedTuple):
    """Of one language: none of ``judged`` means what one of ``learned`` does, in any language."""

    learned: list[Sentence]
    judged: list[Sentence]


def read_sentences(packages: Path, lang: str) -> Sentences:
    """All sentences of a language in an order drawn at random, longer ones sooner.

    Args:
        packages: folder with ``<source>/<lang>.tsv.gz``, columns id and text.
        lang: ISO 639-3 code.
    """
    found = Sentences([], [])
    meant: set[str] = set()
    for one in sentences(packages, lang, sys.maxsize, 0):
        sentence = Sentence(one.text, one.translation or one.text)
        if not is_judged(sentence.english):
            found.learned.append(sentence)
        elif sentence.english not in meant:
            meant.add(sentence.english)
            found.judged.append(sentence)
    return found


def is_judged(english: str) -> bool:
    """Whether a meaning is judged: one in eight is, whatever its case and punctuation."""
    return digest(english) % _JUDGED_IN == 0


def digest(english: str) -> int:
    """A number of a sentence's letters."""
    said = "".join(filter(str.isalpha, english.casefold()))
    return int.from_bytes(hashlib.blake2b(said.encode(), digest_size=8).digest(), "big")


def save_sentences(path: Path, found: Sequence[Sentence]) -> None:
    """Write sentences as their letters, which is all that an encoder here reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (f"{letters(one.text)}\t{letters(one.english)}\n" for one in found)
    path.write_text("".join(lines), encoding="utf-8")


def load_sentences(path: Path) -> list[Sentence]:
    """What :func:`save_sentences` wrote, without those that have no letters."""
    lines = path.read_text(encoding="utf-8").splitlines()
    found = [Sentence(*line.split("\t")) for line in lines]
    return [one for one in found if one.text and one.english]


def speakable(found: Sequence[Sentence], count: int) -> list[Sentence]:
    """The first ``count`` sentences that take a few seconds to say."""
    fit = (one for one in found if _FEWEST_LETTERS <= len(letters(one.text)) <= _MOST_LETTERS)
    return [one for one, _ in zip(fit, range(count), strict=False)]


def text_pairs(
    learned: Sequence[Sentence], text: Text, rng: np.random.Generator
) -> list[tuple[str, str, bool]]:
    """What is known of a language from text: pairs, and whether the second text is English.

    Each sentence is in one pair: ``parallel`` with its translation, ``monolingual`` with itself. The
    first text has letters left out, added or changed, as a recogniser might.

    Args:
        learned: sentences as letters, of :func:`load_sentences`.
        text: what is known.
        rng: draws the noise.
    """
    if text == "none":
        return []
    is_english = text == "parallel"
    return [
        (noisy(one.text, rng), one.english if is_english else one.text, is_english)
        for one in learned
    ]


def noisy(text: str, rng: np.random.Generator) -> str:
    """Letters, 15 in 100 of them left out, followed by another, or changed."""
    kinds = np.where(rng.random(len(text)) < _NOISE, rng.integers(1, 4, len(text)), 0)
    others = rng.integers(0, len(_ALPHABET), len(text))
    changed = []
    for letter, kind, other in zip(text, kinds.tolist(), others.tolist(), strict=True):
        changed.append((letter, "", letter + _ALPHABET[other], _ALPHABET[other])[kind])
    return " ".join("".join(changed).split()) or text
