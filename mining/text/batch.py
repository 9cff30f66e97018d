"""What reading yields: batches of rows, and the rejects between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa

from mining.contract.schemas import REJECT
from mining.io.forgotten import Forgotten
from mining.text.records import Damage
from mining.text.source import TextFile

STAGE = "prepare"

# One value of a record; None where there is none.
Value = str | Damage | None

# What a reader yields. ``row`` is the 0-based number of the record, header not counted.
ROWS = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("doc_id", pa.string()),
        pa.field("lang_raw", pa.string(), nullable=False),  # as the corpus spells it
        pa.field("text", pa.string(), nullable=False),
    ]
)


@dataclass(frozen=True, kw_only=True)
class ReadBatch:
    """Part of a file.

    Attributes:
        rows: schema :data:`ROWS`.
        rejects: schema REJECT; ``row_id`` is ``"<uri>#<row>"``.
    """

    rows: pa.RecordBatch
    rejects: pa.RecordBatch


def reject_batch(refused: Iterable[tuple[str, Damage]]) -> pa.RecordBatch:
    """A REJECT batch out of row ids and why each was refused."""
    refused = list(refused)
    return pa.record_batch(
        [
            pa.array([row_id for row_id, _ in refused], pa.string()),
            pa.array([STAGE] * len(refused), pa.string()),
            pa.array([damage.reason for _, damage in refused], pa.string()),
            pa.array([damage.detail for _, damage in refused], pa.string()),
        ],
        schema=REJECT,
    )


class Collector:
    """Gathers the records of one file, in order, and numbers them."""

    def __init__(self, file: TextFile, forgotten: Forgotten) -> None:
        self._file = file
        self._forgotten = forgotten
        self._next = 0
        self._clear()

    def _clear(self) -> None:
        self._row: list[int] = []
        self._records: list[Mapping[str, Value]] = []
        self._refused: list[tuple[str, Damage]] = []

    def add(self, record: Mapping[str, Value]) -> None:
        """The next record, by role: "text", and "id" and "lang" where they are columns.

        A record without a value in one of them is refused; an empty text is left to the checks that
        follow normalisation. One whose id was forgotten is passed over, whatever else is wrong with it.
        """
        doc_id = record.get("id")
        if isinstance(doc_id, str) and self._forgotten.has_id(doc_id):
            self._next += 1
            return
        for role, value in record.items():
            if isinstance(value, Damage):
                self.refuse(value)
                return
            if value is None or (not value and role != "text"):
                self.refuse(Damage("missing_value", f"{role} is missing"))
                return
        self._row.append(self._next)
        self._records.append(record)
        self._next += 1

    def refuse(self, damage: Damage) -> None:
        """The next record is a reject."""
        self._refused.append((f"{self._file.uri}#{self._next}", damage))
        self._next += 1

    def batch(self) -> ReadBatch:
        """What was gathered since the last call."""
        lang = self._file.lang
        rows = pa.record_batch(
            [
                pa.array(self._row, pa.int64()),
                pa.array([record.get("id") for record in self._records], pa.string()),
                pa.array([record.get("lang", lang) for record in self._records], pa.string()),
                pa.array([record["text"] for record in self._records], pa.string()),
            ],
            schema=ROWS,
        )
        rejects = reject_batch(self._refused)
        self._clear()
        return ReadBatch(rows=rows, rejects=rejects)
