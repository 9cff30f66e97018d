"""Sketches of sentences: enough to recognise a sentence again, not enough to read it.

A sentence is reduced to its letters and digits; a 64-bit hash of these recognises it in any case,
punctuation and spacing, and a minhash sketch of its character n-grams recognises it after small
edits (Broder 1997; keeping 8 bits a slot: Li and Koenig 2010, "b-bit minwise hashing").
"""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

SLOTS = 36
NGRAM = 4  # characters, alphabets and syllabaries
NGRAM_CJK = 2  # characters, Han, Kana and Hangul: each says as much as two or three letters
MIN_LETTERS = (
    20  # shorter sentences have too few n-grams: they are recognised exactly or not at all
)
MIN_LETTERS_CJK = 8

SHORT, ALPHABETIC, CJK = 0, 1, 2  # Sketches.kind

_LENGTH_STEPS = 8  # length classes to a doubling
_BATCH = 2048  # texts sketched at once, so that the arrays stay in the processor's cache
_RNG = np.random.default_rng(20240403)
_MULTIPLIERS = _RNG.integers(0, 2**31, SLOTS, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
_OFFSETS = _RNG.integers(0, 2**32, SLOTS, dtype=np.uint32)


@dataclass(frozen=True, kw_only=True)
class Sketches:
    """Sketches of N texts.

    Attributes:
        exact: uint64 [N], hash of the letters and digits; 0 where there are none.
        kind: uint8 [N], ``SHORT`` (recognised exactly only), ``ALPHABETIC`` or ``CJK``.
        length: uint8 [N], 8 log2 of the number of letters and digits, rounded.
        slots: uint8 [N, SLOTS], meaningless where SHORT.
    """

    exact: NDArray[np.uint64]
    kind: NDArray[np.uint8]
    length: NDArray[np.uint8]
    slots: NDArray[np.uint8]


def sketch_texts(texts: pa.Array | pa.ChunkedArray) -> Sketches:
    """Sketch every text of a string array [N]; null counts as empty."""
    parts = [
        _sketch_batch(texts.slice(start, _BATCH)) for start in range(0, max(len(texts), 1), _BATCH)
    ]
    return Sketches(
        exact=np.concatenate([part.exact for part in parts]),
        kind=np.concatenate([part.kind for part in parts]),
        length=np.concatenate([part.length for part in parts]),
        slots=np.concatenate([part.slots for part in parts]),
    )


def _sketch_batch(texts: pa.Array | pa.ChunkedArray) -> Sketches:
    codes, bounds = _letters(texts)
    lengths = np.diff(bounds)
    cjk_before = np.concatenate([[0], np.cumsum(_character_classes()[1][codes])])
    cjk = (cjk_before[bounds[1:]] - cjk_before[bounds[:-1]]) * 2 > lengths
    kind = np.where(cjk, CJK, ALPHABETIC).astype(np.uint8)
    kind[lengths < np.where(cjk, MIN_LETTERS_CJK, MIN_LETTERS)] = SHORT
    slots = np.zeros((len(lengths), SLOTS), dtype=np.uint8)
    for wanted, size in ((ALPHABETIC, NGRAM), (CJK, NGRAM_CJK)):
        rows = np.flatnonzero(kind == wanted)
        if len(rows):
            slots[rows] = _minhash(codes, bounds[rows], lengths[rows], size)
    return Sketches(
        exact=_exact_hashes(codes, bounds),
        kind=kind,
        length=np.rint(_LENGTH_STEPS * np.log2(np.maximum(lengths, 1))).astype(np.uint8),
        slots=slots,
    )


def _letters(texts: pa.Array | pa.ChunkedArray) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Code points of the letters and digits of all texts, end to end, and bounds int64 [N + 1].

    Case and compatibility forms are folded as in Unicode's caseless matching (standard, D146), and
    the dotless i with the dotted: their capitals are the same letter to all but Turkish rules.
    """
    lines = pc.fill_null(pc.replace_substring(texts, "\n", " "), "").to_pylist()
    folded = unicodedata.normalize("NFKC", "\n".join(lines)).casefold()
    folded = unicodedata.normalize("NFKC", folded.replace("ı", "i"))
    codes = np.frombuffer(folded.encode("utf-32-le", "replace"), dtype=np.uint32)
    kept = _character_classes()[0][codes]
    before = np.concatenate([[0], np.cumsum(kept)])
    breaks = np.flatnonzero(codes == ord("\n"))
    bounds = np.concatenate([[0], before[breaks], before[-1:]])[: len(lines) + 1]
    return codes[kept], bounds


@cache
def _character_classes() -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """For every code point: is it a letter or digit, is it Han, Kana or Hangul. bool [0x110000]."""
    alphanumeric = np.fromiter(
        (chr(code).isalnum() for code in range(0x110000)), dtype=np.bool_, count=0x110000
    )
    # Vowel signs of the scripts from Devanagari to Khmer are letters to their readers.
    for code in range(0x0900, 0x1800):
        alphanumeric[code] |= unicodedata.category(chr(code)) in {"Mn", "Mc"}
    cjk = np.zeros(0x110000, dtype=np.bool_)
    for first, last in (
        (0x3005, 0x3007),
        (0x3040, 0x30FF),
        (0x3400, 0x9FFF),
        (0xAC00, 0xD7AF),
        (0xF900, 0xFAFF),
        (0x20000, 0x3FFFF),
    ):
        cjk[first : last + 1] = True
    return alphanumeric, cjk


def _exact_hashes(codes: NDArray[np.uint32], bounds: NDArray[np.int64]) -> NDArray[np.uint64]:
    raw, edges = codes.tobytes(), (bounds * 4).tolist()
    digests = b"".join(
        hashlib.blake2b(raw[start:end], digest_size=8).digest() if end > start else bytes(8)
        for start, end in pairwise(edges)
    )
    return np.frombuffer(digests, dtype="<u8")


def _minhash(
    codes: NDArray[np.uint32], starts: NDArray[np.int64], lengths: NDArray[np.int64], size: int
) -> NDArray[np.uint8]:
    """Low 8 bits of the least hash of a text's n-grams, per slot: uint8 [R, SLOTS]."""
    grams = codes[: len(codes) - size + 1].copy()
    for shift in range(1, size):
        grams *= np.uint32(0x9E3779B1)
        grams ^= grams >> np.uint32(15)
        grams += codes[shift : len(codes) - size + 1 + shift]
    grams = _mixed(grams)
    counts = lengths - (size - 1)
    firsts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    grams = grams[np.repeat(starts - firsts, counts) + np.arange(counts.sum())]
    slots = np.empty((len(starts), SLOTS), dtype=np.uint8)
    scratch = np.empty_like(grams)
    for slot in range(SLOTS):
        np.multiply(grams, _MULTIPLIERS[slot], out=scratch)
        scratch += _OFFSETS[slot]
        slots[:, slot] = np.minimum.reduceat(scratch, firsts)
    return slots


def _mixed(values: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """The 32-bit finaliser of MurmurHash3."""
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        values ^= values >> np.uint32(shift)
        values *= np.uint32(factor)
    values ^= values >> np.uint32(16)
    return values
