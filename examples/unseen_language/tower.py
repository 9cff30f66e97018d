"""A network small enough to learn from nothing in half a minute: a bag of letter n-grams.

Letters that are heard and letters that are read go through the same network; whether they have the
same rows in its table is what the experiment is about.

B items, F n-grams of one, W width of a vector.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from encoders.audio_tokens.card import AudioTokenizerCard
from encoders.audio_tokens.letters import letters
from encoders.dual.config import DualEncoderConfig, Tie
from encoders.dual.items import Item, Spoken
from encoders.dual.model import DualEncoder
from encoders.dual.tower import Tower
from encoders.dual.wording import Wording
from encoders.wordbag.features import token_features

ROWS = 65_536
WIDTH = 128
_ROW_WIDTH = 64  # most of a step's time goes into moving the rows
_HIDDEN = 512
_ROW_DEVIATION = 0.1
_LETTERS = re.compile("[a-z ]*")


class NgramTower(Tower):
    """Rows of each word and of its runs of 3 to 5 letters are added up, normalised, and go through a
    small network.

    Args:
        wording: what an item says.
        tie: ``own``: n-grams that are heard have rows of their own; ``spelling``: those of text.
    """

    pads = False

    def __init__(self, wording: Wording, tie: Tie) -> None:
        super().__init__()
        self.max_tokens = 512
        self.text = nn.Parameter(torch.randn(ROWS, _ROW_WIDTH) * _ROW_DEVIATION)
        own = torch.randn(ROWS, _ROW_WIDTH) * _ROW_DEVIATION
        self.audio = nn.Parameter(own) if tie == "own" else None
        self.norm = nn.LayerNorm(_ROW_WIDTH)
        self.direct = nn.Linear(_ROW_WIDTH, WIDTH, bias=False)
        self.wide = nn.Linear(_ROW_WIDTH, _HIDDEN)
        self.narrow = nn.Linear(_HIDDEN, WIDTH, bias=False)
        nn.init.zeros_(self.narrow.weight)
        self._wording = wording
        self._known: dict[str, NDArray[np.int32]] = {}

    def lengths(self, items: Sequence[Item]) -> NDArray[np.int64]:
        """One for each item: nothing is padded."""
        return np.ones(len(items), np.int64)

    def forward(self, items: Sequence[Item], tokens: int | None = None) -> torch.Tensor:
        """Vectors [B, W]."""
        rows = self._rows([self._wording.text(item) for item in items])
        if self.audio is None:
            sums = _summed(rows, self.text)
        else:
            spoken = np.array([isinstance(item, Spoken) for item in items])
            places = torch.from_numpy(
                np.concatenate([np.flatnonzero(~spoken), np.flatnonzero(spoken)])
            )
            parts = [
                _summed(
                    [row for row, is_heard in zip(rows, spoken, strict=True) if is_heard == own],
                    table,
                )
                for own, table in ((False, self.text), (True, self.audio))
            ]
            sums = torch.cat(parts)[torch.argsort(places)]
        normed = self.norm(sums)
        found: torch.Tensor = self.direct(normed) + self.narrow(functional.gelu(self.wide(normed)))
        return found

    def parts(self) -> dict[str, list[nn.Parameter]]:
        """``audio``: rows of their own, where there are some; ``text``: everything else."""
        audio = [] if self.audio is None else [self.audio]
        text = [value for value in self.parameters() if value is not self.audio]
        return {"text": text, "audio": audio, "projection": []}

    def save(self, folder: Path, config: DualEncoderConfig) -> None:
        """Write the weights."""
        save_file(self.state_dict(), folder / "model.safetensors")

    def _rows(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        self._known.update(zip(new, ngram_rows(new, ROWS), strict=True))
        return [self._known[text] for text in texts]


def _summed(rows: Sequence[NDArray[np.int32]], table: torch.Tensor) -> torch.Tensor:
    """Sums of the rows of each item."""
    none = np.zeros(0, np.int32)
    places = torch.from_numpy(np.concatenate([none, *rows]).astype(np.int64))
    starts = torch.from_numpy(np.cumsum([0, *map(len, rows)])[:-1])
    return functional.embedding_bag(places, table, starts, mode="sum")


def ngram_rows(texts: Sequence[str], rows: int) -> list[NDArray[np.int32]]:
    """Rows of the words of each text and of their n-grams, int32 [its F] in 0 ... ``rows`` - 1."""
    words: dict[str, int] = {}
    spelled = [[words.setdefault(w, len(words)) for w in _plain(text).split()] for text in texts]
    hashes, offsets = token_features(list(words))
    parts = np.split((hashes % np.uint32(rows)).astype(np.int32), offsets[1:-1])
    none = np.zeros(0, np.int32)
    return [np.concatenate([none, *(parts[word] for word in line)]) for line in spelled]


def _plain(text: str) -> str:
    return text if _LETTERS.fullmatch(text) else letters(text)


def new_encoder(card: AudioTokenizerCard, tokenizer: Path, tie: Tie, seed: int) -> DualEncoder:
    """A dual encoder that knows nothing."""
    config = DualEncoderConfig(
        name="unseen-language",
        dim=WIDTH,
        prefix="",  # an unseen language's name with "Speech" behind it would be drawn, not learned
        tie=tie,
        tower="ngrams",
        text_rows=ROWS,
        audio_units=card.units,
    )
    torch.manual_seed(seed)
    return DualEncoder(config, card, tokenizer, NgramTower(Wording(config, card), tie))
