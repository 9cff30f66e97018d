"""Which file is to blame when processes die: the same one, several times in a row."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from beam_jobs.stages.attempts import (
    TOGETHER,
    Note,
    attempt,
    is_running,
    this_process,
    withdraw_all,
)
from mining.contract.errors import CapacityError
from mining.io.dataset import MANIFEST, has_manifest, read_receipt
from mining.io.filesystem import Storage, read_bytes

FILES = ("a", "b", "c")
TRIES = 3
PIDS = itertools.count(1)


def note(path: Path) -> dict[str, object]:
    return json.loads(path.read_text()) if path.exists() else {}


def read(path: Path, files: Sequence[str] = FILES, tries: int = TRIES) -> list[str]:
    """Read all files of a unit to its end, and return those that were left out."""
    with attempt(str(path), Storage(), tries, files) as one:
        for file in files:
            one.may_read(file)
    return one.skipped


def die(
    path: Path, at: str, files: Sequence[str] = FILES, tries: int = TRIES, *, lately: bool = False
) -> Path:
    """A process that dies while it reads a file: what it left stays, under a name of its own.

    Returns:
        Its sign of life; renewed lately, for all that others know it may live.
    """
    context = attempt(str(path), Storage(), tries, files)
    one = context.__enter__()
    for file in files[: files.index(at) + 1]:
        one.may_read(file)
    process = f"elsewhere {next(PIDS)} 1"
    path.write_text(path.read_text().replace(this_process(), process))
    (own,) = path.parent.glob(f"alive/note@{this_process().replace(' ', '-')}")
    sign = own.rename(own.with_name(f"note@{process.replace(' ', '-')}"))
    if not lately:
        age(sign)
    one._ended.set()  # nothing more comes of it
    context.__exit__(None, None, None)
    return sign


def age(sign: Path) -> None:
    """So long not renewed that its process must be dead."""
    os.utime(sign, (sign.stat().st_mtime - 601,) * 2)


def begun(path: Path) -> list[object]:
    found = note(path)
    return [*found["attempts"], *found["open"]]


def fail(path: Path, error: BaseException) -> None:
    with attempt(str(path), Storage(), TRIES, FILES) as one:
        one.may_read("b")
        raise error


def test_a_file_at_which_three_died_is_left_out_and_no_other(tmp_path):
    path = tmp_path / "note.json"
    for _ in range(TRIES):
        die(path, "b")
    assert read(path) == ["b"]
    assert note(path) == {"attempts": [], "open": [], "left_out": {"b": 3}}
    assert not list(tmp_path.glob("alive/*"))
    assert read(path) == ["b"]  # and next time
    assert read(path, tries=4) == []
    assert not path.exists()  # it could be read


def test_raised_tries_count_on(tmp_path):
    path = tmp_path / "note.json"
    for _ in range(TRIES):
        die(path, "b")
    assert read(path) == ["b"]
    die(path, "b", tries=5)
    die(path, "b", tries=5)
    assert read(path, tries=5) == ["b"]
    path.unlink()
    assert read(path) == []


def test_two_bad_files_of_a_unit_are_found_one_after_the_other(tmp_path):
    path = tmp_path / "note.json"
    for at in ("a", "a", "a", "c", "c", "c"):
        die(path, at)
    assert read(path) == ["a", "c"]


@pytest.mark.parametrize("deaths", ["bb", "babab", "bca", "bbcc"])
def test_deaths_at_different_files_blame_none(tmp_path, deaths):
    """Killed from outside, a process dies here and there."""
    path = tmp_path / "note.json"
    for at in deaths:
        die(path, at)
    assert read(path) == []
    assert not path.exists()


def test_what_ends_by_itself_or_still_runs_does_not_count(tmp_path):
    path = tmp_path / "note.json"
    die(path, "b")
    die(path, "b")
    before = begun(path)
    for error in (KeyboardInterrupt(), CapacityError("disk full")):
        with pytest.raises(type(error)):
            fail(path, error)
        assert begun(path) == before
    running = attempt(str(path), Storage(), TRIES, FILES)
    running.__enter__().may_read("b")
    assert len(begun(path)) == 3
    with attempt(str(path), Storage(), TRIES, FILES) as beside:
        assert beside.may_read("b")  # two have died, one is at it
    assert not path.exists()
    withdraw_all()
    assert begun(path) == before


def test_the_only_file_of_a_unit_is_known_at_once(tmp_path):
    path = tmp_path / "note.json"
    die(path, "a", ("a",), tries=2)
    assert [file for _, file in begun(path)] == ["a"]
    die(path, "a", ("a",), tries=2)
    assert read(path, ("a",), tries=2) == ["a"]


def test_on_another_host_only_what_shows_no_sign_for_long_is_dead(tmp_path):
    """Four machines that were all given the same shard, or one machine after the other that crashed."""
    path = tmp_path / "note.json"
    signs = [die(path, "b", lately=True) for _ in range(TRIES)]
    with pytest.raises(KeyboardInterrupt):
        fail(path, KeyboardInterrupt())
    assert len(begun(path)) == TRIES
    age(signs[0])
    age(signs[1])
    with pytest.raises(KeyboardInterrupt):
        fail(path, KeyboardInterrupt())
    assert [len(note(path)[kind]) for kind in ("attempts", "open")] == [2, 1]
    age(signs[2])
    assert read(path) == ["b"]
    assert not list(tmp_path.glob("alive/*"))


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_on_another_host_what_may_live_or_ended_by_itself_does_not_count(tmp_path, gone):
    path = tmp_path / "note.json"
    signs = [die(path, "b", lately=True) for _ in range(TRIES)]
    for sign in signs:
        age(sign)
    signs[gone].unlink()  # as who withdraws does
    os.utime(signs[gone - 1])
    assert read(path) == []
    assert not path.exists()


def test_who_reads_for_long_shows_that_it_lives(tmp_path, monkeypatch):
    monkeypatch.setattr("beam_jobs.stages.attempts._RENEW_S", 0.01)
    path = tmp_path / "note.json"
    with attempt(str(path), Storage(), TRIES, FILES):
        (sign,) = tmp_path.glob("alive/*")
        age(sign)
        then, end = sign.stat().st_mtime, time.monotonic() + 10
        while sign.stat().st_mtime == then:
            assert time.monotonic() < end
            time.sleep(0.01)
    time.sleep(0.05)
    assert not list(tmp_path.glob("alive/*"))


def test_a_note_that_another_removes_meanwhile_is_none(tmp_path, monkeypatch):
    path = tmp_path / "note.json"

    def late(uri: str, storage: Storage) -> bytes:
        path.unlink()  # whoever looked before has seen it
        return read_bytes(uri, storage)

    die(path, "b")
    with monkeypatch.context() as patch:
        patch.setattr("mining.io.dataset.read_bytes", late)
        assert Note.read(str(path), Storage()) == Note()
    path.write_text("{}")
    with monkeypatch.context() as patch:
        patch.setattr("mining.io.dataset.read_bytes", late)
        assert read_receipt(str(tmp_path), "note", Storage()) is None
    path = tmp_path / MANIFEST
    path.write_text("{}")
    with monkeypatch.context() as patch:
        patch.setattr("mining.io.dataset.read_bytes", late)
        assert not has_manifest(str(tmp_path), "hash", Storage())


def test_a_process_is_known_by_its_start_too():
    assert is_running(this_process())
    host, pid, start = this_process().rsplit(" ", 2)
    assert not is_running(f"{host} {pid} {int(start) + 1}")
    assert not is_running(f"other-{host} {pid} {start}")
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert not is_running(f"{host} {gone.pid} 0")


def test_work_on_several_files_at_once_is_tried_on_each_alone_when_a_process_has_died(tmp_path):
    path = tmp_path / "note.json"

    def work(files: Sequence[str]) -> tuple[list[str], list[str], str]:
        """Items, those that were tried alone, and what is noted while all are worked on."""
        tried: list[str] = []
        with attempt(str(path), Storage(), TRIES, files) as one:
            found = one.sifted(
                [f"{file}{n}" for file in files for n in "12"], at_first, tried.append
            )
            return found, tried, note(path)["open"][-1][1]

    def at_first(item: str) -> str:
        return item[0]

    assert work("ab") == (["a1", "a2", "b1", "b2"], [], "")
    die(path, "b")
    assert work("ab") == (["a1", "a2", "b1", "b2"], ["a1", "a2", "b1", "b2"], TOGETHER)
    die(path, "a", ("a",))
    assert work("a") == (["a1", "a2"], [], "a")  # nobody else can be to blame
    for _ in range(TRIES):
        die(path, "b", ("a", "b", "c"))
    assert work("abc") == (["a1", "a2", "c1", "c2"], ["a1", "a2", "c1", "c2"], TOGETHER)


def write_deaths(path: Path, *files: str) -> None:
    path.write_text(json.dumps({"attempts": [["elsewhere 1 1", f] for f in files], "left_out": {}}))


def test_as_many_deaths_of_several_files_together_are_an_error_until_the_note_is_removed(tmp_path):
    path = tmp_path / "note.json"

    def work(tries: int = TRIES) -> list[str]:
        with attempt(str(path), Storage(), tries, FILES, "buy memory") as one:
            return one.sifted(FILES, str, str)

    write_deaths(path, "", TOGETHER, TOGETHER)
    assert work() == list(FILES)
    write_deaths(path, "", *[TOGETHER] * TRIES)
    for _ in range(2):
        with pytest.raises(CapacityError, match=r"note.json: .* 3 processes died .*; buy memory, "):
            work()
        assert [file for _, file in note(path)["attempts"]] == ["", *[TOGETHER] * TRIES]
        assert not list(tmp_path.glob("alive/*"))
    path.unlink()
    assert work() == list(FILES)
    write_deaths(path, "", *[TOGETHER] * TRIES)
    assert work(TRIES + 1) == list(FILES)
    assert not path.exists()


@pytest.mark.parametrize(
    ("deaths", "left_out"),
    [
        (["", "b", TOGETHER, "b"], ["b"]),
        (["b", TOGETHER, "a", TOGETHER, TOGETHER], []),
        (["", "", "", ""], []),
    ],
)
def test_deaths_of_several_files_together_say_nothing_against_one(tmp_path, deaths, left_out):
    path = tmp_path / "note.json"
    write_deaths(path, *deaths)
    assert read(path) == left_out
