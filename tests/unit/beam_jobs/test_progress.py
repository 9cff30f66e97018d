"""What is said to people."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from types import SimpleNamespace

from beam_jobs.progress import Progress, one_of_each_kind
from beam_jobs.stage import Unit


def test_warnings_that_differ_in_numbers_only_are_one():
    said = [
        ("deu-eng", "deu-eng: 1 of 45 gold meanings are missing"),
        ("deu-eng", "deu-eng: no threshold"),
        ("fra-eng", "fra-eng: 12 of 40 gold meanings are missing"),
        ("ita-eng", "ita-eng: 3 of 45 gold meanings are missing"),
    ]
    assert one_of_each_kind(said) == (
        "deu-eng: 1 of 45 gold meanings are missing (and 2 more language pairs)",
        "deu-eng: no threshold",
    )
    assert one_of_each_kind([]) == ()


class Patience(SimpleNamespace):
    def impatient(self) -> Patience:
        return Patience(waits=False)


@dataclass
class Units:
    """A stage of ten units, which tells itself how many are done: perhaps less than it has receipts."""

    finished: set[str]
    run: Patience
    name, subject, phases = "embed", "texts", ("embed",)

    def units(self, phase: str) -> tuple[Unit, ...]:
        return tuple(Unit(key=str(number)) for number in range(10))

    def done(self, phase: str) -> set[str]:
        assert not self.run.waits
        return self.finished


def test_a_run_at_work_tells_units_rate_and_time_left(monkeypatch, capsys):
    monkeypatch.setattr("beam_jobs.progress._LINE_SECONDS", 0.01)
    stage, said = Units({"0", "1"}, Patience(waits=True)), ""

    def until(text: str) -> None:
        nonlocal said
        while text not in said:
            time.sleep(0.01)
            said += capsys.readouterr().err

    with Progress().watching([stage]):
        until("embed: 2 of 10 units\n")  # nothing is known of its speed yet
        stage.finished.update("234")
        until("embed: 5 of 10 units, ")
    line = next(line for line in said.splitlines() if "5 of 10" in line)
    assert re.search(r"units, [0-9.]+ a (second|minute), about [0-9]+ s left$", line)
