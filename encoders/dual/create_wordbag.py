"""A dual encoder over a word bag."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch

from encoders.audio_tokens.card import AudioTokenizerCard
from encoders.dual.config import WORDBAG, DualEncoderConfig, described_units
from encoders.dual.model import DualEncoder
from encoders.dual.wordbag_tower import WordBagTower, load_wordbag, with_ears
from encoders.dual.wording import Wording
from encoders.wordbag.features import MAX_TOKENS
from encoders.wordbag.model import WordBagModel


def over_wordbag(
    folder: Path,
    audio_tokenizer: Path | None,
    config: DualEncoderConfig,
    seed: int = 0,
    **orthography: Any,
) -> DualEncoder:
    """The text part of a word bag with new ears, or none; in evaluation mode.

    It runs on the CPU, where it is fastest.

    Args:
        folder: of the word bag.
        audio_tokenizer: one that spells, in Latin letters.
        config: name, space, languages and licence are used.
        seed: of a new orthography.
        orthography: settings of a new one, see :class:`encoders.wordbag.model.WordBagConfig`; none:
            that of the word bag, if it has one.

    Raises:
        CheckpointError: the word bag or the audio tokenizer cannot be used.
        ConfigError: the audio tokenizer does not spell.
    """
    units = described_units(audio_tokenizer, dataclasses.replace(config, tie="spelling"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = with_ears(load_wordbag(folder), units is not None, **orthography)
    return dual_wordbag(model, config, units, audio_tokenizer)


def dual_wordbag(
    model: WordBagModel,
    config: DualEncoderConfig,
    units: AudioTokenizerCard | None,
    audio_tokenizer: Path | None,
) -> DualEncoder:
    """A dual encoder of a word bag, which reads what its audio tokens spell, and has no prefix."""
    config = dataclasses.replace(
        config,
        dim=model.vector_dim,
        prefix="",
        pooling="mean",
        max_tokens=MAX_TOKENS,
        tie="spelling",
        tower=WORDBAG,
        projection=False,
        text_rows=model.config.rows,
        audio_units=0 if units is None else units.units,
    )
    tower = WordBagTower(model, Wording(config, units, audio_tokenizer))
    return DualEncoder(config, units, audio_tokenizer, tower).eval()
