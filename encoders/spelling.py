"""The encoder ``spelling``: hashed character n-grams. No weights, no languages, no meaning.

It finds a text again that was written down a little differently, so it is the encoder for recordings
against texts of their own language: a recogniser errs in letters, and a sentence encoder takes the
words that come out for other words. Across languages it only sees names and cognates.

Feature hashing with signs after Weinberger et al. 2009, "Feature Hashing for Large Scale Multitask
Learning". B rows, G n-grams of a batch, D width.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mining.contract.encoder import EmbeddingBatch

_DIM = 1024
# Weight of an n-gram by its length: single letters tell little, but in Chinese they are words.
_WEIGHTS = {1: 0.5, 2: 1.0, 3: 1.0, 4: 1.0}
_SPACE = ord(" ")
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio (Knuth, TAOCP 3, 6.4)


class Spelling:
    """Each vector depends on its text alone, bit for bit."""

    name = "spelling"
    dim = _DIM
    space = "spelling-1"
    modalities = frozenset({"text"})
    languages: tuple[str, ...] = ()
    licence = "apache-2.0"

    def __init__(self) -> None:
        decides = f"{self.space} {_DIM} {_WEIGHTS} {unicodedata.unidata_version}"
        self.fingerprint = hashlib.sha256(decides.encode()).hexdigest()

    def embed(self, batch: pa.RecordBatch) -> EmbeddingBatch:
        """Embed the column ``text`` of a SEGMENT batch; texts without a letter are problems."""
        texts = batch.column("text").to_pylist()
        folded = [folded_text(text or "") for text in texts]
        problems = {row: "no letters" for row, text in enumerate(folded) if not text}
        return EmbeddingBatch(vectors=_vectors(folded), problems=problems)


def folded_text(text: str) -> str:
    """Letters, marks that are letters' bodies, and digits in lower case; accents and vowel points fall.

    Arabic and Hebrew vowel points and Latin accents go, since recognisers and writers leave them
    out; whatever is no letter is a space, and spaces are one.
    """
    kept = []
    for char in unicodedata.normalize("NFKD", text.casefold()):
        kind = unicodedata.category(char)
        if kind[0] in "LN" or kind == "Mc":
            kept.append(char)
        elif kind != "Mn":
            kept.append(" ")
    return " ".join("".join(kept).split())


def _vectors(texts: Sequence[str]) -> NDArray[np.float32]:
    """Unit vectors, float32 [B, D]; zero for an empty text."""
    vectors = np.zeros((len(texts), _DIM), dtype=np.float64)
    padded = [f" {text} " if text else "" for text in texts]
    joined = "".join(padded)
    codes = np.frombuffer(joined.encode("utf-32-le"), dtype=np.uint32).astype(np.uint64)
    row = np.repeat(np.arange(len(texts)), [len(text) for text in padded])
    for size, weight in _WEIGHTS.items():
        if len(codes) < size:
            continue
        count = len(codes) - size + 1
        hashed = np.full(count, np.uint64(size))
        for offset in range(size):
            hashed = _mixed(hashed ^ codes[offset : offset + count])
        inside = row[:count] == row[size - 1 :]
        if size == 1:
            inside &= codes != _SPACE
        _add(vectors, row[:count][inside], hashed[inside], weight)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float64] = np.divide(vectors, norms, out=vectors, where=norms > 0)
    return unit.astype(np.float32)


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A bijection of 64-bit integers that spreads neighbours."""
    mixed = values * _MULTIPLIER
    return np.asarray(mixed ^ (mixed >> np.uint64(29)), dtype=np.uint64)


def _add(
    vectors: NDArray[np.float64], row: NDArray[np.int64], hashed: NDArray[np.uint64], weight: float
) -> None:
    """Add the square root of each n-gram's count, with its sign, at its place."""
    order = np.lexsort((hashed, row))
    row, hashed = row[order], hashed[order]
    first = np.ones(len(row), dtype=bool)
    first[1:] = (row[1:] != row[:-1]) | (hashed[1:] != hashed[:-1])
    starts = np.flatnonzero(first)
    counts = np.diff(starts, append=len(row))
    place = (hashed[starts] >> np.uint64(33)) % np.uint64(_DIM)
    sign = np.where(hashed[starts] >> np.uint64(63), 1.0, -1.0)
    np.add.at(vectors, (row[starts], place.astype(np.int64)), sign * weight * np.sqrt(counts))
