"""What the recogniser learns to spell: Latin letters and spaces.

L letters of a text.
"""

from __future__ import annotations

import unicodedata

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
    parts = []
    for character in unicodedata.normalize("NFKC", text):
        roman = anyascii(character).lower()
        if unicodedata.name(character, "").startswith(_IDEOGRAPH):
            roman = f" {roman} "
        if character in _APOSTROPHES or unicodedata.category(character)[0] not in "LM":
            roman = " "
        parts.append("".join(c for c in roman if c in _CODES))
    return " ".join("".join(parts).split())


def codes(text: str) -> NDArray[np.int64]:
    """Symbols of :func:`letters`, int64 [L]."""
    return np.array([_CODES[character] for character in letters(text)], dtype=np.int64)
