"""Exact duplicates become one segment with all its occurrences; an id has one owner.

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

from mining.contract.schemas import OCCURRENCE, REJECT, SEGMENT

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

_PLACE_ORDER = [("source_uri", "ascending"), ("row", "ascending"), ("part", "ascending")]
_STAGE = "prepare"


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


def table_of(
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
    constants = {"stage": _STAGE, "reason": "duplicate_id"}
    rejects = table_of(REJECT, ("row_id", "detail"), records, constants)
    return table.filter(pc.invert(is_taken)), rejects.sort_by("row_id")


def _joined(separator: str, left: pa.ChunkedArray, right: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(left, right.cast(pa.string()), separator)
