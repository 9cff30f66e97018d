"""Which letters a trained recogniser takes for which.

S symbols.
"""

from __future__ import annotations

import numpy as np
import torch
from rapidfuzz.distance import Levenshtein

from encoders.audio_tokens.collapse import collapsed
from encoders.audio_tokens.conv_ctc_network import BLANK, SYMBOLS, ConvCtcModel
from encoders.audio_tokens.lexicon import Confusions
from encoders.train.ctc.loop import Batch, Draws


def measured(model: ConvCtcModel, draws: Draws, first: int, batches: int) -> Confusions:
    """Counts over some batches, augmented as in training: no clips are kept for it.

    Args:
        model: trained.
        draws: of batches.
        first: number of the first batch: beyond those that were learned from.
        batches: how many.
    """
    found = Confusions(given=np.zeros((len(SYMBOLS), len(SYMBOLS))), added=np.zeros(len(SYMBOLS)))
    for number in range(first, first + batches):
        _count(model, draws.batch(number), found)
    return found


@torch.inference_mode()
def _count(model: ConvCtcModel, batch: Batch, found: Confusions) -> None:
    logits = model(batch.spectra, batch.frames, model.numbers_of(batch.langs))[-1]
    units = logits.argmax(dim=2).numpy().astype(np.int16)
    outputs = model.config.output_frames(batch.frames).tolist()
    for row, (frames, letters) in enumerate(zip(outputs, batch.counts.tolist(), strict=True)):
        said = batch.letters[row, :letters].tolist()
        heard = collapsed(units[row, :frames], BLANK, merge_repeats=True).tolist()
        edits = Levenshtein.editops(said, heard)
        wrong = set()
        for edit in edits:
            if edit.tag == "insert":
                found.added[heard[edit.dest_pos]] += 1
                continue
            wrong.add(edit.src_pos)
            got = heard[edit.dest_pos] if edit.tag == "replace" else BLANK
            found.given[said[edit.src_pos], got] += 1
        for place, letter in enumerate(said):
            if place not in wrong:
                found.given[letter, letter] += 1
