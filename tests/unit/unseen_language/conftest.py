"""The example's modules, and speech as a recogniser would spell it."""

from pathlib import Path

import numpy as np
import pytest

from encoders.audio_tokens.card import AudioTokenizerCard
from encoders.audio_tokens.conv_ctc_network import BLANK, SYMBOLS

EXAMPLE = Path(__file__).parents[3] / "examples" / "unseen_language"


@pytest.fixture
def example(example_in):
    """Import a module of the example by its name."""
    return example_in(EXAMPLE)


@pytest.fixture
def card() -> AudioTokenizerCard:
    return AudioTokenizerCard(
        name="letters",
        fingerprint="0",
        units=len(SYMBOLS),
        blank=BLANK,
        symbols=SYMBOLS,
        rate_hz=50.0,
        context_s=1.0,
        max_clip_s=30.0,
    )


@pytest.fixture
def units_of():
    """Frames that spell letters: each followed by a blank, so that doubled ones stay two."""

    def units(letters: str) -> np.ndarray:
        found = np.full(2 * len(letters), BLANK, np.int16)
        found[::2] = [SYMBOLS.index(letter) for letter in letters]
        return found

    return units
