"""Stage prepare: files become segments, in partitions by id.

Phase ``read`` goes through each file once and spills its candidates by partition; phase ``ids`` finds
rows whose own id was taken; phase ``collapse`` gathers each partition and collapses duplicates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import pyarrow as pa

from beam_jobs.forgotten import forgotten_of
from beam_jobs.stage import Run, Unit, reason_counters
from beam_jobs.stages.reading import ReadingStage
from beam_jobs.stages.spills import SPILL_BYTES, Notes, gathered, partition_units, spills_of
from mining.config.model import Corpus
from mining.contract.errors import ConfigError, InputError
from mining.contract.ids import content_id, partitions_of
from mining.contract.schemas import OCCURRENCE, REJECT, SEGMENT
from mining.filter import Guard, digest_of_sets, load_guard, refuse_benchmarks
from mining.io.collapse import collapse, reject_duplicate_ids
from mining.io.dataset import Receipt
from mining.io.filesystem import version
from mining.io.parquet import Part, write_part
from mining.text.corpus import base_of, files_of, settings_of, sources_of
from mining.text.prepare import (
    Segmented,
    rows_accounted,
    segment_batch,
)
from mining.text.readers import read_batches
from mining.text.source import TextFile, TextSource

_SPILLED = ("segments", "ids")


@dataclass(frozen=True, kw_only=True)
class Prepare(ReadingStage):
    """Prepares one corpus.

    Attributes:
        sources: one for each of the corpus' addresses.
        files: (index of the source, file, its version), in the order of the sources.
        guard: digest of the evaluation sets that are refused.
        unique_ids: whether an id may stand in one language only, since vectors are looked up by it.
    """

    sources: tuple[TextSource, ...]
    files: tuple[tuple[int, TextFile, str], ...]
    guard: str
    unique_ids: bool
    name: ClassVar[str] = "prepare"
    phases: ClassVar[tuple[str, ...]] = ("read", "ids", "collapse")
    reads: ClassVar[str] = "read"
    version: ClassVar[int] = 2

    @classmethod
    def plan(cls, run: Run, subject: str, corpus: Corpus, *, unique_ids: bool) -> Prepare:
        """List the files of a corpus.

        Raises:
            InputError: if there is none, or none that was not forgotten.
            ConfigError: if a file is named twice, or is one that this run writes.
        """
        sources = sources_of(corpus, forgotten_of(run, subject))
        files = [
            (index, file, version(file.uri, run.storage))
            for index, file in files_of(sources, run.storage)
        ]
        if not files:
            raise InputError(
                f"corpora.{subject}: must hold a file, but all of its files were forgotten; take it out"
            )
        seen: set[str] = set()
        for _, file, _ in files:
            if file.uri in seen or file.uri.startswith(f"{run.output}/"):
                why = "two of its addresses name it" if file.uri in seen else "this run writes it"
                raise ConfigError(f"corpora.{subject}.uri: must not hold {file.uri}: {why}")
            seen.add(file.uri)
        return cls(
            run=run,
            subject=subject,
            sources=sources,
            files=tuple(files),
            guard=digest_of_sets(run.config.contamination.sets, run.storage),
            unique_ids=unique_ids,
        )

    @property
    def _corpus(self) -> Corpus:
        return self.run.config.corpora[self.subject]

    @cached_property
    def hash(self) -> str:
        """Decided by the files (address and version), how they are read, and what is refused."""
        corpus = {**vars(self._corpus), "model": None}
        del corpus["licence"]  # decides no byte
        decides: dict[str, Any] = {
            "corpus": corpus,
            "files": [(file.uri, stamp) for _, file, stamp in self.files],
            "partitions": self.run.config.partitions,
            "guard": self.guard,
            "unique_ids": self.unique_ids,
        }
        # not where there are none: files that were forgotten leave the hash of a corpus without them
        if forgotten := self.sources[0].forgotten.ids:
            decides["forgotten"] = sorted(forgotten)
        return self.hash_of(decides)

    @property
    def folder(self) -> str:
        """Folder of the segments."""
        return self.run.dataset("segments", self.subject, self.hash)

    @property
    def _occurrences(self) -> str:
        return self.run.dataset("occurrences", self.subject, self.hash)

    # Read once a worker, not once a unit:

    @cached_property
    def _guard(self) -> Guard:
        return load_guard(self.run.config.contamination.sets, self.run.storage)

    @property
    def _notes(self) -> Notes:
        return self.kept("notes", lambda: gathered(self.receipts("read"), _SPILLED))

    @property
    def _taken(self) -> pa.Table | None:
        """Rows whose id was taken, of all partitions."""
        return self.kept("taken", self._read_taken)

    def _read_taken(self) -> pa.Table | None:
        rows = [row for receipt in self.receipts("ids") for row in receipt.notes["taken"]]
        if not rows:
            return None
        return pa.table({"source_uri": [uri for uri, _ in rows], "row": [row for _, row in rows]})

    def units(self, phase: str) -> tuple[Unit, ...]:
        """Files; then partitions."""
        if phase == "read":
            return tuple(
                Unit(key=f"file-{number:06d}", args={"file": number})
                for number in range(len(self.files))
            )
        if phase == "ids" and self._corpus.columns.id is None:
            return ()
        return partition_units(self.run)

    def process(self, phase: str, unit: Unit) -> Receipt:
        """Read a file, compare a partition's ids, or collapse a partition."""
        work = {"read": self._read, "ids": self._compare_ids, "collapse": self._collapse}
        return work[phase](unit)

    # Phase read

    def _read(self, unit: Unit) -> Receipt:
        index, file, _ = self.files[unit.args["file"]]
        counters: Counter[str] = Counter()
        rejects = [REJECT.empty_table()]
        notes: Notes = {kind: [] for kind in _SPILLED}
        held: list[Segmented] = []
        name = file.uri.removeprefix(base_of(self.sources))
        with self.attempt(unit, [name]) as attempt:
            batches = self._segmented(index, file) if attempt.may_read(name) else ()
            for segmented, refused, rows in batches:
                counters["rows_in"] += rows
                counters["rows_accounted"] += rows_accounted(segmented, refused)
                rejects += [refused, pa.Table.from_batches([segmented.rejects])]
                held.append(segmented)
                if sum(s.candidates.nbytes + s.row_ids.nbytes for s in held) > SPILL_BYTES:
                    self._spill(unit.key, held, notes)
                    held = []
        left_out = self.record(unit, attempt.skipped)
        self._spill(unit.key, held, notes)
        refused = pa.concat_tables(rejects)
        counters.update(reason_counters(refused))
        part = write_part(
            self.rejects_folder(), f"{unit.key}.parquet", refused, REJECT, self.run.storage
        )
        return Receipt(
            unit=unit.key,
            parts={"rejects": (part,)},
            counters=dict(counters),
            notes={**notes, **left_out},
        )

    def _segmented(self, index: int, file: TextFile) -> Iterator[tuple[Segmented, pa.Table, int]]:
        """Batches of a file: candidates, what else was refused, and how many records there were."""
        base, settings = base_of(self.sources), settings_of(self.subject, self._corpus)
        for batch in read_batches(file, self.sources[index], self.run.storage):
            segmented = segment_batch(batch.rows, file.uri.removeprefix(base), settings)
            clean, overlapping = refuse_benchmarks(segmented.candidates, self._guard)
            unread = pa.Table.from_batches([batch.rejects])
            names = [name.removeprefix(base) for name in unread["row_id"].to_pylist()]
            unread = unread.set_column(0, REJECT.field(0), pa.array(names, pa.string()))
            yield (
                replace(segmented, candidates=clean),
                pa.concat_tables([unread, overlapping]),
                batch.rows.num_rows + batch.rejects.num_rows,
            )

    def _spill(self, key: str, held: Sequence[Segmented], notes: Notes) -> None:
        if not held:
            return
        partitions = self.run.config.partitions
        segments = pa.concat_tables([s.candidates for s in held])
        where = partitions_of(segments["segment_id"].to_pylist(), partitions)
        spills_of(self).write(notes, "segments", key, segments, where)
        rows = pa.concat_tables([s.row_ids for s in held])
        keys = (rows[name].to_pylist() for name in self._id_keys)
        ids = (content_id(*one) for one in zip(*keys, strict=True))
        spills_of(self).write(notes, "ids", key, rows, partitions_of(ids, partitions))

    # Phase ids

    @property
    def _id_keys(self) -> tuple[str, ...]:
        """Columns within which an id is unique: the sides of a parallel corpus may share theirs."""
        return ("doc_id",) if self.unique_ids else ("doc_id", "lang")

    def _compare_ids(self, unit: Unit) -> Receipt:
        tables = spills_of(self).read(self._notes, "ids", unit.args["partition"])
        taken = reject_duplicate_ids(pa.concat_tables(tables), self._id_keys) if tables else None
        notes: dict[str, Any] = {"taken": []}
        if taken is not None and taken.num_rows:
            notes["taken"] = [list(row.values()) for row in taken.to_pylist()]
        return Receipt(unit=unit.key, notes=notes)

    # Phase collapse

    def _collapse(self, unit: Unit) -> Receipt:
        candidates = spills_of(self).read(self._notes, "segments", unit.args["partition"])
        collapsed = collapse(candidates, self._taken)
        storage, path = self.run.storage, f"{unit.key}.parquet"
        written = {
            "segments": (self.folder, collapsed.segments, SEGMENT),
            "occurrences": (self._occurrences, collapsed.occurrences, OCCURRENCE),
            "rejects": (self.rejects_folder(), collapsed.rejects, REJECT),
        }
        parts: dict[str, tuple[Part, ...]] = {
            kind: (write_part(folder, path, table, schema, storage),)
            for kind, (folder, table, schema) in written.items()
        }
        counters = {
            "candidates": sum(table.num_rows for table in candidates),
            "segments": collapsed.segments.num_rows,
            "occurrences": collapsed.occurrences.num_rows,
            "rejected_after_reading": collapsed.rejects.num_rows,
        }
        counters |= reason_counters(collapsed.rejects)
        return Receipt(unit=unit.key, parts=parts, counters=counters)

    def finish(self) -> None:
        """Check that no row and no candidate is lost; write the manifests; drop the spills.

        Laws: rows in = rows that became a candidate or a reject; candidates = occurrences + rejected.
        """
        folders = {
            "rejects": self.rejects_folder(),
            "occurrences": self._occurrences,
            "segments": self.folder,
        }
        read = self.receipts("read")
        self.publish(
            folders,
            [*read, *self.receipts("collapse")],
            self.end(read, {"files": len(self.files)}),
            laws=(
                ("rows_in", ("rows_accounted",)),
                ("candidates", ("occurrences", "rejected_after_reading")),
            ),
        )
        self.clean()
