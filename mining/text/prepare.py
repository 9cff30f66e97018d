"""Rows become segments: language, normal form, sentences, checks, ids. Pure functions on tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from mining.contract.errors import ConfigError
from mining.contract.ids import text_segment_id
from mining.contract.languages import canonical_language
from mining.contract.schemas import TEXT
from mining.io.collapse import CANDIDATE, ROW_ID, table_of
from mining.text.batch import reject_batch
from mining.text.normalise import normalise
from mining.text.records import Damage
from mining.text.split import split_sentences

# The columns of a candidate that differ from row to row.
_VARYING = ("segment_id", "lang", "text", "doc_id", "length", "row", "part")
_ROW_ID_VARYING = ("doc_id", "lang", "row", "text_id")


@dataclass(frozen=True, kw_only=True)
class PrepareSettings:
    """How rows become segments.

    Attributes:
        corpus: name of the corpus.
        segment: "sentences" or "none" (a row is one segment).
        min_chars: shorter segments are refused as ``too_short``. 1 refuses nothing: what is too
            short to be mined well is for the filters to say (stopes asks for 10 characters there).
        max_chars: longer segments are refused as ``too_long``. 2,000 characters are about the 512
            positions of XLM-R-sized encoders, which would embed only the beginning of a longer text
            (stopes' filters stop at 500).
        langs: canonical codes to keep; others are refused as ``unwanted_language``. None keeps all.
    """

    corpus: str
    segment: str = "sentences"
    min_chars: int = 1
    max_chars: int = 2000
    langs: frozenset[str] | None = None

    def __post_init__(self) -> None:
        """Refuse settings out of range.

        Raises:
            ConfigError: naming the field.
        """
        if self.segment not in ("sentences", "none"):
            raise ConfigError(
                f"{self.corpus}: segment must be 'sentences' or 'none', but is {self.segment!r}"
            )
        if not 1 <= self.min_chars <= self.max_chars:
            raise ConfigError(
                f"{self.corpus}: min_chars must be from 1 to max_chars ({self.max_chars}), but is "
                f"{self.min_chars}"
            )


@dataclass(frozen=True, kw_only=True)
class Segmented:
    """What :func:`segment_batch` made of a batch of rows.

    Attributes:
        candidates: schema :data:`CANDIDATE`, one row per accepted segment, ``occurrences`` 1.
        rejects: schema REJECT; ``row_id`` is ``"<uri>#<row>"`` for a whole row and
            ``"<uri>#<row>.<part>"`` for one of its sentences.
        row_ids: schema :data:`ROW_ID`: the rows that carry an id and are in a wanted language.
    """

    candidates: pa.Table
    rejects: pa.RecordBatch
    row_ids: pa.Table


def segment_batch(rows: pa.RecordBatch, source_uri: str, settings: PrepareSettings) -> Segmented:
    """Make segments of a batch of rows.

    Every row is rejected once as a whole (``unknown_language``, ``unwanted_language``, ``empty``),
    or each of its sentences is a candidate or a reject (``too_short``, ``too_long``).

    Args:
        rows: schema :data:`mining.text.batch.ROWS`.
        source_uri: the file they were read from.
        settings: how.
    """
    known: dict[str, str | Damage] = {}
    found: list[tuple[Any, ...]] = []
    row_ids: list[tuple[Any, ...]] = []
    refused: list[tuple[str, Damage]] = []
    columns = (rows.column(name).to_pylist() for name in ("row", "doc_id", "lang_raw", "text"))
    for row, doc_id, lang_raw, raw in zip(*columns, strict=True):
        lang = known.get(lang_raw)
        if lang is None:
            lang = known[lang_raw] = _language(lang_raw, settings)
        text = normalise(raw)
        if isinstance(lang, Damage) or not text:
            damage = lang if isinstance(lang, Damage) else Damage("empty", "nothing visible")
            refused.append((f"{source_uri}#{row}", damage))
            continue
        text_id = text_segment_id(lang, text)
        if doc_id is not None:
            row_ids.append((doc_id, lang, row, text_id))
        parts = split_sentences(text, lang) if settings.segment == "sentences" else [text]
        for part, sentence in enumerate(parts):
            misfit = _length_damage(len(sentence), settings)
            if misfit:
                refused.append((f"{source_uri}#{row}.{part}", misfit))
            else:
                segment_id = text_id if len(parts) == 1 else text_segment_id(lang, sentence)
                found.append((segment_id, lang, sentence, doc_id, len(sentence), row, part))
    constants = {"corpus": settings.corpus, "modality": TEXT, "occurrences": 1}
    return Segmented(
        candidates=table_of(CANDIDATE, _VARYING, found, constants | {"source_uri": source_uri}),
        rejects=reject_batch(refused),
        row_ids=table_of(ROW_ID, _ROW_ID_VARYING, row_ids, {"source_uri": source_uri}),
    )


def _language(code: str, settings: PrepareSettings) -> str | Damage:
    lang = canonical_language(code)
    if lang is None:
        return Damage("unknown_language", code)
    if settings.langs is not None and lang not in settings.langs:
        return Damage("unwanted_language", code)
    return lang


def _length_damage(length: int, settings: PrepareSettings) -> Damage | None:
    if length < settings.min_chars:
        return Damage("too_short", f"{length} characters, fewer than {settings.min_chars}")
    if length > settings.max_chars:
        return Damage("too_long", f"{length} characters, more than {settings.max_chars}")
    return None


def rows_accounted(segmented: Segmented, refused: pa.Table) -> int:
    """How many rows became a candidate or a reject: all that were read, or rows were lost.

    Args:
        segmented: what a batch of one file became.
        refused: REJECT rows of the same batch that are not in it.
    """
    names = (*segmented.rejects["row_id"].to_pylist(), *refused["row_id"].to_pylist())
    numbers = {int(name.rpartition("#")[2].partition(".")[0]) for name in names}
    return len(numbers.union(segmented.candidates["row"].to_pylist()))
