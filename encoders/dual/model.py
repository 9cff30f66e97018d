"""The dual encoder: one network, an audio tokenizer's vocabulary, and how both are read.

Shape legend: B items, D width of a vector.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from encoders.audio_tokens.card import AudioTokenizerCard
from encoders.dual.config import (
    AUDIO_TOKENIZER_FOLDER,
    DualEncoderConfig,
    read_config,
    read_units,
    write_config,
)
from encoders.dual.folder import written_whole
from encoders.dual.items import Item
from encoders.dual.load_tower import load_tower
from encoders.dual.lora import LoraSettings
from encoders.dual.tower import Tower
from encoders.dual.wording import Wording
from mining.contract.errors import CheckpointError


class DualEncoder(nn.Module):
    """Speech and text through one network to unit vectors (Gomez et al. 2024, arXiv 2404.01616).

    Attributes:
        config: how it reads an item.
        units: of its audio tokenizer; None: it reads text only.
        audio_tokenizer_folder: where that lies; None: it has none.
        tower: the network.
    """

    def __init__(
        self,
        config: DualEncoderConfig,
        units: AudioTokenizerCard | None,
        audio_tokenizer_folder: Path | None,
        tower: Tower,
    ) -> None:
        super().__init__()
        self.config = config
        self.units = units
        self.audio_tokenizer_folder = audio_tokenizer_folder
        self.tower = tower
        self._wording = Wording(config, units, audio_tokenizer_folder)

    @property
    def dim(self) -> int:
        """D."""
        return self.config.dim or 0

    @property
    def max_tokens(self) -> int:
        """Longer inputs are cut."""
        return self.tower.max_tokens

    def limit_tokens(self, max_tokens: int) -> None:
        """Cut inputs earlier than the config says; it is not saved.

        Raises:
            ConfigError: nothing but the prefix would be left.
        """
        self.tower.limit_tokens(max_tokens)

    def fault(self, item: Item) -> str:
        """Why an item cannot be embedded, in one line; empty if it can."""
        return self._wording.fault(item)

    def lengths(self, items: Sequence[Item]) -> NDArray[np.int64]:
        """Tokens of each item, prefix and special tokens included, before truncation: int64 [B].

        Raises:
            ValueError: an item cannot be embedded.
        """
        self._wording.check(items)
        return self.tower.lengths(items)

    def forward(self, items: Sequence[Item], tokens: int | None = None) -> torch.Tensor:
        """Unit vectors, float32 [B, D], with their graph where gradients are on.

        Args:
            items: at least one.
            tokens: length that inputs are padded to; None: the longest one's.

        Raises:
            ValueError: an item cannot be embedded.
        """
        if not len(items):
            raise ValueError("items: must be at least one, but are none")
        self._wording.check(items)
        return functional.normalize(self.tower(items, tokens).float(), dim=-1)

    def parts(self) -> dict[str, list[nn.Parameter]]:
        """Disjoint groups of all weights, some of them empty.

        ``text``: the backbone with its text rows; ``audio``: the new rows; ``projection``; and
        ``lora`` once adapters are added. Which of them learn is for the trainer to say.
        """
        return self.tower.parts()

    def add_lora(self, settings: LoraSettings) -> None:
        """Add low-rank adapters to the backbone, drawn by torch's global generator.

        Raises:
            ConfigError: it has some already, takes none, or peft is not installed.
        """
        self.tower.add_lora(settings)

    def save_pretrained(self, folder: Path) -> None:
        """Write a model folder, whole or not at all; adapters are merged into the weights.

        A dual encoder that is there is replaced; nothing of it stays.

        Raises:
            ConfigError: the folder holds something else.
            CheckpointError: the audio tokenizer is no longer where it was.
        """
        with written_whole(folder) as made:
            self.tower.save(made, self.config)
            if self.audio_tokenizer_folder is not None:
                self._copy_audio_tokenizer(made / AUDIO_TOKENIZER_FOLDER)
            write_config(self.config, made)

    @classmethod
    def from_pretrained(
        cls, folder: Path, *, device: str = "cpu", dtype: str = "float32"
    ) -> DualEncoder:
        """Open a model folder, in evaluation mode.

        Args:
            folder: that :meth:`save_pretrained` wrote.
            device: ``cpu`` or ``cuda``.
            dtype: of the weights: ``float32``, ``bfloat16`` or ``float16``.

        Raises:
            CheckpointError: a file is missing or damaged, or the parts do not belong together.
        """
        config = read_config(folder)
        units = read_units(folder, config)
        home = None if units is None else folder / AUDIO_TOKENIZER_FOLDER
        tower = load_tower(folder, config, Wording(config, units, home), dtype)
        return cls(config, units, home, tower).to(device).eval()

    def named(self, *, name: str, space: str | None, languages: tuple[str, ...]) -> None:
        """Change what the config says of the model without deciding a vector."""
        self.config = dataclasses.replace(self.config, name=name, space=space, languages=languages)

    def _copy_audio_tokenizer(self, target: Path) -> None:
        source = self.audio_tokenizer_folder
        if source is None or not source.is_dir():
            raise CheckpointError(
                f"{source}: must hold the audio tokenizer, to be saved with the model, but is gone"
            )
        shutil.copytree(source, target, ignore=shutil.ignore_patterns(".*"))
