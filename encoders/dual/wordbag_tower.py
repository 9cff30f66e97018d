"""A word bag as the one network of a dual encoder: this project's own, small enough to be shipped.

Text is a bag of words and n-grams; speech is the words that its audio tokens are taken for, read by
the same rows. What is done with the rows begins alike, but speech may learn which words not to trust.
A word bag with an orthography says of both how they are spelled, too, with one and the same map.

Shape legend: B items, D width of a vector.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from encoders.dual.config import CONFIG_FILE, DualEncoderConfig
from encoders.dual.items import Item, Spoken
from encoders.dual.tower import Tower
from encoders.dual.wording import Wording
from encoders.wordbag.features import MAX_TOKENS, tokens_of
from encoders.wordbag.model import WordBagConfig, WordBagModel
from encoders.wordbag.reader import vectors_of
from mining.contract.errors import CheckpointError
from mining.threads import torch_threads

_WEIGHTS = "model.safetensors"


class WordBagTower(Tower):
    """The network, and how items are read for it."""

    pads = False

    def __init__(self, model: WordBagModel, wording: Wording) -> None:
        super().__init__()
        self.model = model
        self.max_tokens = MAX_TOKENS
        self._wording = wording

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Self:
        """Neither moved nor rounded: sums are gathered on the CPU, in float32, where it is fastest."""
        return self

    def lengths(self, items: Sequence[Item]) -> NDArray[np.int64]:
        """Words of each item, int64 [B]; those beyond the 256th are not even counted.

        What is meant is read up to there, how it is spelled to the end.
        """
        texts = [self._wording.text(item) for item in items]
        return np.fromiter((len(tokens_of(text)) for text in texts), np.int64, len(texts))

    def forward(self, items: Sequence[Item], tokens: int | None = None) -> torch.Tensor:
        """Vectors [B, D]; zero where nothing is known of an item."""
        texts = [self._wording.text(item) for item in items]
        spoken = [isinstance(item, Spoken) for item in items]
        # Products are small: threads gain little, and wait for each other on a busy machine.
        with nullcontext() if torch.is_grad_enabled() else torch_threads(1):
            meant = vectors_of(self.model, texts, spoken)
            if self.model.orthography is None:
                return meant
            written = self.model.orthography([self._wording.spelling(item) for item in items])
            config = self.model.config
            shares = (config.written_share, config.heard_share)
            share = torch.tensor([[shares[one]] for one in spoken])
            parts = (functional.normalize(meant) * (1 - share).sqrt(), written * share.sqrt())
            return torch.cat(parts, dim=1)

    def parts(self) -> dict[str, list[nn.Parameter]]:
        """``text``: the network behind the table, whose 4-bit rows cannot be trained; ``audio``.

        The orthography, though texts are read by it, is there for speech, and learns with it.
        """
        audio = (self.model.ears, self.model.orthography)
        return {
            "text": list(self.model.head.parameters()),
            "audio": [one for part in audio if part is not None for one in part.parameters()],
            "projection": [],
        }

    def save(self, folder: Path, config: DualEncoderConfig) -> None:
        """Write ``config.json`` and ``model.safetensors``: the table in 4 bits, the rest in float16."""
        tensors = {
            name: (value.half() if value.is_floating_point() else value).contiguous()
            for name, value in self.model.state_dict().items()
        }
        self.model.config.save_pretrained(folder)
        save_file(tensors, folder / _WEIGHTS)


def with_ears(model: WordBagModel, hears: bool, **changed: Any) -> WordBagModel:
    """The text part of a word bag, with ears that begin as a copy of it, or without.

    Args:
        model: stays as it is.
        hears: whether there are ears.
        changed: settings of an orthography, which is drawn by torch's global generator.
    """
    found = WordBagModel(WordBagConfig(**{**model.config.to_dict(), "hears": hears, **changed}))
    for name in ("keys", "table", "scales"):
        setattr(found, name, getattr(model, name))
    found.head.load_state_dict(model.head.state_dict())
    if found.ears is not None:
        found.ears.load_state_dict(model.head.state_dict())
    if found.orthography is not None and model.orthography is not None and not changed:
        found.orthography.load_state_dict(model.orthography.state_dict())
    return found


def load_wordbag_tower(folder: Path, config: DualEncoderConfig, wording: Wording) -> WordBagTower:
    """Open the network of a model folder.

    Raises:
        CheckpointError: a file is missing or damaged, or the parts do not match.
    """
    model = load_wordbag(folder)
    if (model.ears is not None) != bool(config.audio_units) or model.vector_dim != config.dim:
        raise CheckpointError(
            f"{folder / CONFIG_FILE}: audio_units and dim must be those of config.json, but are not; "
            "copy the model folder again"
        )
    return WordBagTower(model, wording)


def load_wordbag(folder: Path) -> WordBagModel:
    """Open ``config.json`` and ``model.safetensors``; float16 becomes float32.

    Raises:
        CheckpointError: a file is missing or is not what it says.
    """
    try:
        model = WordBagModel(WordBagConfig.from_pretrained(folder))
        model.load_state_dict(load_file(folder / _WEIGHTS))
    except (OSError, KeyError, ValueError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(
            f"{folder}: must be a word bag (config.json, {_WEIGHTS}), but cannot be opened: {error}"
        ) from error
    return model
