"""Neighbours by an approximate index, in a run: what it misses is said, and it decides the result."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from tests.end_to_end.conftest import Outcome, World

Cli = Callable[..., Outcome]
SAID = re.compile(r"of (\d+) sampled rows it found ([\d.]+)% of the nearest and ([\d.]+)%")


def test_an_index_that_looks_everywhere_finds_what_an_exact_search_finds(
    world: World, mining: Cli
) -> None:
    world.change(execution={"tile_rows": 64})  # one block a language
    assert mining("run", "--config", world.config).code == 0
    exact = pairs(world)
    every = mining(
        "run", "--config", world.config, "--set", "mining.index=ivf-flat", "--set", "mining.probes=64"
    )  # fmt: skip
    assert every.code == 0, every.err
    assert pairs(world) == exact
    said = SAID.search(every.err)
    assert said is not None, every.err
    assert said.groups() == ("180", "100.00", "100.00")  # 60 rows, 3 pairs
    back = mining("run", "--config", world.config)
    assert "knn: already done" in back.err
    assert pairs(world) == exact


def test_an_index_that_looks_nowhere_else_says_what_it_missed(world: World, mining: Cli) -> None:
    world.change(execution={"tile_rows": 64})  # one block a language
    few = ("--set", "mining.index=ivf-flat", "--set", "mining.probes=1")
    outcome = mining("run", "--config", world.config, *few)
    assert outcome.code == 0, outcome.err
    assert "WARNING" not in outcome.err
    said = SAID.search(outcome.err)
    assert said is not None
    assert 20 < float(said[2]) < 99
    digest = world.digest()
    assert "nothing to do" in mining("run", "--config", world.config, *few).err
    other = world.folder / "again"
    assert mining("run", "--config", world.config, *few, "--output", other).code == 0
    assert World(world.folder, world.config, other).digest() == digest
    blocks = mining("run", "--config", world.config, *few, "--set", "execution.tile_rows=40")
    assert "knn: tt" in blocks.err
    missed = missed_pair(world)
    told = mining("explain", *missed, "--config", world.config, *few,
                  "--set", "execution.tile_rows=40")  # fmt: skip
    assert told.code == 0, told.err
    assert "missed by the index ivf-flat" in told.out


def pairs(world: World) -> list[dict[str, object]]:
    """All pairs, without the mark of the run that made them."""
    files = sorted((world.output / "pairs").rglob("*.parquet"))
    return [row for file in files for row in pq.read_table(file).drop("run_id").to_pylist()]


def missed_pair(world: World) -> tuple[str, str]:
    """Translations whose source does not have its target among its neighbours."""
    segments = pq.ParquetDataset(world.output / "segments").read().to_pylist()
    ids = {row["text"]: row["segment_id"] for row in segments}
    newest = max((world.output / "neighbors/tt").iterdir(), key=lambda path: path.stat().st_mtime)
    manifest = json.loads((newest / "_manifest.json").read_text())
    assert manifest["attributes"]["k"] == 4
    found = {
        (row["query_id"], row["index_id"]) for row in pq.ParquetDataset(newest).read().to_pylist()
    }
    for m in range(40):
        texts = [f"{lang} sentence {m} about shared things" for lang in ("deu", "eng")]
        pair = ids[texts[0]], ids[texts[1]]
        if pair not in found:
            return texts[0], texts[1]
    raise AssertionError("every translation is a neighbour")


def test_documents_are_searched_exactly(world: World, mining: Cli) -> None:
    task = {"source": "texts", "target": "texts", "documents": "same_id"}
    world.change(tasks={"tt": task})
    refused = mining("run", "--config", world.config, "--set", "mining.index=ivf-flat")
    assert refused.code == 2
    assert "mining.index: must be exact, since tasks.tt mines within documents" in refused.err
    unknown = mining("run", "--config", world.config, "--set", "mining.index=hnsw")
    assert unknown.code == 2
    assert "ivf-flat" in unknown.err


def test_blocks_that_are_too_small_for_an_index_are_searched_exactly(
    world: World, mining: Cli
) -> None:
    """A rare language must not end a run after everything was embedded."""
    assert mining("run", "--config", world.config).code == 0
    exact = pairs(world)
    coded = mining("run", "--config", world.config, "--set", "mining.index=ivf-pq")
    assert coded.code == 0, coded.err
    assert pairs(world) == exact
    assert "too small for ivf-pq" in coded.err
    odd = world.folder / "odd"
    settings = ("--set", "mining.index=ivf-fastscan", "--set", f"model.path={odd_vectors(world)}")
    refused = mining("run", "--config", world.config, "--output", odd, *settings)
    assert refused.code == 3
    assert "D must be even, but is 23" in refused.err
    assert not odd.exists()


def odd_vectors(world: World) -> Path:
    """The world's vectors, one dimension short."""
    path = world.folder / "odd.npy"
    np.save(path, np.load(world.folder / "vectors.npy")[:, :23])
    path.with_suffix(".ids.txt").write_text((world.folder / "vectors.ids").read_text())
    return path
