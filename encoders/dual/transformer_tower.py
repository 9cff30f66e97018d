"""A Hugging Face backbone as the one network of a dual encoder.

Shape legend: B items, L tokens, H width of a token vector, D width of a vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import PreTrainedTokenizerBase

from encoders.dual.backbone import (
    hidden_size,
    is_native,
    load_backbone,
    load_text_tokenizer,
    longest_input,
    save_backbone,
)
from encoders.dual.config import CONFIG_FILE, DualEncoderConfig
from encoders.dual.extended_embedding import ExtendedEmbedding, joined_state, split
from encoders.dual.items import Item, Spoken, Written
from encoders.dual.lora import LoraSettings, add_adapters, lora_parameters, merged_state
from encoders.dual.native_layout import (
    load_projection,
    save_projection,
    save_sentence_transformers,
)
from encoders.dual.pooling import pooled
from encoders.dual.token_ids import TokenIds
from encoders.dual.tower import Tower
from encoders.dual.wording import Wording
from encoders.text_checkpoints import loading
from mining.contract.errors import CheckpointError, ConfigError


class TransformerTower(Tower):
    """Backbone, pooling, and a linear projection where there is one."""

    def __init__(
        self,
        backbone: Any,
        tokenizer: PreTrainedTokenizerBase,
        config: DualEncoderConfig,
        wording: Wording,
        projection: nn.Linear | None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.projection = projection
        self.tokenizer = tokenizer
        self.max_tokens = config.max_tokens
        self._config = config
        self._token_ids = TokenIds(tokenizer, config, wording)
        self._require_room()

    def lengths(self, items: Sequence[Item]) -> NDArray[np.int64]:
        """Tokens of each item, int64 [B]."""
        return np.fromiter(map(len, self._token_ids.ids(items)), np.int64, len(items))

    def forward(self, items: Sequence[Item], tokens: int | None = None) -> torch.Tensor:
        """Pooled and projected vectors [B, D]."""
        ids, mask = self._token_ids.batch(items, self.max_tokens, tokens)
        ids, mask = ids.to(self.backbone.device), mask.to(self.backbone.device)
        hidden = self.backbone(input_ids=ids, attention_mask=mask).last_hidden_state
        vectors = pooled(hidden, mask, self._config.pooling)
        if self.projection is None:
            return vectors
        found: torch.Tensor = self.projection(vectors.to(self.projection.weight.dtype))
        return found

    def parts(self) -> dict[str, list[nn.Parameter]]:
        """Disjoint groups of all weights."""
        table = self.backbone.get_input_embeddings()
        audio = [table.audio.weight] if isinstance(table, ExtendedEmbedding) else []
        lora = lora_parameters(self.backbone)
        others = {id(weight) for weight in (*audio, *lora)}
        text = [weight for weight in self.backbone.parameters() if id(weight) not in others]
        projection = [] if self.projection is None else list(self.projection.parameters())
        parts = {"text": text, "audio": audio, "projection": projection}
        return parts | {"lora": lora} if lora else parts

    def limit_tokens(self, max_tokens: int) -> None:
        """Cut inputs earlier from now on."""
        super().limit_tokens(max_tokens)
        self._require_room()

    def add_lora(self, settings: LoraSettings) -> None:
        """Add adapters to the backbone's linear layers."""
        add_adapters(self.backbone, settings)

    def save(self, folder: Path, config: DualEncoderConfig) -> None:
        """Write a native folder.

        ``modules.json`` is left out where sentence-transformers would not embed alike: it cannot
        append an end token, nor open an encoder that was taken out of an M2M100.
        """
        state = joined_state(self.backbone, merged_state(self.backbone))
        save_backbone(self.backbone, state, config.text_rows + config.audio_rows, folder)
        self.tokenizer.save_pretrained(folder)
        if self.projection is not None:
            save_projection(self.projection, folder)
        if is_native(self.backbone) and not config.append_end:
            save_sentence_transformers(config, hidden_size(self.backbone), folder)

    def _require_room(self) -> None:
        """Refuse a length that the prefix alone fills."""
        lang = (self._config.languages or ("eng",))[0]
        items: list[Item] = [Written(text="a", lang=lang), Spoken(regions=(), lang=lang)]
        overhead = max(map(self._token_ids.overhead, items))
        if overhead >= self.max_tokens:
            raise ConfigError(
                f"max_tokens: must leave room beside the {overhead} tokens of prefix and special "
                f"tokens, but is {self.max_tokens}; shorten the prefix or raise max_tokens"
            )


def load_transformer_tower(
    folder: Path, config: DualEncoderConfig, wording: Wording, dtype: str
) -> TransformerTower:
    """Open a folder that :meth:`TransformerTower.save` wrote.

    Raises:
        CheckpointError: a file is missing or damaged, or the parts do not match.
    """
    with loading(folder):
        backbone = load_backbone(folder, dtype)
        table = backbone.get_input_embeddings()
        wanted = config.text_rows + config.audio_rows
        if table.num_embeddings != wanted:
            raise CheckpointError(
                f"{folder}: the embedding table must have {config.text_rows} rows of text and "
                f"{config.audio_rows} of audio, as {CONFIG_FILE} says, but has "
                f"{table.num_embeddings}; the folder's parts do not belong together"
            )
        hidden = hidden_size(backbone)
        if not config.projection and config.dim != hidden:
            raise CheckpointError(
                f"{folder}: vectors must be {config.dim} wide, as {CONFIG_FILE} says, but the "
                f"backbone's are {hidden}; the folder's parts do not belong together"
            )
        projection = None
        if config.projection:
            projection = load_projection(folder, hidden, config.dim or 0, dtype)
        if config.audio_rows:
            backbone.set_input_embeddings(split(table, config.text_rows))
        tokenizer = load_text_tokenizer(folder, config.text_rows)
        if config.append_end and tokenizer.eos_token_id is None:
            raise CheckpointError(
                f"{folder}: the tokenizer must have an end token, which {CONFIG_FILE} says is appended, "
                "but has none; the folder's parts do not belong together"
            )
        if config.max_tokens > longest_input(backbone, tokenizer):
            raise CheckpointError(
                f"{folder}: max_tokens must be at most {longest_input(backbone, tokenizer)}, for "
                f"which the backbone has positions, but is {config.max_tokens} in {CONFIG_FILE}"
            )
        return TransformerTower(backbone, tokenizer, config, wording, projection)
