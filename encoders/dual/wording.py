"""What an item says to a network: its prefix, and its text or its audio tokens.

L tokens.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from encoders.audio_tokens.card import AudioTokenizerCard
from encoders.audio_tokens.collapse import collapsed, spelled
from encoders.audio_tokens.lexicon import Speller
from encoders.audio_tokens.load import load_speller
from encoders.dual.config import DualEncoderConfig
from encoders.dual.items import Item, Spoken, Written
from encoders.dual.language_names import language_name


class Wording:
    """Reads items as one model's settings and audio tokenizer say.

    Args:
        config: of the model.
        units: card of its audio tokenizer; None: it reads text only.
        audio_tokenizer: folder of that, whose lexicon, if it has one, turns letters into words.
    """

    def __init__(
        self,
        config: DualEncoderConfig,
        units: AudioTokenizerCard | None,
        audio_tokenizer: Path | None = None,
    ) -> None:
        self._prefix = config.prefix
        self._units = units
        self._home = audio_tokenizer
        self._spells = config.tie == "spelling"
        # CTC tells a doubled letter from a long one by the blank between, so there repeats are one.
        self._merges = config.merge_repeats or (units is not None and units.blank is not None)

    def prefix(self, item: Item) -> str:
        """What is put before an item."""
        modality = "Speech" if isinstance(item, Spoken) else "Text"
        return self._prefix.format(language=language_name(item.lang), modality=modality)

    def is_text(self, item: Item) -> bool:
        """Whether an item is read as text: it was written, or it is spelled."""
        return isinstance(item, Written) or self._spells

    def text(self, item: Item) -> str:
        """The text of an item that is read as text, without the prefix."""
        if isinstance(item, Written) or self._speller is None:
            return self.spelling(item)
        units = self._heard()
        letters = [spelled((frames,), units.symbols or (), units.blank) for frames in item.regions]
        return " ".join(self._speller.words(one, item.lang) for one in letters if one)

    def spelling(self, item: Item) -> str:
        """An item as it is written, or as its audio tokens spell it, right or wrong."""
        if isinstance(item, Written):
            return item.text
        units = self._heard()
        return spelled(item.regions, units.symbols or (), units.blank)

    def tokens(self, item: Spoken) -> NDArray[np.int64]:
        """Units of all regions, one after the other: int64 [L], 0-based."""
        blank = self._heard().blank
        parts = [collapsed(f, blank, merge_repeats=self._merges) for f in item.regions]
        return np.concatenate([np.zeros(0, np.int64), *parts])

    def fault(self, item: Item) -> str:
        """Why there is nothing to embed of an item, in one line; empty if there is something."""
        if isinstance(item, Spoken):
            units = self._units
            if units is None:
                return "is speech, which the model does not hear"
            for frames in item.regions:
                if len(frames) and not 0 <= frames.min() <= frames.max() < units.units:
                    wrong = max(int(frames.max()), -int(frames.min()), key=abs)
                    return f"has unit {wrong}, but the audio tokenizer has {units.units}"
            if not len(self.tokens(item)):
                return "has no audio tokens"
        if self.is_text(item) and not self.spelling(item).strip():
            return "has no text" if isinstance(item, Written) else "has no audio tokens that spell"
        return ""

    def check(self, items: Iterable[Item]) -> None:
        """Refuse what cannot be embedded.

        Raises:
            ValueError: naming the first such item.
        """
        for place, item in enumerate(items):
            fault = self.fault(item)
            if fault:
                raise ValueError(f"items[{place}]: must be something to embed, but {fault}")

    @cached_property
    def _speller(self) -> Speller | None:
        return None if self._home is None else load_speller(self._home)

    def _heard(self) -> AudioTokenizerCard:
        if self._units is None:
            raise ValueError("item: must be text for a model without an audio tokenizer")
        return self._units
