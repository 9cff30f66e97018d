"""What was left out while a corpus was read, as the later phases see it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest

from beam_jobs.stage import Run, Unit, do_unit
from beam_jobs.stages.attempts import Note
from beam_jobs.stages.reading import ReadingStage
from mining.config import Execution
from mining.io.dataset import Receipt, read_receipt
from mining.io.filesystem import Storage, read_bytes

UNITS = tuple(Unit(key=key) for key in ("u1", "u2", "u3"))
BAD = "u2.flac"


@dataclass(frozen=True, kw_only=True)
class Two(ReadingStage):
    """Each unit is one file; what it joins is what was left out of any."""

    before: Callable[[str], None] = field(default=lambda phase: None)  # a unit is done
    after: Callable[[str], None] = field(default=lambda phase: None)
    name: ClassVar[str] = "two"
    phases: ClassVar[tuple[str, ...]] = ("read", "join")
    reads: ClassVar[str] = "read"
    hash = "h"
    folder = ""

    def units(self, phase: str) -> tuple[Unit, ...]:
        return UNITS

    def finish(self) -> None:
        pass

    def process(self, phase: str, unit: Unit) -> Receipt:
        self.before(phase)
        if phase == "read":
            with self.attempt(unit, [f"{unit.key}.flac"]) as attempt:
                attempt.may_read(f"{unit.key}.flac")
            notes = self.record(unit, attempt.skipped)
        else:
            # the one as transcribe does, the other as prepare
            notes = {"joined": self.left_out(), "read": self.kept("read", self._of_receipts)}
        self.after(phase)
        return Receipt(unit=unit.key, notes=notes)

    def _of_receipts(self) -> dict[str, list[str]]:
        found = {receipt.unit: receipt.notes["left_out"] for receipt in self.receipts("read")}
        return {unit: files for unit, files in found.items() if files}


def stage(folder: Path, **also: Callable[[str], None]) -> Two:
    config = SimpleNamespace(output=str(folder), execution=Execution())
    return Two(run=Run(config=config), subject="s", **also)  # type: ignore[arg-type]


def read_all(folder: Path) -> None:
    """As another process does."""
    other = stage(folder)
    for unit in UNITS:
        if unit.key not in other.done("read"):
            do_unit(other, "read", unit)


@pytest.fixture
def partial(tmp_path: Path) -> Path:
    """A corpus of which one file was left out; returns its folder."""
    note = Note(attempts=[(f"elsewhere {n} 1", BAD) for n in range(3)])
    note.write(stage(tmp_path).note("u2"), Storage())
    read_all(tmp_path)
    return tmp_path


def let_read(folder: Path) -> None:
    Path(stage(folder).note("u2")).unlink()
    read_all(folder)


def joined(one: Two, unit: Unit) -> object:
    receipt = read_receipt(one.receipts_folder("join"), unit.key, Storage())
    assert receipt is not None
    assert receipt.notes["read"] == receipt.notes["joined"]
    return receipt.notes["joined"]


def test_what_was_left_out_is_read_anew_only_when_it_may_have_changed(partial, monkeypatch):
    reads = Counter[str]()

    def counted(uri: str, storage: Storage) -> bytes:
        reads[uri.rpartition("/two/")[2]] += 1
        return read_bytes(uri, storage)

    one = stage(partial)
    with monkeypatch.context() as patch:
        patch.setattr("mining.io.dataset.read_bytes", counted)
        for unit in UNITS:
            assert do_unit(one, "join", unit)
            assert one.done("join")
    ours = {uri: count for uri, count in reads.items() if "/join" not in uri}
    twice = "s/h/read/u2.json"  # for what was left out, and for what is made of all receipts
    assert ours == {
        "s/h/left_out/u2.json": 1,
        **{f"s/h/read/{u.key}.json": 1 for u in UNITS},
        twice: 2,
    }
    assert one.left_out() == {"u2": [BAD]}
    assert joined(one, UNITS[0]) == {"u2": [BAD]}

    let_read(partial)
    assert do_unit(one, "join", UNITS[0])
    assert joined(one, UNITS[0]) == {}
    assert one.done("read") == {"u1", "u2", "u3"}
    assert one.done("join") == {"u1"}


WRITE = "beam_jobs.stage.write_receipt"
SETTLE = "beam_jobs.stages.reading.ReadingStage.settle"


@pytest.mark.parametrize(("step", "then"), [(WRITE, {"u2": [BAD]}), (SETTLE, {})])
def test_who_dies_before_or_after_a_receipt_leaves_what_the_receipt_says(
    partial, monkeypatch, step, then
):
    one = stage(partial)

    def die(*_: object) -> None:
        assert one.left_out() == then
        raise KeyboardInterrupt

    assert one.left_out() == {"u2": [BAD]}
    Path(one.note("u2")).unlink()
    with monkeypatch.context() as patch:
        patch.setattr(step, die)
        with pytest.raises(KeyboardInterrupt):
            do_unit(stage(partial), "read", UNITS[1])
    assert one.left_out() == then
    read_all(partial)
    assert one.left_out() == {}


@pytest.mark.parametrize("when", ["before", "after"])
def test_what_is_read_while_a_later_unit_is_done_is_in_it(partial, when):
    done = []

    def meanwhile(phase: str) -> None:
        if not done:
            done.append(phase)
            let_read(partial)

    one = stage(partial)
    assert do_unit(one, "join", UNITS[2])
    object.__setattr__(one, when, meanwhile)
    old = one.receipts_folder("join")
    assert do_unit(one, "join", UNITS[0])
    assert one.receipts_folder("join") != old
    assert joined(one, UNITS[0]) == {}
    assert read_receipt(old, "u1", Storage()) is None
