"""Embeddings of the teacher, kept on disk so that a second run does not compute them again."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from encoders.use_multilingual import UseMultilingual

_LOG = logging.getLogger(__name__)

_CHUNK = 16_384


class Teacher:
    """USE multilingual behind a cache of float16 vectors, one file per chunk of texts.

    Attributes:
        folder: where the chunks are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._row: dict[bytes, int] = {}
        self._chunks: list[NDArray[np.float16]] = []
        self._encoder: UseMultilingual | None = None
        for path in sorted(folder.glob("*.npz")):
            with np.load(path, allow_pickle=False) as chunk:
                self._add(chunk["keys"], chunk["vectors"])

    def embed(self, texts: Sequence[str], *, label: str) -> NDArray[np.float16]:
        """Unit vectors [N, 512] of ``texts``; what the cache lacks is computed and added to it."""
        missing = [text for text in dict.fromkeys(texts) if _key(text) not in self._row]
        began = time.monotonic()
        for start in range(0, len(missing), _CHUNK):
            self._compute(missing[start : start + _CHUNK])
            done = min(start + _CHUNK, len(missing))
            rate = done / (time.monotonic() - began)
            _LOG.info("teacher %s: %d of %d, %.0f a second", label, done, len(missing), rate)
        rows = [self._row[_key(text)] for text in texts]
        return np.concatenate(self._chunks)[rows]

    def _compute(self, texts: Sequence[str]) -> None:
        if self._encoder is None:
            self._encoder = UseMultilingual()
        vectors = self._encoder.vectors(texts).astype(np.float16)
        keys = np.array([list(_key(text)) for text in texts], dtype=np.uint8)
        name = hashlib.sha256(keys.tobytes()).hexdigest()[:16]
        partial = self.folder / f"{name}.partial"
        with partial.open("wb") as file:
            np.savez(file, keys=keys, vectors=vectors)
        partial.rename(self.folder / f"{len(self._chunks):05d}-{name}.npz")
        self._add(keys, vectors)

    def _add(self, keys: NDArray[np.uint8], vectors: NDArray[np.float16]) -> None:
        first = sum(map(len, self._chunks))
        self._row.update({bytes(key): first + row for row, key in enumerate(keys)})
        self._chunks.append(vectors)


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
