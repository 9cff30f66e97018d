"""What a step learns from: pairs of items, where they come from, and which of them say the same.

N rows of a source.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from encoders.dual.items import Item, Spoken, Written

Kind = Literal["transcribe", "translate", "text"]
KINDS: tuple[Kind, ...] = ("transcribe", "translate", "text")

_SILENT = r"[^\p{L}\p{M}\p{N}]+"  # what two spellings of one sentence may differ in


@dataclass(frozen=True, kw_only=True)
class TrainingPair:
    """Two items that mean the same.

    Attributes:
        source: speech, or a text.
        target: a text.
        source_key: of the sentence behind the source (:func:`sentence_keys`); of speech without a
            transcript: of its clip.
        target_key: of the target. Pairs that share a key, on whichever side, are no negatives.
        teacher_text: what a text encoder is to embed in the pair's place: the target.
    """

    source: Item
    target: Item
    source_key: int
    target_key: int
    teacher_text: Written


class PairSource(Protocol):
    """Pairs of one kind, by row."""

    @property
    def name(self) -> str:
        """Of the seed or the texts in the config."""

    @property
    def kind(self) -> Kind:
        """Which weight of the config it is drawn under."""

    @property
    def langs(self) -> NDArray[np.int32]:
        """Language of the source side of each row, int32 [N], an index into ``lang_names``."""

    @property
    def lang_names(self) -> tuple[str, ...]:
        """ISO 639-3 codes."""

    def __len__(self) -> int:
        """N."""

    def pair(self, row: int) -> TrainingPair:
        """One pair."""


@dataclass(frozen=True, kw_only=True, eq=False)
class HeldOut:
    """A clip that is not trained on.

    Attributes:
        clip: what is heard.
        name: ``<manifest>#<row>`` of its first row.
        speaker: as the manifest names them; empty if it does not.
        duration_s: of the clip.
        transcript: None where the manifest has none.
        translations: in the manifest's order, at most one a language.
        clip_key: source key of its pairs.
        translation_keys: target keys of ``translations``.
    """

    clip: Spoken
    name: str
    speaker: str
    duration_s: float
    transcript: Written | None
    translations: tuple[Written, ...]
    clip_key: int
    translation_keys: tuple[int, ...]


def sentence_keys(
    texts: pa.Array | pa.ChunkedArray, langs: pa.Array | pa.ChunkedArray
) -> NDArray[np.int64]:
    """A number for each sentence, the same for spellings that differ in case and punctuation.

    Args:
        texts: strings [N]; the letters, marks and digits of NFKC in lower case count.
        langs: ISO 639-3 codes [N].

    Returns:
        int64 [N], 63-bit hashes; 0 where nothing counts.
    """
    folded = pc.utf8_lower(pc.utf8_normalize(texts, form="NFKC"))
    forms = pc.replace_substring_regex(folded, _SILENT, "")
    found = (
        _hash63(lang, form) if form else 0
        for lang, form in zip(langs.to_pylist(), forms.to_pylist(), strict=True)
    )
    return np.fromiter(found, dtype=np.int64, count=len(texts))


def clip_keys(ids: Sequence[bytes]) -> NDArray[np.int64]:
    """Keys of clips whose sentence is not known, out of their ids: int64 [N]."""
    found = (_hash63("", one.hex()) for one in ids)
    return np.fromiter(found, dtype=np.int64, count=len(ids))


def _hash63(lang: str, form: str) -> int:
    digest = hashlib.blake2b(f"{lang}\x1f{form}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 1) or 1
