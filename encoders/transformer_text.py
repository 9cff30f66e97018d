"""The encoder of texts by a transformer: canonical batches around a network.

Shape legend: B rows of a segment batch, N rows of a canonical batch, D width of a vector.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from encoders.batching import BatchRunner, canonical_batches
from encoders.card import EncoderCard
from encoders.families import TextSettings
from encoders.text_networks import Network
from mining.contract.encoder import EmbeddingBatch
from mining.contract.errors import CheckpointError

_LOG = logging.getLogger(__name__)


class TextEncoder:
    """An :class:`~mining.contract.encoder.Encoder` of texts by a :class:`Network`."""

    def __init__(self, network: Network, settings: TextSettings, card: EncoderCard) -> None:
        self._network = network
        self._settings = settings
        self.card = card
        self._truncated = 0
        self._backed_off = 0
        self._check_width()

    @property
    def name(self) -> str:
        """Short name for people."""
        return self.card.name

    @property
    def dim(self) -> int:
        """D."""
        return self.card.dim

    @property
    def space(self) -> str:
        """Name of the embedding space."""
        return self.card.space

    @property
    def modalities(self) -> frozenset[str]:
        """Text."""
        return self.card.modalities

    @property
    def fingerprint(self) -> str:
        """Digest of everything that decides a vector."""
        return self.card.fingerprint

    @property
    def notes(self) -> tuple[str, ...]:
        """What a manifest should say of the work done so far."""
        notes = []
        if self._truncated:
            notes.append(f"{self._truncated} texts cut to {self._network.max_tokens} tokens")
        if self._backed_off:
            notes.append(f"{self._backed_off} batches halved for lack of GPU memory")
        return tuple(notes)

    def embed(self, batch: pa.RecordBatch) -> EmbeddingBatch:
        """Unit vectors, float32 [B, D], of the rows' texts.

        Rows without text, of a language that the model has no code for, or whose vector is not
        finite are problems.
        """
        problems: dict[int, str] = {}
        texts: list[Any] = batch.column("text").to_pylist()
        langs: list[Any] = batch.column("lang").to_pylist()
        groups = {lang: self._network.group_of(lang) for lang in set(langs)}
        for row, (text, lang) in enumerate(zip(texts, langs, strict=True)):
            if text is None:
                problems[row] = "has no text"
            elif groups[lang] is None:
                problems[row] = f"{self.name} knows no language {lang!r}"
        rows = [row for row in range(len(texts)) if row not in problems]
        vectors = np.zeros((len(texts), self.dim), dtype=np.float32)
        if rows:
            ids: list[Any] = batch.column("segment_id").to_pylist()
            vectors[rows] = self._vectors(
                [texts[row] for row in rows],
                [groups[langs[row]] or "" for row in rows],
                [ids[row] for row in rows],
            )
        norms = np.linalg.norm(vectors.astype(np.float64), axis=1)
        for row in rows:
            if not np.isfinite(norms[row]) or norms[row] == 0:
                problems[row] = f"{self.name} gives a vector of length {norms[row]}"
                norms[row] = 0
        safe = np.where(norms == 0, 1, norms)[:, None]
        return EmbeddingBatch(vectors=(vectors / safe).astype(np.float32), problems=problems)

    def _vectors(self, texts: list[str], groups: list[str], ids: list[str]) -> NDArray[np.float32]:
        lengths = np.zeros(len(texts), dtype=np.int64)
        for group in sorted(set(groups)):
            members = [row for row, name in enumerate(groups) if name == group]
            lengths[members] = self._network.lengths([texts[row] for row in members], group)
        self._count_truncated(int((lengths > self._network.max_tokens).sum()), len(texts))

        def forward(rows: NDArray[np.int64], tokens: int, group: str) -> NDArray[np.float32]:
            with torch.inference_mode():
                found = self._network.vectors([texts[row] for row in rows], group, tokens)
                return found.float().cpu().numpy()

        runner = BatchRunner(forward)
        batches = canonical_batches(
            lengths,
            ids,
            groups,
            max_tokens=self._network.max_tokens,
            batch_tokens=self._settings.batch_tokens,
        )
        vectors = runner.run(batches, len(texts), self.dim)
        self._backed_off += runner.backed_off
        return vectors

    def _count_truncated(self, count: int, rows: int) -> None:
        if count and not self._truncated:
            _LOG.warning(
                "%s: %d of %d texts are longer than %d tokens and are cut there (said once)",
                self.name,
                count,
                rows,
                self._network.max_tokens,
            )
        self._truncated += count

    def _check_width(self) -> None:
        """One forward pass at load: a wrong width or pooling shows now, not in the middle."""
        group = self._network.group_of("eng") or ""
        with torch.inference_mode():
            width = self._network.vectors(["a"], group, min(16, self._network.max_tokens)).shape[-1]
        if width != self.dim:
            raise CheckpointError(
                f"{self.name}: vectors must be {self.dim} wide as its config says, but are "
                f"{width}; the folder's parts do not belong together"
            )
