"""Loops of a recogniser that has lost its thread: ``thank you thank you thank you ...`` to one.

Greedy decoding of silence, music or a language that a model hardly knows often ends in such a loop
(Radford et al. 2022, section 4.5). What people say twice or thrice on purpose is left alone.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import unicodedata
from collections.abc import Sequence

from mining.contract.speech import Word

MAX_REPEATS = 3
# Whole sentences come in loops too; in scripts without spaces a word is one character.
LONGEST_PHRASE_WORDS = 24
_LONGEST_CYCLE_CHARACTERS = 8
# Letters of one word: "ahahahahaha" and "loooool" are spoken, thirty of them are not.
_MAX_CYCLES = 10


def cut_repetitions(
    words: Sequence[Word], max_repeats: int = MAX_REPEATS
) -> tuple[tuple[Word, ...], bool]:
    """Cut loops, and say whether there was one.

    A phrase of up to 24 words that stands more than ``max_repeats`` times in a row keeps its first
    time only; case and marks are ignored. Inside a word, so that scripts without spaces are covered,
    the same holds for 1 to 8 characters more than ten times in a row.

    Text without such loops comes back as it was; cutting a second time changes nothing.
    """
    found = [_cut_inside(word) for word in words]
    before: list[Word] = []
    while len(found) != len(before):  # a cut may bring two halves of another loop together
        before = found
        for length in range(1, LONGEST_PHRASE_WORDS + 1):
            found = _cut_phrases(found, length, max_repeats)
    return tuple(found), found != list(words)


def _cut_phrases(words: list[Word], length: int, max_repeats: int) -> list[Word]:
    keys = [_key(word.text) for word in words]
    kept: list[Word] = []
    row = 0
    while row < len(words):
        repeats = _repeats(keys, row, length)
        if repeats > max_repeats:
            kept += words[row : row + length]
            row += repeats * length
        else:
            kept.append(words[row])
            row += 1
    return kept


def _repeats(keys: Sequence[str], start: int, length: int) -> int:
    """How many times in a row the phrase stands there."""
    low = start + length
    while low + length <= len(keys) and keys[low : low + length] == keys[start : start + length]:
        low += length
    return (low - start) // length


def _key(text: str) -> str:
    """What is compared of a word: all but marks and spaces, or marks where there is nothing else."""
    bare = "".join(c for c in text.casefold() if unicodedata.category(c)[0] not in "PZ")
    return bare or text.strip()


def _cut_inside(word: Word) -> Word:
    text, before = word.text, ""
    while text != before:
        before, text = text, _cycle().sub(r"\1", text)
    return word if text == word.text else dataclasses.replace(word, text=text)


@functools.lru_cache(maxsize=1)
def _cycle() -> re.Pattern[str]:
    return re.compile(rf"(.{{1,{_LONGEST_CYCLE_CHARACTERS}}}?)\1{{{_MAX_CYCLES},}}", re.DOTALL)
