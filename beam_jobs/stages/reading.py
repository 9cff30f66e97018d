"""What the stages share that read the files of a corpus: some may have to be left out.

A file at which processes die is left out, so that the rest is finished. The receipt of a unit notes what
was left out of it, and the manifest says ``incomplete``. When such a file is to be tried again (its note
was removed, or ``execution.tries`` raised), that receipt counts no longer, and the later phases have
receipts of their own for whatever is left out then. So nothing needs to be removed first, however many
workers begin at once, and the result is that of a run to which nothing happened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, TypeVar

from beam_jobs.stage import Stage, Unit
from beam_jobs.stages.attempts import SIGNS, Attempt, Note, attempt
from beam_jobs.stages.spills import spills_of
from mining.config import stage_hash
from mining.io.dataset import (
    Receipt,
    has_manifest,
    read_json_if_there,
    read_manifest,
    read_receipt,
    remove_tree,
    write_json,
)
from mining.io.filesystem import list_glob, remove
from mining.io.times import times_of

INCOMPLETE = "incomplete"  # in a manifest's attributes: unit -> files that were left out of it
LEFT_OUT = "left_out"  # in a receipt's notes: files; and a folder that names units that lack some
# In that folder: a receipt is about to be written, and it alone tells what was left out.
_OPEN = [""]

T = TypeVar("T")


@dataclass
class _Seen:
    """What a worker knows of the records of a stage.

    Attributes:
        records: their names and times when they were last read; None if these do not tell of changes.
        left_out: what was found by them: files that were left out, by unit.
    """

    records: dict[str, float | None] | None = field(default_factory=dict)
    left_out: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ReadingStage(Stage):
    """A stage one of whose phases reads the files of a corpus.

    Attributes:
        reads: that phase.
        remedy: what a user can do where processes die of several files that are computed together.
    """

    reads: ClassVar[str]
    remedy: ClassVar[str] = ""

    def note(self, key: str) -> str:
        """Address of the note of a unit that is being read, or of which something was left out."""
        return f"{self.home}/begun/{key}.json"

    def _record(self, key: str) -> str:
        return f"{self.home}/{LEFT_OUT}/{key}.json"

    def _records(self) -> dict[str, float | None]:
        """Names of the records of units of which something is or was left out, and their times."""
        return times_of(f"{self.home}/{LEFT_OUT}", self.run.storage)

    def _has_record(self, key: str) -> bool:
        return f"{key}.json" in self._records()

    def attempt(self, unit: Unit, files: Sequence[str]) -> AbstractContextManager[Attempt]:
        """An attempt at reading the files of a unit."""
        execution = self.run.config.execution
        note = self.note(unit.key)
        return attempt(note, self.run.storage, execution.tries, files, self.remedy)

    def record(self, unit: Unit, skipped: Sequence[str]) -> dict[str, list[str]]:
        """Record that something was left out of a unit, now or before, before its receipt is written.

        Returns:
            What the receipt notes of it.
        """
        files = sorted(set(skipped))
        if files or self._has_record(unit.key):
            write_json(self._record(unit.key), _OPEN, self.run.storage)
        return {LEFT_OUT: files}

    def settle(self, phase: str, receipt: Receipt) -> None:
        """Record that the receipt of a unit is written of which something was left out, now or before.

        So :meth:`left_out` sees by one listing whether anything has changed.
        """
        files = receipt.notes.get(LEFT_OUT, [])
        if phase == self.reads and (files or self._has_record(receipt.unit)):
            write_json(self._record(receipt.unit), files, self.run.storage)

    def _skipped(self, receipt: Receipt) -> list[str]:
        """Files that were left out of a unit of the phase that reads."""
        files: list[str] | None = receipt.notes.get(LEFT_OUT)
        if files is None:  # taken over, or of a version whose receipts did not note it
            files = read_json_if_there(self._record(receipt.unit), self.run.storage)
        return files or []

    def left_out(self) -> dict[str, list[str]]:
        """Files that were left out of the units of the phase that reads, by unit."""
        records, seen = self._records(), self._seen
        if records != seen.records:
            seen.left_out, settled = self._read_left_out(list(records))
            # one that is written meanwhile has another time in the next listing
            seen.records = records if settled and None not in records.values() else None
        return dict(seen.left_out)

    @cached_property
    def _seen(self) -> _Seen:
        return _Seen()

    def kept(self, name: str, make: Callable[[], T]) -> T:
        """What is made of receipts once a worker; made anew when something else was left out.

        Args:
            name: of it.
            make: makes it.
        """
        left_out = self._seen.left_out
        if name not in self._made or self._made[name][0] != left_out:
            self._made[name] = left_out, make()
        made: T = self._made[name][1]
        return made

    @cached_property
    def _made(self) -> dict[str, tuple[dict[str, list[str]], Any]]:
        """Of :meth:`kept`: with what was left out then."""
        return {}

    def _read_left_out(self, records: Sequence[str]) -> tuple[dict[str, list[str]], bool]:
        """What the receipts of units say that have a record, and whether none of them is open."""
        storage, folder = self.run.storage, super().receipts_folder(self.reads)
        found, settled = {}, True
        for name in records:
            key = name.removesuffix(".json")
            settled = settled and read_json_if_there(self._record(key), storage) != _OPEN
            receipt = read_receipt(folder, key, storage)
            if receipt is not None and (files := self._skipped(receipt)):
                found[receipt.unit] = files
        return found, settled

    def receipts_folder(self, phase: str) -> str:
        """Where the receipts of a phase are; of a later one than reads, of what is left out now."""
        folder = super().receipts_folder(phase)
        if self.phases.index(phase) <= self.phases.index(self.reads):
            return folder
        left_out = self.left_out()
        return f"{folder}.{stage_hash(LEFT_OUT, left_out)}" if left_out else folder

    def is_current(self, phase: str, receipt: Receipt) -> bool:
        """Whether nothing was left out of a unit that is to be tried again."""
        return phase != self.reads or not self._to_try_again({receipt.unit: self._skipped(receipt)})

    def done(self, phase: str) -> set[str]:
        """Keys of the units that are done, but for those that are to be tried again."""
        there = super().done(phase)
        return there - set(self._to_try_again(self.left_out())) if phase == self.reads else there

    def incomplete(self) -> Mapping[str, list[str]]:
        """What the finished result lacks, by unit."""
        found: Mapping[str, list[str]] = read_manifest(
            self.folder, self.run.storage
        ).attributes.get(INCOMPLETE, {})
        return found

    def is_done(self) -> bool:
        """Whether the result is finished, but for files that are still to be left out."""
        if not has_manifest(self.folder, self.hash, self.run.storage):
            return False
        return not self._to_try_again(self.incomplete())

    def _to_try_again(self, left_out: Mapping[str, list[str]]) -> list[str]:
        """Units of which a file was left out that is not to be left out any more."""
        tries, found = self.run.config.execution.tries, []
        for key, files in left_out.items():
            note = Note.read(self.note(key), self.run.storage) if files else Note()
            if any(note.left_out.get(file, 0) < tries for file in files):
                found.append(key)
        return found

    def end(self, read: Sequence[Receipt], attributes: Mapping[str, Any]) -> dict[str, Any]:
        """Facts for the manifests, what is incomplete among them.

        Whatever a later try needs is kept then; see :meth:`clean`.

        Args:
            read: receipts of the phase that reads.
            attributes: other facts.
        """
        skipped = {receipt.unit: self._skipped(receipt) for receipt in read}
        left_out = {unit: files for unit, files in skipped.items() if files}
        return {**attributes, INCOMPLETE: left_out} if left_out else dict(attributes)

    def clean(self) -> None:
        """Remove what is not needed after the manifests: the spills, unless a file may yet come."""
        storage = self.run.storage
        remove_tree(f"{self.home}/begun/{SIGNS}", storage)  # of processes that died
        if not self.left_out():
            remove_tree(spills_of(self).folder, storage)
        later = self.phases[self.phases.index(self.reads) + 1 :]
        current = {self.receipts_folder(phase) for phase in later}
        for uri in list_glob(self.home, storage):
            folder = uri.rpartition("/")[0]
            phase = folder.removeprefix(f"{self.home}/").partition(".")[0]
            if phase in later and folder not in current:  # of when something else was left out
                remove(uri, storage)
