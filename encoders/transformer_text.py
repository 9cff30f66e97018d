"""The encoder of texts by a transformer: canonical batches around a network.

Shape legend: B rows of a segment batch, N rows of a canonical batch, D width of a vector.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from encoders.batched_encoder import BatchedEncoder
from encoders.card import EncoderCard
from encoders.families import TextSettings
from encoders.text_networks import Network
from mining.contract.encoder import EmbeddingBatch, Tokens
from mining.contract.errors import CheckpointError


class TextEncoder(BatchedEncoder):
    """An :class:`~mining.contract.encoder.Encoder` of texts by a :class:`Network`."""

    def __init__(self, network: Network, settings: TextSettings, card: EncoderCard) -> None:
        super().__init__(card, settings.batch_tokens)
        self._network = network
        self._check_width()

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
        vectors, tokens = np.zeros((len(texts), self.dim), dtype=np.float32), Tokens()
        if rows:
            ids: list[Any] = batch.column("segment_id").to_pylist()
            vectors[rows], tokens = self._vectors(
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
        vectors = (vectors / safe).astype(np.float32)
        return EmbeddingBatch(vectors=vectors, problems=problems, tokens=tokens)

    def _vectors(
        self, texts: list[str], groups: list[str], ids: list[str]
    ) -> tuple[NDArray[np.float32], Tokens]:
        lengths = np.zeros(len(texts), dtype=np.int64)
        for group in sorted(set(groups)):
            members = [row for row, name in enumerate(groups) if name == group]
            lengths[members] = self._network.lengths([texts[row] for row in members], group)
        self.count_truncated(lengths, self._network.max_tokens)

        def forward(rows: NDArray[np.int64], tokens: int, group: str) -> NDArray[np.float32]:
            with torch.inference_mode():
                found = self._network.vectors([texts[row] for row in rows], group, tokens)
                return found.float().cpu().numpy()

        return self.run(forward, lengths, ids, groups, self._network.max_tokens)

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
