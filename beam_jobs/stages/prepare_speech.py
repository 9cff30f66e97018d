"""Stage prepare for speech: recordings become regions of speech and candidate segments.

Phase ``list`` writes down what lists refused; phase ``hear`` goes through each recording once and
spills what it found by partition; phase ``collapse`` gathers each partition, where the same
recording under two names becomes one. A partition is the recording's, so that all its segments are
in one part.
"""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from beam_jobs.forgotten import forgotten_of
from beam_jobs.stage import Run, Unit, reason_counters
from beam_jobs.stages.listing import Listing, audio_base, list_recordings
from beam_jobs.stages.once import one_copy
from beam_jobs.stages.reading import ReadingStage
from beam_jobs.stages.spills import SPILL_BYTES, Notes, gathered, partition_units, spills_of
from mining.config import stage_hash
from mining.config.model import Corpus
from mining.contract.errors import ConfigError, DatasetError, InputError
from mining.contract.ids import partitions_of
from mining.contract.schemas import OCCURRENCE, REGION, REJECT, SEGMENT
from mining.contract.speech import SpeechDetector
from mining.contract.uris import absolute
from mining.io.collapse import collapse
from mining.io.dataset import Receipt
from mining.io.forgotten import Forgotten
from mining.io.local import file_digest, local_file
from mining.io.parquet import Part, write_part
from mining.io.spill import read_spill, write_spill
from mining.speech.channels import seconds_of
from mining.speech.detect import SileroDetector
from mining.speech.duplicates import distinct_regions, other_languages
from mining.speech.hear import Heard, Recording, hear, nothing_heard

# A unit is some recordings in the order of the listing: whole work for a worker, little to lose.
_UNIT_RECORDINGS = 256
_UNIT_BYTES = 64 << 20
_SPILLED = ("segments", "regions")


@one_copy(kept=1)
def _detector() -> SpeechDetector:
    return SileroDetector()


@dataclass(frozen=True, kw_only=True)
class PrepareSpeech(ReadingStage):
    """Prepares one speech corpus.

    Attributes:
        listing: its recordings. Stays in the launcher: workers read it from the state folder.
        listed: digest of the listing.
        bounds: where the units of phase ``hear`` begin and end in the listing.
        forgotten: recordings that are passed over, whatever they are called.
    """

    listing: Listing | None = field(repr=False, compare=False)
    listed: str
    bounds: tuple[int, ...]
    forgotten: Forgotten
    name: ClassVar[str] = "prepare"
    phases: ClassVar[tuple[str, ...]] = ("list", "hear", "collapse")
    reads: ClassVar[str] = "hear"

    @classmethod
    def plan(
        cls, run: Run, subject: str, corpus: Corpus, *, unique_ids: bool = False
    ) -> PrepareSpeech:
        """List the recordings of a corpus.

        ``unique_ids``: whether an id may stand in one language only.

        Raises:
            InputError: if there is none, or a list cannot be read.
            ConfigError: if a recording is one that this run writes.
        """
        forgotten = forgotten_of(run, subject)
        listing = list_recordings(
            subject, corpus, run.storage, unique_ids=unique_ids, forgotten=forgotten
        )
        output = f"{absolute(run.output)}/"
        for uri in listing.recordings["uri"].to_pylist():
            if uri.startswith(output):
                raise ConfigError(f"corpora.{subject}.uri: must not hold {uri}: this run writes it")
        tables = (listing.recordings, listing.rejects)
        return cls(
            run=run,
            subject=subject,
            listing=listing,
            listed=stage_hash("listing", {"rows": [table.to_pylist() for table in tables]}),
            bounds=_bounds(listing.recordings["bytes"].to_pylist()),
            forgotten=forgotten,
        )

    def __getstate__(self) -> dict[str, Any]:
        """What travels to a worker: no data."""
        return {**{f.name: getattr(self, f.name) for f in fields(self)}, "listing": None}

    @property
    def _corpus(self) -> Corpus:
        return self.run.config.corpora[self.subject]

    @cached_property
    def hash(self) -> str:
        """Decided by the recordings (address and version), the detector and the settings."""
        corpus = self._corpus
        return self.hash_of(
            {
                "listed": self.listed,
                "speech": corpus.speech,
                "base": audio_base(corpus),
                "detector": _detector().fingerprint,
                # with it, more formats can be read
                "av": importlib.util.find_spec("av") is not None,
                "partitions": self.run.config.partitions,
            }
        )

    @property
    def folder(self) -> str:
        """Folder of the segments."""
        return self.run.dataset("segments", self.subject, self.hash)

    @property
    def regions_folder(self) -> str:
        """Folder of the regions."""
        return self.run.dataset("regions", self.subject, self.hash)

    def begin(self) -> None:
        """Write the listing for the workers."""
        if self.listing is None:
            raise DatasetError(f"prepare {self.subject}: must begin where it was planned")
        for kind in ("recordings", "rejects"):
            table = getattr(self.listing, kind)
            where = np.zeros(table.num_rows, np.int32)
            write_spill(f"{self.home}/{kind}.arrow", table, where, self.run.storage)

    def _listed(self, kind: str) -> pa.Table:
        return read_spill(f"{self.home}/{kind}.arrow", None, self.run.storage)

    @cached_property
    def _recordings(self) -> pa.Table:
        return self._listed("recordings")

    @property
    def _notes(self) -> Notes:
        return self.kept("notes", lambda: gathered(self.receipts("hear"), _SPILLED))

    def units(self, phase: str) -> tuple[Unit, ...]:
        """One for what was listed; some recordings each; partitions."""
        if phase == "list":
            return (Unit(key="list"),)
        if phase == "hear":
            return tuple(
                Unit(key=f"recordings-{start:08d}", args={"start": start, "end": end})
                for start, end in pairwise(self.bounds)
            )
        return partition_units(self.run)

    def process(self, phase: str, unit: Unit) -> Receipt:
        """Write down refused rows, hear some recordings, or collapse a partition."""
        work = {"list": self._refused, "hear": self._hear, "collapse": self._collapse}
        return work[phase](unit)

    def _refused(self, unit: Unit) -> Receipt:
        refused = self._listed("rejects")
        part = self._write_rejects(unit, refused)
        rows = {"rows_in": refused.num_rows, "rows_accounted": refused.num_rows}
        return Receipt(
            unit=unit.key, parts={"rejects": (part,)}, counters=rows | reason_counters(refused)
        )

    def _write_rejects(self, unit: Unit, refused: pa.Table) -> Part:
        return write_part(
            self.rejects_folder(), f"{unit.key}.parquet", refused, REJECT, self.run.storage
        )

    # Phase hear

    def _hear(self, unit: Unit) -> Receipt:
        start, end = unit.args["start"], unit.args["end"]
        counters: Counter[str] = Counter()
        held: dict[str, list[pa.Table]] = {kind: [] for kind in _SPILLED}
        rejects = [REJECT.empty_table()]
        notes: Notes = {kind: [] for kind in _SPILLED}
        rows = self._recordings.slice(start, end - start).to_pylist()
        with self.attempt(unit, [row["source_uri"] for row in rows]) as attempt:
            for row in rows:
                if not attempt.may_read(row["source_uri"]):
                    continue
                if (one := self._one(row)) is None:
                    continue
                heard, refused = one
                rejects.append(refused)
                held["segments"].append(heard.candidates)
                held["regions"].append(heard.regions)
                counters["rows_in"] += 1
                counters["rows_accounted"] += bool(heard.candidates.num_rows or refused.num_rows)
                counters["audio_ms"] += heard.duration_ms
                counters["speech_ms"] += heard.speech_ms
                counters["regions"] += heard.regions.num_rows
                if sum(table.nbytes for tables in held.values() for table in tables) > SPILL_BYTES:
                    self._spill(unit.key, held, notes)
        left_out = self.record(unit, attempt.skipped)
        self._spill(unit.key, held, notes)
        refused = pa.concat_tables(rejects)
        counters.update(reason_counters(refused))
        part = self._write_rejects(unit, refused)
        return Receipt(
            unit=unit.key,
            parts={"rejects": (part,)},
            counters=dict(counters),
            notes={**notes, **left_out},
        )

    def _one(self, row: Mapping[str, Any]) -> tuple[Heard, pa.Table] | None:
        """Hear one recording; None if it was forgotten. One that cannot be opened is a reject."""
        try:
            with local_file(row["uri"], self.run.storage) as path:
                recording_id = file_digest(path)
                if self.forgotten.has_recording(recording_id):
                    return None
                recording = Recording(
                    recording_id=recording_id,
                    source_uri=row["source_uri"],
                    row=row["row"],
                    lang=row["lang"],
                    doc_id=row["doc_id"],
                    corpus=self.subject,
                )
                heard = hear(path, recording, _detector(), self._corpus.speech)
        except InputError as error:
            if "://" in row["uri"]:  # a storage that does not answer is no missing recording
                raise
            heard = nothing_heard("missing_audio", str(error))
        place = f"{row['source_uri']}#{row['row']}"
        columns = zip(
            *((place + what, "prepare", *why) for what, *why in heard.refused), strict=True
        )
        arrays = [pa.array(values, pa.string()) for values in columns]
        return heard, pa.table(arrays, schema=REJECT) if arrays else REJECT.empty_table()

    def _spill(self, key: str, held: dict[str, list[pa.Table]], notes: Notes) -> None:
        for kind, tables in held.items():
            if tables:
                table = pa.concat_tables(tables)
                ids = table["recording_id"].to_pylist()
                where = partitions_of(ids, self.run.config.partitions)
                spills_of(self).write(notes, kind, key, table, where)
            tables.clear()

    # Phase collapse

    def _collapse(self, unit: Unit) -> Receipt:
        partition, storage, path = unit.args["partition"], self.run.storage, f"{unit.key}.parquet"
        candidates = spills_of(self).read(self._notes, "segments", partition)
        taken = other_languages(candidates)
        collapsed = collapse(candidates, taken)
        regions = distinct_regions(spills_of(self).read(self._notes, "regions", partition))
        written = {
            "segments": (self.folder, collapsed.segments, SEGMENT),
            "regions": (self.regions_folder, regions, REGION),
            "occurrences": (self._occurrences, collapsed.occurrences, OCCURRENCE),
            "rejects": (self.rejects_folder(), collapsed.rejects, REJECT),
        }
        parts = {
            kind: (write_part(folder, path, table, schema, storage),)
            for kind, (folder, table, schema) in written.items()
        }
        counters = {
            "candidates": sum(table.num_rows for table in candidates),
            "segments": collapsed.segments.num_rows,
            "occurrences": collapsed.occurrences.num_rows,
            "rejected_after_hearing": collapsed.rejects.num_rows,
        }
        counters |= reason_counters(collapsed.rejects)
        return Receipt(
            unit=unit.key, parts=parts, counters=counters, notes={"speech_s": seconds_of(regions)}
        )

    @property
    def _occurrences(self) -> str:
        return self.run.dataset("occurrences", self.subject, self.hash)

    def finish(self) -> None:
        """Check that no recording and no candidate is lost; write the manifests; drop the spills.

        Laws: rows in = recordings that became a candidate or a reject; candidates = occurrences +
        rejected.
        """
        folders = {
            "rejects": self.rejects_folder(),
            "occurrences": self._occurrences,
            "regions": self.regions_folder,
            "segments": self.folder,
        }
        heard, collapsed = self.receipts("hear"), self.receipts("collapse")
        seconds = {receipt.unit: receipt.notes["speech_s"] for receipt in collapsed}
        self.publish(
            folders,
            [*self.receipts("list"), *heard, *collapsed],
            self.end(heard, {"speech_s": seconds}),
            laws=(
                ("rows_in", ("rows_accounted",)),
                ("candidates", ("occurrences", "rejected_after_hearing")),
            ),
        )
        self.clean()


def _bounds(sizes: Sequence[int]) -> tuple[int, ...]:
    """Where units begin in a listing of files of these sizes, and its end."""
    starts, held = [0], 0
    for row, size in enumerate(sizes):
        full = row - starts[-1] >= _UNIT_RECORDINGS or held + size > _UNIT_BYTES
        if full and row > starts[-1]:
            starts.append(row)
            held = 0
        held += size
    return (*starts, len(sizes)) if sizes else (0,)
