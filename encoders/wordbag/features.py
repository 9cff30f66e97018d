"""Text to words, and words to hashed features: the word, its n-grams, and those of its romanisation.

A token is a word, a number, a run of Katakana, or a window of up to three characters where Chinese
characters and Hiragana are written without spaces. The features of a token are 32-bit hashes; a
table of known hashes turns them into rows, and unknown ones are dropped (n-gram features after
Bojanowski et al. 2017, "Enriching Word Vectors with Subword Information", section 3.2).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import numpy as np
from anyascii import anyascii
from numpy.typing import NDArray

MAX_TOKENS = 256  # of a text; the rest is ignored
_MAX_LETTERS = 30  # of a word
_WINDOW = 3
_ORDERS = (3, 4, 5)

# FNV-1a with code points in place of octets, then the finaliser of MurmurHash3 (fmix64).
_OFFSET = np.uint64(0xCBF29CE484222325)
_PRIME = np.uint64(0x100000001B3)
_MIX = (np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53))
_WHOLE = np.uint64(ord("="))  # hashed before a whole word, so that it differs from its n-grams

_IDEOGRAPHS = "\u3041-\u309f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_KATAKANA = "\u30a0-\u30fa\u30fc-\u30ff"
_IDEOGRAPH = re.compile(f"[{_IDEOGRAPHS}]")
# Combining marks belong to their word: \w leaves them out.
_MARKS = "\u0300-\u036f\u0900-\u0903\u093a-\u094f\u0b82\u0bbe-\u0bcd\u0bd7"
_TOKEN = re.compile(
    f"(?P<run>[{_IDEOGRAPHS}]+)|[{_KATAKANA}]+|[0-9]+|(?:[^\\W0-9_{_IDEOGRAPHS}{_KATAKANA}]|[{_MARKS}])+"
)
# Arabic script: vowel signs and the stretching stroke go, letters that keyboards mix up become one;
# joiners part the pieces of Persian words.
_FOLD = str.maketrans(
    {
        **dict.fromkeys(map(chr, (*range(0x64B, 0x653), 0x640, 0x670, 0x200D)), ""),
        **dict.fromkeys("أإآٱ", "ا"), "ي": "ی", "ى": "ی", "ئ": "ی", "ك": "ک", "ة": "ه", "ؤ": "و",
        "\u200c": " ", "’": "'", "ʼ": "'",
    }
)  # fmt: skip


def tokens_of(text: str) -> list[str]:
    """Tokens of a text, in order; at most ``MAX_TOKENS``."""
    folded = unicodedata.normalize("NFKC", text).casefold().translate(_FOLD)
    tokens: list[str] = []
    for match in _TOKEN.finditer(folded):
        piece = match[0]
        if match["run"] is None:
            tokens.append(piece[:_MAX_LETTERS])
        else:
            tokens.extend(piece[at : at + _WINDOW] for at in range(len(piece)))
        if len(tokens) >= MAX_TOKENS:
            return tokens[:MAX_TOKENS]
    return tokens


def token_features(tokens: Sequence[str]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Hashes of the features of each token.

    Returns:
        hashes uint32 [F], and offsets int64 [T + 1]: token t owns hashes[offsets[t]:offsets[t+1]].
    """
    spellings: list[str] = []
    owner: list[int] = []
    windows: list[bool] = []
    for index, token in enumerate(tokens):
        window = _is_ideograph(token[0])
        spellings.append(token)
        owner.append(index)
        windows.append(window)
        if not window and not token.isascii():
            roman = anyascii(token).lower()
            if roman != token and roman:
                spellings.append(roman[:_MAX_LETTERS])
                owner.append(index)
                windows.append(False)
    if not spellings:
        return np.zeros(0, np.uint32), np.zeros(1, np.int64)
    hashes, spelling = _hash_spellings(spellings, np.array(windows))
    owners = np.array(owner, dtype=np.int64)[spelling]
    order = np.argsort(owners, kind="stable")
    counts = np.bincount(owners, minlength=len(tokens))
    return hashes[order], np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _is_ideograph(character: str) -> bool:
    return _IDEOGRAPH.match(character) is not None


def _hash_spellings(
    spellings: Sequence[str], windows: NDArray[np.bool_]
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Hashes of all features of S spellings [F], and which spelling each belongs to [F]."""
    marked = [s if w else f"<{s}>" for s, w in zip(spellings, windows, strict=True)]
    lengths = np.fromiter(map(len, marked), dtype=np.int64, count=len(marked))
    codes = np.frombuffer("".join(marked).encode("utf-32-le"), dtype=np.uint32).astype(np.uint64)
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    index = np.arange(len(marked))
    found, owner = [], []
    for order in range(1, _WINDOW + 1):  # beginnings of windows: 1, 2, 3 characters
        rows = index[windows & (lengths >= order)]
        found.append(_hash_spans(codes, starts[rows], order, _OFFSET))
        owner.append(rows)
    for order in _ORDERS:
        rows = np.repeat(index, np.where(windows, 0, np.maximum(lengths - order + 1, 0)))
        at = starts[rows] + _position_in_run(rows)
        found.append(_hash_spans(codes, at, order, _OFFSET))
        owner.append(rows)
    whole = (np.full(len(marked), _OFFSET) ^ _WHOLE) * _PRIME
    for step in range(int(lengths.max())):
        longer = lengths > step
        whole[longer] = (whole[longer] ^ codes[starts[longer] + step]) * _PRIME
    found.append(whole[~windows])
    owner.append(index[~windows])
    return _finish(np.concatenate(found)), np.concatenate(owner)


def _hash_spans(
    codes: NDArray[np.uint64], at: NDArray[np.int64], order: int, seed: np.uint64
) -> NDArray[np.uint64]:
    hashes = np.full(len(at), seed)
    for step in range(order):
        hashes = (hashes ^ codes[at + step]) * _PRIME
    return hashes


def _position_in_run(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """0, 1, 2, ... within each run of equal values of a sorted array."""
    if not len(rows):
        return rows
    begins = np.flatnonzero(np.r_[True, rows[1:] != rows[:-1]])
    return np.arange(len(rows)) - np.repeat(begins, np.diff(np.r_[begins, len(rows)]))


def _finish(hashes: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """fmix64, upper half."""
    shift = np.uint64(33)
    hashes = (hashes ^ (hashes >> shift)) * _MIX[0]
    hashes = (hashes ^ (hashes >> shift)) * _MIX[1]
    return ((hashes ^ (hashes >> shift)) >> np.uint64(32)).astype(np.uint32)
