"""Files that end the process which reads them: found out, and left out.

A decoder may crash, or be killed for memory: no error is raised then that could make the file a reject.
So a note is written before a unit of files is read, and removed after: whoever finds a note of a
process that is gone knows that it died there. From the second time on each file is noted, too, before it
is read. A file at which so many processes in a row died is left out; whoever ended by itself, with
an error or a signal that it heeded, has taken its note along and does not count.
"""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mining.contract.errors import DatasetError, MiningError
from mining.io.dataset import read_json_if_there, write_json
from mining.io.filesystem import Storage, remove


@dataclass(kw_only=True)
class Note:
    """What is written down of a unit.

    Attributes:
        attempts: (process, file or empty) that began the unit and did not come back.
        left_out: file -> how many processes died at it.
    """

    attempts: list[tuple[str, str]] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, uri: str, storage: Storage) -> Note:
        """The note at an address; an empty one if there is none.

        Raises:
            DatasetError: if it is damaged.
        """
        if (value := read_json_if_there(uri, storage)) is None:
            return cls()
        try:
            attempts = [(str(process), str(file)) for process, file in value["attempts"]]
            return cls(attempts=attempts, left_out=dict(value["left_out"]))
        except (KeyError, TypeError, ValueError):
            raise DatasetError(f"{uri}: must be a note of this version; remove it") from None

    def write(self, uri: str, storage: Storage) -> None:
        """Write it; an empty one is removed."""
        if self.attempts or self.left_out:
            value: dict[str, Any] = {"attempts": self.attempts, "left_out": self.left_out}
            write_json(uri, value, storage)
        else:
            remove(uri, storage)

    def deaths(self, file: str) -> int:
        """How many processes in a row died at a file, or where it is not known at which."""
        count = self.left_out.get(file, 0)
        for _, one in reversed(self.attempts):
            if one not in ("", file):
                break
            count += 1
        return count


class Attempt:
    """One process' attempt at a unit.

    Attributes:
        skipped: files that were left out of it.
    """

    def __init__(self, uri: str, storage: Storage, tries: int) -> None:
        self._uri, self._storage, self._tries = uri, storage, tries
        self._lock = threading.Lock()
        self._ended = False
        self.skipped: list[str] = []
        found = Note.read(uri, storage)
        # those that still run have not died; they take care of their own notes
        self._before = Note(
            attempts=[one for one in found.attempts if not is_running(one[0])],
            left_out=found.left_out,
        )
        last = self._before.attempts[-1][1] if self._before.attempts else ""
        if last and (deaths := self._before.deaths(last)) >= tries:
            self._before = Note(left_out={**found.left_out, last: deaths})
        self._careful = bool(self._before.attempts or self._before.left_out)

    def begin(self, files: Sequence[str]) -> None:
        """Note that the unit is begun, and at once which file it is, if there is but one to read."""
        _OPEN.add(self)
        left = [file for file in files if not self._is_left_out(file)]
        self._note(left[0] if len(left) == 1 else "")

    def may_read(self, file: str) -> bool:
        """Whether a file is to be read; if so it is noted, where the unit is under suspicion."""
        if self._is_left_out(file):
            self.skipped.append(file)
            return False
        if self._careful:
            self._note(file)
        return True

    def _is_left_out(self, file: str) -> bool:
        return self._before.left_out.get(file, 0) >= self._tries

    def _note(self, file: str) -> None:
        with self._lock:
            if not self._ended:
                attempts = [*self._before.attempts, (this_process(), file)]
                note = Note(attempts=attempts, left_out=self._before.left_out)
                note.write(self._uri, self._storage)

    def finish(self) -> None:
        """The unit is done: only what was left out of it is still of interest."""
        left_out = {file: self._before.left_out[file] for file in self.skipped}
        self._end(Note(left_out=left_out))

    def withdraw(self) -> None:
        """The process lives and gives up: as if it had not begun."""
        self._end(self._before)

    def _end(self, note: Note) -> None:
        with self._lock:
            if not self._ended:
                self._ended = True
                note.write(self._uri, self._storage)
        _OPEN.discard(self)


_OPEN: set[Attempt] = set()


@contextmanager
def attempt(uri: str, storage: Storage, tries: int, files: Sequence[str]) -> Iterator[Attempt]:
    """Read the files of a unit in the body.

    Args:
        uri: of the unit's note.
        storage: fsspec options.
        tries: processes that may die at a file before it is left out.
        files: of the unit.
    """
    one = Attempt(uri, storage, tries)
    try:
        one.begin(files)
        yield one
    except BaseException:
        with suppress(MiningError):  # what ended it is what is to be said
            one.withdraw()
        raise
    one.finish()


def withdraw_all() -> None:
    """Before this process ends by itself, with threads that it will not wait for."""
    for one in list(_OPEN):
        with suppress(MiningError):
            one.withdraw()


def this_process() -> str:
    """Host, number and start of this process."""
    return f"{platform.node()} {os.getpid()} {_start(os.getpid())}"


def is_running(process: str) -> bool:
    """Whether a process of this host runs. Of other hosts it is not known, and they count as gone."""
    host, pid, start = process.rsplit(" ", 2)
    if host != platform.node():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return start == _start(int(pid))


def _start(pid: int) -> str:
    """When a process was started, in ticks since the machine was; 0 where there is no /proc."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return "0"
    return stat.rpartition(")")[2].split()[19]
