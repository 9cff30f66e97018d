"""A further corpus costs its own tiles only, and the result is that of a run from scratch."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Outcome, World
from tests.end_to_end.test_run import command

Cli = Callable[..., Outcome]


def corpus(world: World, pattern: str) -> dict[str, object]:
    return {
        "uri": str(world.folder / pattern),
        "lang": {"column": "lang"},
        "columns": {"text": "text", "id": "id"},
    }


def two_steps(world: World) -> tuple[dict[str, object], dict[str, object]]:
    """The world's config with two of its files, and with the third as a corpus of its own.

    The third file also repeats sentences of the first.
    """
    repeated = (world.folder / "texts-0.tsv").read_text().splitlines()[1:8]
    with (world.folder / "texts-2.tsv").open("a") as file:
        file.writelines(f"{row}\n" for row in repeated)
    old, new = corpus(world, "texts-[01].tsv"), corpus(world, "texts-2.tsv")
    first = {"corpora": {"old": old}, "tasks": {"tt": {"source": "old", "target": "old"}}}
    both = ["old", "new"]
    second = {
        "corpora": {"old": old, "new": new},
        "tasks": {"tt": {"source": both, "target": both}},
    }
    return first, second


def digests(output: Path, kind: str) -> dict[str, str]:
    return {
        str(path.relative_to(output)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((output / kind).rglob("*.parquet"))
    }


def tiles(output: Path, task: str = "tt") -> tuple[int, int]:
    """(tiles, searched tiles) of the newest neighbours of a task, from the receipts."""
    newest = max((output / "_state/knn" / task).iterdir(), key=lambda home: home.stat().st_mtime)
    receipts = [json.loads(path.read_text())["counters"] for path in newest.glob("tiles/*.json")]
    return len(receipts), sum(receipt["tiles_searched"] for receipt in receipts)


def current_neighbors(output: Path, scratch: Path) -> None:
    """The neighbours of a run from scratch are among those of the output, byte by byte."""
    wanted = digests(scratch, "neighbors")
    assert wanted
    assert wanted.items() <= digests(output, "neighbors").items()


def test_a_further_corpus_costs_its_own_tiles(world: World, mining: Cli) -> None:
    first, second = two_steps(world)
    world.change(**first)
    assert mining("run", "--config", world.config).code == 0
    before, searched = tiles(world.output)
    assert searched == before > 3

    world.change(**second)
    done = mining("run", "--config", world.config)
    assert done.code == 0, done.err
    after, searched = tiles(world.output)
    assert searched == after - before
    assert f"tt: {searched} of {after} tiles were searched" in done.err
    prepared = [line for line in done.err.splitlines() if line.endswith((": old", ": old, new"))]
    assert not prepared, "the old corpus is prepared and embedded already"

    scratch = world.folder / "scratch"
    assert mining("run", "--config", world.config, "--output", scratch).code == 0
    assert tiles(scratch) == (after, after)
    assert digests(world.output, "pairs") == digests(scratch, "pairs")
    current_neighbors(world.output, scratch)


@pytest.mark.usefixtures("no_beam")
def test_another_order_other_sizes_and_back_again(world: World, mining: Cli) -> None:
    first, second = two_steps(world)
    world.change(**first)
    assert mining("run", "--config", world.config).code == 0
    world.change(**second)
    scratch = world.folder / "scratch"
    assert mining("run", "--config", world.config, "--output", scratch).code == 0
    pairs = digests(scratch, "pairs")
    for size in (100000, 20, 32):
        change = ("--set", f"execution.tile_rows={size}", "--set", "execution.keep_tiles=true")
        again = mining("run", "--config", world.config, *change)
        assert again.code == 0, again.err
        assert digests(world.output, "pairs") == pairs
    kept = len(list((world.output / "_state/tiles").rglob("*.parquet")))
    assert kept, "those of the finished neighbours stay"

    third = {"tasks": {"tt": {"source": ["new", "old"], "target": ["old", "new"]}}}
    world.change(**third)
    turned = mining("run", "--config", world.config, "--set", "execution.keep_tiles=false")
    assert turned.code == 0, turned.err
    assert not list((world.output / "_state/tiles").rglob("*.parquet"))


@pytest.mark.usefixtures("no_beam")
def test_a_task_may_gain_corpora_and_lose_none(world: World, mining: Cli) -> None:
    first, second = two_steps(world)
    world.change(**second)
    assert mining("run", "--config", world.config).code == 0
    world.change(**first)
    refused = mining("run", "--config", world.config)
    assert refused.code == 2
    assert "was made by another config" in refused.err


def test_killed_while_a_corpus_is_added(world: World, mining: Cli) -> None:
    first, second = two_steps(world)
    scratch = world.folder / "scratch"
    world.change(**second)
    assert mining("run", "--config", world.config, "--output", scratch).code == 0
    world.change(**first)
    assert mining("run", "--config", world.config).code == 0
    before, _ = tiles(world.output)
    world.change(**second)
    process = subprocess.Popen(
        command("run", "--config", world.config),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )  # fmt: skip
    # killed once some of the new tiles are there
    deadline = time.monotonic() + 300
    known = set((world.output / "_state/tiles").rglob("[0-9a-f]*.parquet"))
    while time.monotonic() < deadline and process.poll() is None:
        if set((world.output / "_state/tiles").rglob("[0-9a-f]*.parquet")) - known:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = mining("run", "--config", world.config)
    assert done.code == 0, done.err
    after, searched = tiles(world.output)
    assert searched <= after - before
    assert digests(world.output, "pairs") == digests(scratch, "pairs")
    current_neighbors(world.output, scratch)


@pytest.mark.usefixtures("no_beam")
def test_a_further_file_leaves_parts_of_the_embeddings_as_they_are(
    world: World, mining: Cli
) -> None:
    """Parts that got no row of it are taken over whole; all are those of a run from scratch."""
    world.change(partitions=16, model={"path": "spelling"})
    embed = ("embed", "--config", world.config)
    for stage in ("prepare", "embed"):
        assert mining(stage, "--config", world.config).code == 0
    rows = "id\tlang\ttext\nmore-1\tdeu\tein weiterer Satz\nmore-2\teng\tanother sentence\n"
    (world.folder / "texts-9.tsv").write_text(rows)
    assert mining("prepare", "--config", world.config).code == 0
    done = mining(*embed)
    assert done.code == 0, done.err
    newest = max((world.output / "_state/embed/texts").iterdir(), key=lambda p: p.stat().st_mtime)
    notes = [json.loads(path.read_text())["notes"] for path in newest.glob("embed/*.json")]
    assert len(notes) == 16
    taken = sum(note.get("taken_over", False) for note in notes)
    assert 14 <= taken < 16
    assert f"texts: {taken} of 16 parts are those of an earlier run" in done.err

    scratch = world.folder / "scratch"
    for stage in ("prepare", "embed"):
        assert mining(stage, "--config", world.config, "--output", scratch).code == 0
    for kind in ("embeddings", "rejects/embed"):
        wanted = digests(scratch, kind)
        assert len(wanted) == 16
        assert wanted.items() <= digests(world.output, kind).items()
    other = mining(*embed, "--set", "model.space=other")
    assert "of an earlier run" not in other.err
