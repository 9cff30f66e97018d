"""Planted benchmark sentences do not come through a run, exact or with changed characters."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq

from tests.end_to_end.conftest import Outcome, World

Cli = Callable[..., Outcome]

# Written for this test; long enough for near matches (20 letters).
OWN = [
    "The ferry to the northern island leaves every morning at half past six.",
    "Nobody in the village could remember a winter with so little snow.",
    "She sold the old piano and bought two bicycles with the money.",
    "After the storm the fishermen counted their boats and found one missing.",
]


def changed(text: str, share: float, draw: random.Random) -> str:
    letters = list(text)
    for place in draw.sample(range(len(letters)), round(share * len(letters))):
        letters[place] = draw.choice("abcdefghijklmnopqrstuvwxyz")
    return "".join(letters)


def test_sentences_of_an_own_evaluation_set_are_refused(world: World, mining: Cli) -> None:
    benchmark = world.folder / "benchmark.txt"
    benchmark.write_text("\n".join(OWN) + "\n")
    draw = random.Random(5)
    planted = [*OWN, *(changed(text, 0.1, draw) for text in OWN), OWN[0].upper()]
    rows = [f"p{number}\teng\t{text}" for number, text in enumerate(planted)]
    (world.folder / "texts-9.tsv").write_text("\n".join(["id\tlang\ttext", *rows]) + "\n")
    world.change(contamination={"sets": [str(benchmark)]})
    done = mining("prepare", "--config", world.config)
    assert done.code == 0, done.err
    refused = [
        row
        for path in Path(world.output, "rejects/prepare").rglob("*.parquet")
        for row in pq.read_table(path).to_pylist()
    ]
    assert len(refused) >= len(planted) - 1
    assert {row["reason"] for row in refused} == {"benchmark_overlap"}
    assert {row["detail"] for row in refused} == {str(benchmark)}
    assert all(row["row_id"].startswith("texts-9.tsv#") for row in refused)


def test_an_evaluation_set_that_is_not_there_is_refused(world: World, mining: Cli) -> None:
    world.change(contamination={"sets": ["ntrx"]})
    done = mining("prepare", "--config", world.config)
    assert done.code == 2
    assert "ntrx" in done.err
    assert "Traceback" not in done.err
