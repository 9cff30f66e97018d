"""What a run is seen to do from another shell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Outcome, World
from tests.end_to_end.speech_world import SpeechWorld

Cli = Callable[..., Outcome]


def rows(out: str) -> dict[tuple[str, str], list[str]]:
    """Cells of the table behind stage and subject, cut where two blanks stand."""
    lines = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in
             out.splitlines()[1:] if "  " in line]  # fmt: skip
    return {(line[0], line[1]): line[2:] for line in lines}


def files(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_run_from_its_beginning_to_its_end(world: World, mining: Cli) -> None:
    work = ("work", "all", "--config", world.config, "--wait", 0, "--shard")
    assert mining(*work, "0/3").code == 3  # one of three files; nobody does the others
    before = files(world.output)
    seen = mining("status", world.output)
    assert seen.code == 0, seen.err
    assert files(world.output) == before
    found = rows(seen.out)
    assert list(found) == [
        ("prepare", "texts"), ("embed", "texts"), ("knn", "tt"), ("pairs", "tt"),
    ]  # fmt: skip
    assert found["prepare", "texts"] == ["read 1/3 units", "61", "0"]
    assert found["embed", "texts"] == ["not begun"]
    last = seen.out.splitlines()[-1]
    assert last.startswith("last unit done "), last
    assert last.endswith(" ago: prepare of texts")

    assert mining(*work, "1/3").code == 3
    found = rows(mining("status", world.output).out)["prepare", "texts"]
    assert found[0] == "read 2/3 units"
    assert found[1] == "121"
    assert found[3].endswith("rows a second")  # by the one receipt after the first
    assert len(found) == 5  # time left

    assert mining(*work, "0/1").code == 0
    seen = mining("status", world.output)
    found = rows(seen.out)
    assert {state[0] for state in found.values()} == {"finished"}
    assert found["embed", "texts"][1:4] == ["180", "180", "0"]
    assert seen.out.splitlines()[-1] == "finished"


@pytest.mark.parametrize("runner", ["run", "work"])
def test_speech_is_told_in_multiples_of_real_time(
    speech: SpeechWorld, mining: Cli, runner: str
) -> None:
    speech.change(tasks={"ss": speech.settings["tasks"]["ss"]})
    speech.change_corpus("talks", speech={"max_joined": 1})
    begin = ("transcribe",) if runner == "run" else ("work", "transcribe")
    assert mining("prepare", "--config", speech.config).code == 0
    assert mining(*begin, "--config", speech.config).code == 0
    found = rows(mining("status", speech.output).out)
    for stage in ("prepare", "transcribe"):
        assert found[stage, "talks"][0] == "finished"
        assert found[stage, "talks"][-1].endswith("times real time")
    assert found["knn", "ss"] == ["not begun"]


def test_a_folder_that_is_no_output_is_one_line(tmp_path: Path, mining: Cli) -> None:
    for place in (tmp_path, tmp_path / "none", "memory://none"):
        seen = mining("status", place)
        assert seen.code == 3
        assert len(seen.err.splitlines()) == 1
        assert "must be an output of mining run or mining work" in seen.err
