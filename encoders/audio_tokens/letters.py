"""A text as Latin letters: what the small recogniser learns to spell.

L letters of a text.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

import numpy as np
from anyascii import anyascii
from numpy.typing import NDArray

from encoders.audio_tokens.conv_ctc_network import SYMBOLS

_CODES = {symbol: code for code, symbol in enumerate(SYMBOLS) if symbol}
_IDEOGRAPH = "CJK UNIFIED"
_APOSTROPHES = "'’ʼ`"  # they part words, as in French; Hebrew's and Ukrainian's pay for it


def letters(text: str) -> str:
    """A text in lower-case Latin letters, one space between words.

    Other scripts are romanised letter by letter (anyascii); a Chinese character is a word.
    """
    return " ".join("".join(map(_roman, unicodedata.normalize("NFKC", text))).split())


def codes(text: str) -> NDArray[np.int64]:
    """Symbols of :func:`letters`, int64 [L]."""
    return np.array([_CODES[character] for character in letters(text)], dtype=np.int64)


@lru_cache(maxsize=65536)
def _roman(character: str) -> str:
    if character in _APOSTROPHES or unicodedata.category(character)[0] not in "LM":
        return " "
    roman = "".join(c for c in anyascii(character).lower() if c in _CODES)
    return f" {roman} " if unicodedata.name(character, "").startswith(_IDEOGRAPH) else roman
