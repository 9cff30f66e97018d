"""What the stages share that read the files of a corpus: some may have to be left out.

A file at which processes die is left out, so that the rest is finished. What was left out of a unit is
recorded beside its receipt, and the manifest says ``incomplete``. When such a file is to be tried again
(its note was removed, or ``execution.tries`` raised), the receipts of its unit and of all later phases
are forgotten; the result is then that of a run to which nothing happened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar

from beam_jobs.attempts import SIGNS, Attempt, Note, attempt
from beam_jobs.stage import Stage, Unit
from mining.io.dataset import (
    MANIFEST,
    has_manifest,
    read_json_if_there,
    read_manifest,
    remove_tree,
    write_json,
)
from mining.io.filesystem import exists, list_glob, remove

INCOMPLETE = "incomplete"  # in a manifest's attributes: unit -> files that were left out of it


@dataclass(frozen=True, kw_only=True)
class ReadingStage(Stage):
    """A stage one of whose phases reads the files of a corpus."""

    reads: ClassVar[str]

    def note(self, key: str) -> str:
        """Address of the note of a unit that is being read, or of which something was left out."""
        return f"{self.home}/begun/{key}.json"

    def _record(self, key: str) -> str:
        return f"{self.home}/left_out/{key}.json"

    def attempt(self, unit: Unit, files: Sequence[str]) -> AbstractContextManager[Attempt]:
        """An attempt at reading the files of a unit."""
        execution = self.run.config.execution
        return attempt(self.note(unit.key), self.run.storage, execution.tries, files)

    def record(self, unit: Unit, skipped: Sequence[str]) -> None:
        """Record what was left out of a unit, before its receipt is written."""
        if skipped:
            write_json(self._record(unit.key), sorted(set(skipped)), self.run.storage)

    def left_out(self) -> dict[str, list[str]]:
        """Files that were left out of the units of the phase that reads, by unit."""
        storage = self.run.storage
        keys = (
            uri.rpartition("/")[2].removesuffix(".json")
            for uri in list_glob(f"{self.home}/left_out", storage)
        )
        found = ((key, read_json_if_there(self._record(key), storage)) for key in keys)
        return {key: files for key, files in found if files}  # another worker may have forgotten it

    def incomplete(self) -> Mapping[str, list[str]]:
        """What the finished result lacks, by unit."""
        found: Mapping[str, list[str]] = read_manifest(
            self.folder, self.run.storage
        ).attributes.get(INCOMPLETE, {})
        return found

    def is_done(self) -> bool:
        """Whether the segments are finished, but for files that are still to be left out."""
        if not has_manifest(self.folder, self.hash, self.run.storage):
            return False
        return not self._to_try_again(self.incomplete())

    def _to_try_again(self, left_out: Mapping[str, list[str]]) -> list[str]:
        """Units of which a file was left out that is not to be left out any more."""
        tries, found = self.run.config.execution.tries, []
        for key, files in left_out.items():
            note = Note.read(self.note(key), self.run.storage)
            if any(note.left_out.get(file, 0) < tries for file in files):
                found.append(key)
        return found

    def begin(self) -> None:
        """Forget what follows from files that were left out and are to be tried again.

        Several workers may do so at once, and the first to be done begins anew at once: so each looks
        again before every step whether it is still to be taken. Between that look and the step the
        receipt of another may yet be removed; then that unit is done twice.
        """
        for key in self.left_out():
            self._forget(key)

    def _forget(self, key: str) -> None:
        storage, manifest = self.run.storage, f"{self.folder}/{MANIFEST}"
        later = self.phases[self.phases.index(self.reads) + 1 :]
        if self._is_to_try_again(key) and exists(manifest, storage) and self.incomplete():
            remove(manifest, storage)
        for phase in later:
            if self._is_to_try_again(key):
                remove_tree(self.receipts_folder(phase), storage)
        if self._is_to_try_again(key):
            # the record last: until then the next run begins here again
            remove(f"{self.receipts_folder(self.reads)}/{key}.json", storage)
            remove(self._record(key), storage)

    def _is_to_try_again(self, key: str) -> bool:
        files = read_json_if_there(self._record(key), self.run.storage)
        return bool(files and self._to_try_again({key: files}))

    def end(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """Facts for the manifests, what is incomplete among them.

        Whatever a later try needs is kept then; see :meth:`clean`.
        """
        left_out = self.left_out()
        return {**attributes, INCOMPLETE: left_out} if left_out else dict(attributes)

    def clean(self) -> None:
        """Remove what is not needed after the manifests: the spills, unless a file may yet come."""
        remove_tree(f"{self.home}/begun/{SIGNS}", self.run.storage)  # of processes that died
        if not self.left_out():
            remove_tree(f"{self.home}/spill", self.run.storage)
