"""Sentence splitting: a rule by script, and pysbd's veto where a full stop may belong to its word.

On FLORES-200 dev, joined four lines at a time, the rule finds the borders of all 22 languages with
a recall of 0.98 to 1.00. pysbd 0.3.4 alone is at most 0.003 of F1 better (Italian), cuts Arabic at
commas (precision 0.43 against 0.89), and does 0.3 to 11 thousand lines a second where the rule does
more than 100. What it knows better is abbreviations, so it may veto a doubtful full stop and
nothing else.

The guards around it: at most 1,000 characters at a time, since some of its rules are quadratic; its
answer is only a set of places, so that no character is lost or invented.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from itertools import accumulate, pairwise
from typing import Any

import pysbd

from mining.contract.languages import alpha2

# pysbd's languages whose veto costs at most 0.001 of F1 on FLORES-200 dev (Russian and Spanish gain
# as much). Dutch and Italian gain nothing and take 3 and 8 ms a text: their lists are long.
PYSBD_LANGUAGES: frozenset[str] = frozenset({"deu", "eng", "fra", "rus", "spa"})

_BLOCK_CHARS = 1_000  # pysbd took at most 25 ms on 400 hostile texts of this length
_VETO_CHARS = 20_000  # a longer row is split by rule alone: pysbd could take half a second
_SHORT_WORD = 4  # characters; a full stop after a longer word ends a sentence beyond doubt

_CLOSERS = "\"'”’»›)\\]}」』）】〉》〕］｣"
_OPENERS = "\"'“‘„‚«‹(\\[{¿¡「『（【〈《〔–—-"
# Marks that end a sentence with or without a space after them: Chinese and Japanese, Devanagari,
# Urdu and Arabic, Armenian, Ethiopic, Khmer, Burmese.
_STRONG = "。！？｡︒।॥۔؟։።፧፨។៕။"
# French puts a space before "»". Possessive quantifiers (*+), so that no text takes quadratic time.
_CLOSED = rf"(?: »(?= |$)|[{_CLOSERS}“‘«‹])*+(?= |$)"  # “ and « close in German
_END = re.compile(
    rf"[{_STRONG}][!?.…{_STRONG}]*+[{_CLOSERS}]*+|(?<![.!?…])[.!?…]++{_CLOSED}"  # strong | weak
)
_GREEK_END = re.compile(rf"{_END.pattern}|;{_CLOSED}")  # the Greek question mark
_NO_START = frozenset(f"{_STRONG}.!?…,;:\u200c\u200d")  # nor does a combining mark start one
_CASELESS = frozenset(map(chr, range(0x10D0, 0x1100)))  # Georgian: lower case to Unicode alone
_MARK = re.compile(rf"[{_STRONG}.!?…;]")
_NEXT = re.compile(rf"[ {_OPENERS}]*(.?)")
# Abbreviations before a name or a number rather than before a new sentence.
_LISTED = (
    "mr mrs ms dr prof st sr sra jr fr rev gen col lt capt sgt hon hr no nos nr vol fig figs art "
    "pp ca cf vs bd str tel hl geb bzw usw inkl evtl mme mlle mm dott ing av ee sig dña exc "
    "jan feb mar apr jun jul aug sep sept oct okt nov dec dez "
    "гл им ул тов стр рис см проф акад"
)
_ABBREVIATIONS = frozenset(_LISTED.split())


def split_sentences(text: str, lang: str) -> list[str]:
    """Cut a normalised text into sentences.

    Writing without a sentence mark (Thai, Lao) stays in one piece.

    Args:
        text: normal form (:func:`mining.text.normalise.normalise`): no whitespace but single
            spaces.
        lang: canonical code (``"deu"``): pysbd is asked for some languages only.

    Returns:
        The sentences in order, stripped, none empty. Without spaces, their concatenation is
        ``text`` without spaces.
    """
    if not _MARK.search(text, 0, len(text) - 1):  # most rows: quick
        return [text] if text else []
    end = _GREEK_END if lang == "ell" else _END
    ends = [m for m in end.finditer(text) if m.end() < len(text) and _ends_sentence(text, m)]
    if not ends:
        return [text]
    cuts = [match.end() for match in ends]
    doubtful = {match.end() for match in ends if _is_doubtful(text, match)}
    if doubtful and lang in PYSBD_LANGUAGES and len(text) <= _VETO_CHARS:
        cuts = _without_vetoed(text, cuts, doubtful, lang)
    return [piece for a, b in pairwise([0, *cuts, len(text)]) if (piece := text[a:b].strip())]


def _ends_sentence(text: str, end: re.Match[str]) -> bool:
    """The rule: does a sentence end with this mark?"""
    mark = end.group()
    following = _NEXT.match(text, end.end())
    first = following.group(1) if following else ""
    if not first or first in _NO_START or unicodedata.category(first)[0] == "M":
        return False
    if mark[0] in _STRONG:  # a Japanese quotation goes on with a particle
        return not (mark[-1] in "」』" and first in "とっなのをに")
    if first.islower() and first not in _CASELESS:
        return False
    if mark[0] != ".":
        return True
    if mark.startswith(".."):
        return not first.isdigit()
    word = _word_before(text, end)
    if "." in word or (len(word) <= 1 and word.isalpha()):  # "e.g.", "U.S."; an initial
        return False
    if len(word) <= 2 and word.isdigit():  # an ordinal: "am 5. Mai"
        return False
    return word.lower() not in _ABBREVIATIONS


def _is_doubtful(text: str, end: re.Match[str]) -> bool:
    """May this full stop belong to its word?"""
    word = _word_before(text, end)
    return end.group() == "." and (len(word) <= _SHORT_WORD or not word.isalpha())


def _word_before(text: str, end: re.Match[str]) -> str:
    # A word is looked for in the last 40 characters, so that a text without spaces is not scanned
    # anew for every mark.
    start = text.rfind(" ", max(0, end.start() - 40), end.start()) + 1
    return text[max(start, end.start() - 40) : end.start()].strip(_OPENERS)


def _without_vetoed(text: str, cuts: list[int], doubtful: set[int], lang: str) -> list[int]:
    """The cuts but the doubtful ones that pysbd does not make.

    It reads the text between two certain cuts at a time; no more than a block of it.
    """
    kept: list[int] = []
    start = 0
    inner: list[int] = []
    for cut in [*cuts, len(text)]:
        if cut in doubtful:
            inner.append(cut)
            continue
        if inner and cut - start <= _BLOCK_CHARS:
            agreed = _library_cuts(text[start:cut], lang)
            inner = [place for place in inner if place - start in agreed]
        kept += [*inner, cut]
        start, inner = cut, []
    return kept[:-1]


def _library_cuts(block: str, lang: str) -> range | set[int]:
    """Places in ``block`` where pysbd cuts; all of them if it failed or changed a character."""
    try:
        sentences = ["".join(s.split()) for s in _segmenter(lang).processor(block).process()]
    except (re.error, IndexError):  # it builds patterns from the text without escaping it
        return range(len(block))
    if "".join(sentences) != block.replace(" ", ""):
        return range(len(block))
    ends = [place + 1 for place, char in enumerate(block) if char != " "]
    return {ends[size - 1] for size in accumulate(map(len, sentences)) if size}


@cache
def _segmenter(lang: str) -> Any:
    return pysbd.Segmenter(language=alpha2(lang), clean=False)
