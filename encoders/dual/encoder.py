"""A dual encoder behind the :class:`mining.contract.encoder.Encoder` protocol.

Shape legend: B rows of a segment batch, N rows of a canonical batch, D width of a vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from encoders.batched_encoder import BatchedEncoder
from encoders.card import EncoderCard
from encoders.dual.items import Item, Spoken, Written
from encoders.dual.model import DualEncoder
from mining.contract.encoder import EmbeddingBatch, Tokens
from mining.contract.model_ref import ModelRef
from mining.contract.schemas import FRAMES_COLUMN, SPEECH


class DualSpeechTextEncoder(BatchedEncoder):
    """Embeds text, and speech as its audio tokenizer hears it."""

    def __init__(self, model: DualEncoder, card: EncoderCard, batch_tokens: int) -> None:
        super().__init__(card, batch_tokens)
        self.model = model.eval()

    @property
    def audio_tokenizer_folder(self) -> Path | None:
        """Where the audio tokenizer lies; None: the model does not hear."""
        return self.model.audio_tokenizer_folder

    def embed(self, batch: pa.RecordBatch) -> EmbeddingBatch:
        """Unit vectors, float32 [B, D].

        Speech is read from :data:`~mining.contract.schemas.FRAMES_COLUMN`; where the batch has no
        such column, from its transcript, as text. Rows with nothing to embed, or whose vector is not
        finite, are problems.
        """
        items, problems = self._items(batch)
        vectors, tokens = np.zeros((batch.num_rows, self.dim), dtype=np.float32), Tokens()
        rows = sorted(items)
        if rows:
            ids: list[str] = batch.column("segment_id").to_pylist()
            vectors[rows], tokens = self._vectors(
                [items[row] for row in rows], [ids[row] for row in rows]
            )
        norms = np.linalg.norm(vectors, axis=1)
        for row in rows:
            if not np.isfinite(norms[row]) or norms[row] == 0:
                problems[row] = f"{self.name} gives a vector of length {norms[row]}"
                vectors[row] = 0
        return EmbeddingBatch(vectors=vectors, problems=problems, tokens=tokens)

    def _items(self, batch: pa.RecordBatch) -> tuple[dict[int, Item], dict[int, str]]:
        """Row -> what to embed of it; row -> why there is nothing."""
        items: dict[int, Item] = {}
        problems: dict[int, str] = {}
        texts: list[Any] = batch.column("text").to_pylist()
        langs: list[str] = batch.column("lang").to_pylist()
        modalities: list[str] = batch.column("modality").to_pylist()
        has_frames = FRAMES_COLUMN.name in batch.schema.names
        for row, (text, lang) in enumerate(zip(texts, langs, strict=True)):
            item: Item = Written(text=text or "", lang=lang)
            if modalities[row] == SPEECH and has_frames:
                frames = batch.column(FRAMES_COLUMN.name)[row]
                if not frames.is_valid:
                    problems[row] = "is speech without audio frames"
                    continue
                item = Spoken(regions=_regions(frames), lang=lang)
            fault = self.model.fault(item)
            if fault:
                problems[row] = fault
            else:
                items[row] = item
        return items, problems

    def _vectors(self, items: list[Item], ids: Sequence[str]) -> tuple[NDArray[np.float32], Tokens]:
        lengths = self.model.lengths(items)
        self.count_truncated(lengths, self.model.max_tokens)

        def forward(rows: NDArray[np.int64], tokens: int, group: str) -> NDArray[np.float32]:
            with torch.inference_mode():
                found: torch.Tensor = self.model([items[row] for row in rows], tokens)
                return found.cpu().numpy()

        if not self.model.tower.pads:
            return forward(np.arange(len(items)), 0, ""), Tokens()
        return self.run(forward, lengths, ids, [""] * len(items), self.model.max_tokens)


def load_dual(folder: Path, ref: ModelRef, card: EncoderCard, device: str) -> DualSpeechTextEncoder:
    """Open a dual encoder's folder to embed with.

    Raises:
        CheckpointError: the folder cannot be used.
        ConfigError: ``max_tokens`` leaves no room beside the prefix.
    """
    model = DualEncoder.from_pretrained(folder, device=device, dtype=ref.dtype)
    if ref.max_tokens is not None:
        model.limit_tokens(ref.max_tokens)
    return DualSpeechTextEncoder(model, card, ref.batch_tokens)


def _regions(frames: pa.ListScalar) -> tuple[NDArray[np.int16], ...]:
    """Units of each region, int16 [F] each; a region that is null has none."""
    regions = frames.values
    return tuple(
        np.asarray(region.values, dtype=np.int16) if region.is_valid else np.zeros(0, np.int16)
        for region in regions
    )
