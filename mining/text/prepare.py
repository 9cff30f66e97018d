"""Rows become segments: language, normal form, sentences, checks, ids; then duplicates collapse.

Pure functions on Arrow tables. The result of :func:`collapse` depends neither on the order of its
input nor on where batches end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mining.contract.errors import ConfigError
from mining.contract.ids import text_segment_id
from mining.contract.languages import canonical_language
from mining.contract.schemas import OCCURRENCE, REJECT, SEGMENT, TEXT
from mining.text.batch import STAGE, reject_batch
from mining.text.normalise import normalise
from mining.text.records import Damage
from mining.text.split import split_sentences

# A segment at one place: SEGMENT, and where it was read (as in OCCURRENCE).
CANDIDATE = pa.schema([*SEGMENT, OCCURRENCE.field("row"), OCCURRENCE.field("part")])

# Rows that carry the user's own id, for :func:`reject_duplicate_ids`.
ROW_ID = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("lang", pa.string(), nullable=False),
        pa.field("source_uri", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("text_id", pa.string(), nullable=False),  # of the row's whole normalised text
    ]
)

# The columns of a candidate that differ from row to row.
_VARYING = ("segment_id", "lang", "text", "doc_id", "length", "row", "part")
_ROW_ID_VARYING = ("doc_id", "lang", "row", "text_id")
_PLACE_ORDER = [("source_uri", "ascending"), ("row", "ascending"), ("part", "ascending")]


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


@dataclass(frozen=True, kw_only=True)
class Collapsed:
    """Distinct segments of one partition.

    Attributes:
        segments: schema SEGMENT, sorted by (lang, length, segment_id).
        occurrences: schema OCCURRENCE, sorted by (segment_id, source_uri, row, part).
        rejects: schema REJECT, sorted by row id: the candidates of rows with a duplicate id.
    """

    segments: pa.Table
    occurrences: pa.Table
    rejects: pa.Table


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
        candidates=_table(CANDIDATE, _VARYING, found, constants | {"source_uri": source_uri}),
        rejects=reject_batch(refused),
        row_ids=_table(ROW_ID, _ROW_ID_VARYING, row_ids, {"source_uri": source_uri}),
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


def _table(
    schema: pa.Schema,
    names: tuple[str, ...],
    records: Sequence[tuple[Any, ...]],
    constants: dict[str, Any],
) -> pa.Table:
    """A table out of records of ``names``, values equal in every row, and nulls for the rest."""
    columns = dict(
        zip(names, zip(*records, strict=True) if records else [()] * len(names), strict=True)
    )
    size = len(records)
    arrays = [
        pa.array(columns[f.name], f.type)
        if f.name in columns
        else pa.repeat(pa.scalar(constants.get(f.name), f.type), size)
        for f in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def rows_accounted(segmented: Segmented, refused: pa.Table) -> int:
    """How many rows became a candidate or a reject: all that were read, or rows were lost.

    Args:
        segmented: what a batch of one file became.
        refused: REJECT rows of the same batch that are not in it.
    """
    names = (*segmented.rejects["row_id"].to_pylist(), *refused["row_id"].to_pylist())
    numbers = {int(name.rpartition("#")[2].partition(".")[0]) for name in names}
    return len(numbers.union(segmented.candidates["row"].to_pylist()))


def reject_duplicate_ids(row_ids: pa.Table, keys: Sequence[str] = ("doc_id", "lang")) -> pa.Table:
    """The rows whose id was taken, by an earlier row with another text.

    Ids are compared within a language: the two sides of a parallel corpus may share theirs. The
    first row of an id, by (source_uri, row), owns it; the same text again is a duplicate like any
    other.

    Args:
        row_ids: schema :data:`ROW_ID`; all rows of an id, so a whole corpus or a partition of it by
            hash of ``keys``.
        keys: columns within which an id is unique. By default a language: the two sides of a
            parallel corpus may share theirs.

    Returns:
        Columns source_uri and row, sorted.
    """
    order = [(name, "ascending") for name in (*keys, "source_uri", "row")]
    table = row_ids.sort_by(order).combine_chunks()
    starts = _starts(table, keys)
    owner = np.repeat(starts, np.diff(starts, append=table.num_rows))
    text_id = table.column("text_id")
    taken = table.filter(pc.not_equal(text_id, text_id.take(pa.array(owner, pa.int64()))))
    return taken.select(["source_uri", "row"]).sort_by(_PLACE_ORDER[:2])


def _starts(table: pa.Table, keys: Sequence[str]) -> NDArray[np.int64]:
    """Positions in a sorted table where one of ``keys`` changes, the first row included."""
    if not table.num_rows:
        return np.zeros(0, np.int64)
    changed = np.zeros(table.num_rows - 1, np.bool_)
    for key in keys:
        column = table.column(key)
        changed |= pc.not_equal(column.slice(1), column.slice(0, len(column) - 1)).to_numpy()
    return np.concatenate([np.zeros(1, np.int64), np.flatnonzero(changed) + 1])


def collapse(candidates: Sequence[pa.Table], taken: pa.Table | None = None) -> Collapsed:
    """Collapse exact duplicates (same language, same normal form) of one partition of a corpus.

    A segment takes its doc_id and source_uri from its first occurrence by (source_uri, row, part).
    Law: candidates = occurrences + rejects.

    Args:
        candidates: tables of schema :data:`CANDIDATE`: all those of the partition, in any order.
        taken: the result of :func:`reject_duplicate_ids`; candidates of these rows are refused as
            ``duplicate_id``.
    """
    table = pa.concat_tables([CANDIDATE.empty_table(), *candidates])
    table, rejects = _without_taken(table, taken)
    table = table.sort_by([("segment_id", "ascending"), *_PLACE_ORDER]).combine_chunks()
    starts = _starts(table, ["segment_id"])
    counts = np.diff(starts, append=table.num_rows)
    segments = table.take(pa.array(starts)).select(SEGMENT.names)
    segments = segments.set_column(
        SEGMENT.get_field_index("occurrences"), SEGMENT.field("occurrences"), pa.array(counts)
    )
    segments = segments.sort_by([(name, "ascending") for name in ("lang", "length", "segment_id")])
    return Collapsed(
        segments=_with_schema(segments, SEGMENT),
        occurrences=_with_schema(table, OCCURRENCE),
        rejects=rejects,
    )


def _with_schema(table: pa.Table, schema: pa.Schema) -> pa.Table:
    return pa.Table.from_arrays([table.column(name) for name in schema.names], schema=schema)


def _without_taken(table: pa.Table, taken: pa.Table | None) -> tuple[pa.Table, pa.Table]:
    """The candidates whose id is their own, and the rejects of the others."""
    if taken is None or not taken.num_rows:
        return table, REJECT.empty_table()
    row_id = _joined("#", table.column("source_uri"), table.column("row"))
    is_taken = pc.is_in(row_id, _joined("#", taken.column("source_uri"), taken.column("row")))
    refused = table.filter(is_taken)
    place = _joined(".", row_id.filter(is_taken), refused.column("part"))
    records = list(zip(place.to_pylist(), refused.column("doc_id").to_pylist(), strict=True))
    constants = {"stage": STAGE, "reason": "duplicate_id"}
    rejects = _table(REJECT, ("row_id", "detail"), records, constants)
    return table.filter(pc.invert(is_taken)), rejects.sort_by("row_id")


def _joined(separator: str, left: pa.ChunkedArray, right: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(left, right.cast(pa.string()), separator)
