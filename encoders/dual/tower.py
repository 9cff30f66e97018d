"""The one network of a dual encoder, whatever kind it is.

Shape legend: B items, D width of a vector.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from encoders.dual.config import DualEncoderConfig
from encoders.dual.items import Item
from encoders.dual.lora import LoraSettings
from mining.contract.errors import ConfigError


class Tower(nn.Module, ABC):
    """Items in, one vector an item out, not yet of unit length.

    Items have passed :meth:`encoders.dual.wording.Wording.check` before they come here.

    Attributes:
        max_tokens: longer inputs are cut.
        pads: whether a vector may depend, in its last bits, on what is computed beside it.
    """

    max_tokens: int
    pads: bool = True

    @abstractmethod
    def lengths(self, items: Sequence[Item]) -> NDArray[np.int64]:
        """Tokens of each item, prefix and special tokens included, before truncation: int64 [B]."""

    @abstractmethod
    def forward(self, items: Sequence[Item], tokens: int | None = None) -> torch.Tensor:
        """Vectors [B, D], any float type.

        Args:
            items: at least one.
            tokens: length that inputs are padded to; None: the longest one's. Of no meaning to a
                network that does not pad.
        """

    @abstractmethod
    def parts(self) -> dict[str, list[nn.Parameter]]:
        """Disjoint groups of all weights: ``text``, ``audio``, ``projection``; ``lora`` if added."""

    @abstractmethod
    def save(self, folder: Path, config: DualEncoderConfig) -> None:
        """Write weights and tokenizer into a folder that exists; adapters merged.

        Args:
            folder: empty.
            config: of the model, with the name and languages that it has by now.
        """

    def limit_tokens(self, max_tokens: int) -> None:
        """Cut inputs earlier from now on.

        Raises:
            ConfigError: nothing but the prefix would be left.
        """
        self.max_tokens = min(self.max_tokens, max_tokens)

    def add_lora(self, settings: LoraSettings) -> None:
        """Add adapters.

        Raises:
            ConfigError: this kind of network takes none.
        """
        raise ConfigError(f"lora: must be left out for a {type(self).__name__}, which has no place")
