"""A word bag behind the :class:`mining.contract.encoder.Encoder` protocol."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file

from encoders.wordbag.features import token_features, tokens_of
from encoders.wordbag.model import WordBagConfig, WordBagModel
from mining.contract.encoder import EmbeddingBatch
from mining.contract.errors import CheckpointError

_FILES = ("config.json", "model.safetensors")
_TEXTS = 4096  # embedded at once: bounds memory


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread for a while.

    Products are small here: threads gain little, and waste nearly all time waiting for each other
    when other processes hold the cores.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class WordBagEncoder:
    """Embeds each text by itself.

    Sums run in the order of the text, and matrix products in blocks of a fixed shape, so a text has
    the same vector, bit for bit, whatever its neighbours (on one kind of processor and one version
    of torch).

    Attributes:
        licence: SPDX identifier, out of ``dual_encoder.json``.
        languages: ISO 639-3 codes it was trained on; others are embedded, but badly.
    """

    modalities = frozenset({"text"})

    def __init__(self, model: WordBagModel, facts: dict[str, object], fingerprint: str) -> None:
        self.model = model.eval()
        self.name = str(facts["name"])
        self.dim = int(model.config.dim)
        self.space = str(facts["space"])
        self.licence = str(facts["licence"])
        languages = facts["languages"]
        self.languages = tuple(languages) if isinstance(languages, list) else ()
        self.fingerprint = fingerprint
        self._keys = model.keys.numpy().view(np.uint32)

    def embed(self, batch: pa.RecordBatch) -> EmbeddingBatch:
        """Embed the column ``text`` of a SEGMENT batch.

        Texts of which no feature is known are problems.
        """
        texts = [text or "" for text in batch.column("text").to_pylist()]
        with one_thread():
            parts = [self._vectors(texts[at : at + _TEXTS]) for at in range(0, len(texts), _TEXTS)]
        vectors = np.concatenate([np.zeros((0, self.dim), np.float32), *parts])
        empty = np.flatnonzero(~vectors.any(axis=1))
        problems = {int(row): "no word or n-gram that the encoder knows" for row in empty}
        return EmbeddingBatch(vectors=vectors, problems=problems)

    @torch.inference_mode()
    def _vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors float32 [B, D]; zero where no feature is known."""
        ids: dict[str, int] = {}
        tokens = [[ids.setdefault(word, len(ids)) for word in tokens_of(text)] for text in texts]
        rows, counts = self._rows(list(ids))
        vectors = np.zeros((len(texts), self.dim), dtype=np.float32)
        place = np.cumsum(counts > 0) - 1  # of a token among those with a known feature
        known = [[int(place[t]) for t in row if counts[t]] for row in tokens]
        kept = [row for row, words in enumerate(known) if words]
        if not kept:
            return vectors
        counts = counts[counts > 0]
        sums = self.model.sums(torch.from_numpy(rows), torch.from_numpy(np.cumsum(counts) - counts))
        sizes = np.array([len(known[row]) for row in kept])
        flat = np.concatenate([known[row] for row in kept])
        starts = torch.from_numpy(np.cumsum(sizes) - sizes)
        found = self.model.head.blocked(sums, torch.from_numpy(flat), starts)
        vectors[kept] = found.numpy()
        return vectors

    def _rows(self, words: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Table rows of the known features of each word [F], and how many each has [U]."""
        hashes, offsets = token_features(words)
        place = np.minimum(np.searchsorted(self._keys, hashes), len(self._keys) - 1)
        known = self._keys[place] == hashes
        before = np.concatenate([[0], np.cumsum(known)])
        return place[known], np.diff(before[offsets])


def load_wordbag(folder: Path) -> WordBagEncoder:
    """Open a folder with ``config.json``, ``model.safetensors`` and ``dual_encoder.json``.

    Raises:
        CheckpointError: if a file is missing or is not what it says.
    """
    try:
        facts = json.loads((folder / "dual_encoder.json").read_text(encoding="utf-8"))
        model = WordBagModel(WordBagConfig.from_pretrained(folder))
        model.load_state_dict(load_file(folder / "model.safetensors"))  # float16 into float32
        digest = hashlib.sha256()
        for name in _FILES:
            digest.update(hashlib.sha256((folder / name).read_bytes()).digest())
        return WordBagEncoder(model, facts, digest.hexdigest())
    except (OSError, KeyError, ValueError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(
            f"{folder}: must be a word bag (config.json, model.safetensors, dual_encoder.json), "
            f"but cannot be opened: {error}"
        ) from error
