"""The dual encoder that training begins with: its new rows are the letters that the units stand for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from encoders.audio_tokens.collapse import collapsed
from encoders.audio_tokens.load import load_audio_tokenizer
from encoders.dual.align_rows import Transcribed, align, rows_like_text, set_rows
from encoders.dual.config import DualEncoderConfig
from encoders.dual.create import create_dual_encoder
from encoders.dual.items import Spoken, Written
from encoders.dual.transformer_tower import TransformerTower
from encoders.load import describe_encoder
from encoders.train.config import Training
from encoders.train.data.load import load_data
from encoders.train.data.pairs import PairSource

TEACHER = "builtin"  # knows all 22 languages, and is in the repository


@dataclass(frozen=True, kw_only=True)
class Start:
    """What a start is made of.

    Attributes:
        backbone: a Hugging Face folder.
        units: folder of an audio tokenizer.
        name: of the model.
        prefix: see ``model.prefix`` of a training run.
        max_tokens: longer inputs are cut.
    """

    backbone: Path
    units: Path
    name: str
    prefix: str = "[{language} {modality}] "
    max_tokens: int = 256


def write_start(start: Start, training: Training, folder: Path, say: Callable[[str], None]) -> None:
    """Write a dual encoder whose audio rows are aligned with letters of the training transcripts.

    Args:
        start: what it is made of.
        training: whose data and cache are used.
        folder: of the model.
        say: takes lines of progress.
    """
    tokenizer = load_audio_tokenizer(start.units, threads=training.work.threads)
    data = load_data(
        training.data,
        training.contamination,
        tokenizer,
        cache=Path(training.work.cache or folder.parent / "cache"),
        seed=training.seed,
        progress=say,
    )
    config = DualEncoderConfig(
        name=start.name,
        dim=describe_encoder(TEACHER).dim,
        prefix=start.prefix,
        max_tokens=start.max_tokens,
    )
    model = create_dual_encoder(start.backbone, start.units, config, seed=training.seed)
    tower = model.tower
    if not isinstance(tower, TransformerTower):
        raise SystemExit(f"{start.backbone}: must be a transformer, but is not")
    clips = list(_transcribed(data.sources, Letters(tower.tokenizer)))
    alignment = align(clips, tokenizer.units)
    say(f"{len(clips)} clips: a unit saves {alignment.bits(clips):.2f} bits a letter on them")
    table = tower.backbone.get_input_embeddings()
    set_rows(table.audio.weight, rows_like_text(table.text.weight, alignment))
    model.save_pretrained(folder)


class Letters:
    """Spells a text in rows of single characters.

    Args:
        tokenizer: of the backbone.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._known: dict[str, int | None] = {}

    def ids(self, text: str) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Rows of the letters that have one of their own; int64 [M]."""
        found = [self._id(letter) for letter in text.lower() if letter.isalpha()]
        return np.array([one for one in found if one is not None], np.int64)

    def _id(self, letter: str) -> int | None:
        if letter not in self._known:
            ids = self._tokenizer(letter, add_special_tokens=False)["input_ids"]
            single = len(ids) == 1 and ids[0] != self._tokenizer.unk_token_id
            self._known[letter] = ids[0] if single else None
        return self._known[letter]


def _transcribed(sources: tuple[PairSource, ...], letters: Letters) -> Iterator[Transcribed]:
    for source in sources:
        for row in range(len(source) if source.kind == "transcribe" else 0):
            pair = source.pair(row)
            if isinstance(pair.source, Spoken) and isinstance(pair.target, Written):
                heard = np.concatenate(pair.source.regions)
                yield Transcribed(
                    units=collapsed(heard, None, merge_repeats=True),
                    ids=letters.ids(pair.target.text),
                )
