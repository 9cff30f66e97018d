"""Files that end the process which reads them: found out, and left out.

A decoder may crash, or be killed for memory: no error is raised then that could make the file a reject.
So a note is written before a unit of files is read, and removed after: whoever finds a note of a
process that is gone knows that it died there. From the second time on each file is noted, too, before it
is read. A file at which so many processes in a row died is left out; whoever ended by itself, with
an error or a signal that it heeded, has taken its note along and does not count. Where so many
processes in a row died of several files together, after each had been read alone, none can be left out
for it: that is an error, which says what can be done.

Whether a process of another host is gone cannot be asked. So each keeps a sign of life of its own beside
the note, an empty file: there while it is at the unit, and written anew now and then. Without a sign it
ended by itself; with one that is old, by the clock of the storage alone, it died; else it is not known
yet, and it stays in the note until it is.
"""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from itertools import takewhile
from pathlib import Path
from typing import TypeVar

from mining.contract.errors import CapacityError, DatasetError, MiningError
from mining.io.dataset import read_json_if_there, write_json
from mining.io.filesystem import Storage, remove, write_atomic
from mining.io.times import times_of

SIGNS = "alive"  # folder beside the notes
TOGETHER = "together/"  # in place of a file, whose address has no slash at its end: several at once
_RENEW_S = 30.0
# Twenty renewals: a store that is out of order for minutes, or a machine that stalls, is no death. What
# it costs is that deaths on ever other hosts count only so much later.
_GONE_S = 600.0

T = TypeVar("T")
Begun = tuple[str, str]  # a process, and the file it was at, empty if that is not known


@dataclass(kw_only=True)
class Note:
    """What is written down of a unit.

    Attributes:
        attempts: those that began the unit and died.
        open: those that began it and were not known to be dead when this was written.
        left_out: file -> how many processes died at it.
    """

    attempts: list[Begun] = field(default_factory=list)
    open: list[Begun] = field(default_factory=list)
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
            attempts, begun = (
                [(str(process), str(file)) for process, file in some]
                for some in (value["attempts"], value.get("open", ()))
            )
            return cls(attempts=attempts, open=begun, left_out=dict(value["left_out"]))
        except (AttributeError, KeyError, TypeError, ValueError):
            raise DatasetError(f"{uri}: must be a note of this version; remove it") from None

    def write(self, uri: str, storage: Storage) -> None:
        """Write it; an empty one is removed."""
        if self.attempts or self.open or self.left_out:
            write_json(uri, asdict(self), storage)
        else:
            remove(uri, storage)

    def deaths(self, file: str) -> int:
        """How many processes in a row died at a file, or where it is not known at which."""
        count = self.left_out.get(file, 0)
        for _, one in reversed(self.attempts):
            if one not in ("", TOGETHER, file):
                break
            count += 1
        return count

    def deaths_together(self) -> int:
        """How many processes in a row died of several files together, each of which had been read."""
        some = takewhile(lambda begun: begun[1] == TOGETHER, reversed(self.attempts))
        return len(list(some))


class Attempt:
    """One process' attempt at a unit; the arguments are those of :func:`attempt`.

    Attributes:
        skipped: files that were left out of it.
    """

    def __init__(self, uri: str, storage: Storage, tries: int, remedy: str) -> None:
        self._uri, self._storage, self._tries, self._remedy = uri, storage, tries, remedy
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._sign = _sign(uri, this_process())
        self._only = ""
        self.skipped: list[str] = []
        found = Note.read(uri, storage)
        self._renew(storage)
        dead, unknown = self._fates(found.open)
        self._before = Note(
            attempts=[*found.attempts, *dead], open=unknown, left_out=found.left_out
        )
        self._signs = [_sign(uri, process) for process, _ in (*self._before.attempts, *unknown)]
        last = self._before.attempts[-1][1] if self._before.attempts else ""
        if last not in ("", TOGETHER) and (deaths := self._before.deaths(last)) >= tries:
            self._before = Note(open=unknown, left_out={**found.left_out, last: deaths})
        self._careful = self._before != Note()

    def _fates(self, begun: Sequence[Begun]) -> tuple[list[Begun], list[Begun]]:
        """Which of those that began are dead, and of which it is not known.

        The others have ended by themselves, or run on this host and take care of their own notes.
        """
        if not begun:
            return [], []
        folder, _, own = self._sign.rpartition("/")
        signs, dead, unknown = times_of(folder, self._storage), [], []
        # just written: the storage's own clock, whatever that of each host says
        now = signs.get(own)
        for one in begun:
            name = _sign(self._uri, one[0]).rpartition("/")[2]
            if name not in signs or is_running(one[0]):
                continue
            seen = signs[name]
            if is_here(one[0]) or now is None or seen is None or now - seen >= _GONE_S:
                dead.append(one)
            else:
                unknown.append(one)
        return dead, unknown

    def _renew(self, storage: Storage) -> None:
        with self._lock:
            if not self._ended.is_set():
                write_atomic(self._sign, b"", storage)

    def _stay_alive(self) -> None:
        storage = replace(self._storage, patience_s=0.0)
        while not self._ended.wait(_RENEW_S):
            with suppress(MiningError):  # the next time, then
                self._renew(storage)

    def begin(self, files: Sequence[str]) -> None:
        """Note that the unit is begun, and at once which file it is, if there is but one to read.

        Raises:
            CapacityError: too many died of several files together.
        """
        if (deaths := self._before.deaths_together()) >= self._tries:
            raise CapacityError(
                f"{self._uri}: must be a unit whose recordings can be computed together, but {deaths} "
                f"processes died of that, though of no recording alone; {self._remedy}, remove this "
                "note, and run the same command again"
            )
        _OPEN.add(self)
        threading.Thread(target=self._stay_alive, daemon=True).start()
        left = {file for file in files if not self._is_left_out(file)}
        self._only = left.pop() if len(left) == 1 else ""
        self._note(self._only)

    def may_read(self, file: str) -> bool:
        """Whether a file is to be read; if so it is noted, where the unit is under suspicion."""
        if self._is_left_out(file):
            self.skipped.append(file)
            return False
        if self._careful:
            self._note(file)
        return True

    def sifted(
        self, items: Iterable[T], file_of: Callable[[T], str], alone: Callable[[T], object]
    ) -> list[T]:
        """Items whose file is to be read: for work that takes several files at once.

        Args:
            items: of the unit's files; several may be of one.
            file_of: the file of an item.
            alone: does the work on one item, for nothing. Where the unit is under suspicion this comes
                first, since it could not be said at which file a process died that was at several.
        """
        found = []
        for item in items:
            if self.may_read(file_of(item)):
                found.append(item)
                if self._careful and not self._only:
                    alone(item)
        if self._careful and not self._only:
            self._note(TOGETHER)
        return found

    def _is_left_out(self, file: str) -> bool:
        return self._before.left_out.get(file, 0) >= self._tries

    def _note(self, file: str) -> None:
        with self._lock:
            if not self._ended.is_set():
                begun = [*self._before.open, (this_process(), file)]
                replace(self._before, open=begun).write(self._uri, self._storage)

    def finish(self) -> None:
        """The unit is done: only what was left out of it is still of interest."""
        left_out = {file: self._before.left_out[file] for file in self.skipped}
        self._end(Note(left_out=left_out), self._signs)

    def withdraw(self) -> None:
        """The process lives and gives up: as if it had not begun."""
        self._end(self._before)

    def _end(self, note: Note, signs: Sequence[str] = ()) -> None:
        """Leave a note, and neither a sign of its own nor the given ones."""
        with self._lock:
            if not self._ended.is_set():
                self._ended.set()
                try:
                    note.write(self._uri, self._storage)
                finally:
                    with suppress(MiningError):  # of what no note names, a sign says nothing
                        for sign in (self._sign, *signs):
                            remove(sign, self._storage)
        _OPEN.discard(self)


_OPEN: set[Attempt] = set()


@contextmanager
def attempt(
    uri: str, storage: Storage, tries: int, files: Sequence[str], remedy: str = ""
) -> Iterator[Attempt]:
    """Read the files of a unit in the body.

    Args:
        uri: of the unit's note.
        storage: fsspec options.
        tries: processes that may die at a file before it is left out.
        files: of the unit.
        remedy: what a user can do where processes die of several files together.

    Raises:
        CapacityError: as many processes in a row died so.
    """
    one = Attempt(uri, storage, tries, remedy)
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


def is_here(process: str) -> bool:
    """Whether a process is, or was, one of this host."""
    return process.rsplit(" ", 2)[0] == platform.node()


def is_running(process: str) -> bool:
    """Whether a process is of this host and runs. Of other hosts it is not known here."""
    if not is_here(process):
        return False
    _, pid, start = process.rsplit(" ", 2)
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return start == _start(int(pid))


def _sign(uri: str, process: str) -> str:
    """Address of the sign of life that a process keeps beside a note."""
    folder, _, name = uri.rpartition("/")
    return f"{folder}/{SIGNS}/{name.removesuffix('.json')}@{process.replace(' ', '-')}"


def _start(pid: int) -> str:
    """When a process was started, in ticks since the machine was; 0 where there is no /proc."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return "0"
    return stat.rpartition(")")[2].split()[19]
