"""The rounds as people read them."""

from __future__ import annotations

from typing import Any

from beam_jobs.bootstrap.table import rounds_table


def figure(value: float, low: float | None, high: float | None) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high}


def test_one_line_a_round() -> None:
    learned = {
        "st": {"mined": 50, "kept": 30, "rejected": {"not_mutual": 15, "too_long": 5}},
        "tt": {"mined": 9, "kept": 8, "rejected": {"not_mutual": 1}},
    }
    report = {
        "task": "st",
        "metric": "f1",
        "best": 1,
        "over": "all 1 rounds are done",
        "rounds": [
            {"round": 0, "learned": None, "figure": figure(0.5, 0.4, 0.6)},
            {"round": 1, "learned": learned, "figure": figure(0.75, None, None)},
        ],
    }
    lines = rounds_table(report, {"0": {"train": 1.5, "mine": 2.0}}).splitlines()
    assert [line.split() for line in lines] == [
        ["round", "mined", "kept", "st", "f1", "[95", "%]", "seconds", "refused"],
        ["0", "-", "-", "0.500", "[0.400,0.600]", "3.5", "-"],
        ["1*", "59", "38", "0.750", "0.0", "not_mutual", "16,", "too_long", "5"],
        ["best:", "round", "1;", "over:", "all", "1", "rounds", "are", "done"],
    ]
