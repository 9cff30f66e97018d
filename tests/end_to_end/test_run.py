"""A run as a user sees it: pairs on disk, nothing done twice, the same bytes whatever the schedule."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.end_to_end.conftest import DISTRACTORS, MEANINGS, Outcome, World, make_world
from tests.end_to_end.object_stores import s3_store

Cli = Callable[..., Outcome]


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-c", "from beam_jobs.cli import main; main()", *map(str, arguments)]


def worked(outcome: Outcome) -> set[str]:
    """Stages that had something to do, read off the progress lines."""
    lines = [line.split("] ", 1)[1] for line in outcome.err.splitlines() if "] " in line]
    return {line.split(":")[0] for line in lines if line.endswith((": texts", ": tt"))}


def test_the_whole_run_finds_the_pairs_and_does_nothing_twice(world: World, mining: Cli) -> None:
    first = mining("run", "--config", world.config)
    assert first.code == 0, first.err
    manifest = json.loads((world.output / "pairs/tt/_manifest.json").read_text())
    for pair in ("deu-eng", "deu-fra", "eng-fra"):
        assert MEANINGS * 0.8 <= manifest["counters"][f"kept.{pair}"] <= MEANINGS * 1.3
        assert (world.output / f"pairs/tt/{pair}/part-00000.parquet").is_file()
    assert worked(first) == {"prepare", "embed", "knn", "pairs"}
    digest = world.digest()

    second = mining("run", "--config", world.config)
    assert second.code == 0
    assert "nothing to do" in second.err
    assert worked(second) == set()
    assert world.digest() == digest

    stricter = mining("run", "--config", world.config, "--set", "mining.threshold=1.2")
    assert stricter.code == 0
    assert worked(stricter) == {"pairs"}
    assert world.digest() != digest

    back = mining("run", "--config", world.config)
    assert worked(back) == {"pairs"}
    assert world.digest() == digest


def test_stages_one_by_one_equal_the_whole_run(tmp_path: Path, mining: Cli) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole, steps = make_world(tmp_path / "a"), make_world(tmp_path / "b")
    assert mining("run", "--config", whole.config).code == 0
    too_early = mining("knn", "--config", steps.config)
    assert too_early.code == 3
    assert "run mining prepare" in too_early.err
    for stage in ("prepare", "embed", "knn", "pairs"):
        assert mining(stage, "--config", steps.config).code == 0
    assert whole.digest() == steps.digest()


def test_scheduling_does_not_change_a_byte(world: World, mining: Cli) -> None:
    assert mining("run", "--config", world.config).code == 0
    digest = world.digest()
    for setting in ("shards=1", "shards=3", "shards=16", "tile_rows=16", "tile_rows=100000"):
        other = world.folder / setting
        change = ("--set", f"execution.{setting}")
        assert mining("run", "--config", world.config, "--output", other, *change).code == 0
        assert World(world.folder, world.config, other).digest() == digest, setting


def test_two_worker_processes_write_the_same_bytes(world: World, mining: Cli) -> None:
    assert mining("run", "--config", world.config).code == 0
    other = world.folder / "other"
    two = ("--", "--direct_running_mode=multi_processing", "--direct_num_workers=2")
    done = subprocess.run(
        command("run", "--config", world.config, "--output", other, *two),
        capture_output=True, text=True, timeout=180, check=False,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert World(world.folder, world.config, other).digest() == world.digest()


def test_row_laws_hold_and_duplicates_keep_their_occurrences(world: World, mining: Cli) -> None:
    (world.folder / "texts-9.tsv").write_text("id\tlang\ttext\nx\tdeu\t \ny\tdeu\na\tzz\thallo\n")
    assert mining("prepare", "--config", world.config).code == 0
    (folder,) = (world.output / "segments/texts").iterdir()
    counters = json.loads((folder / "_manifest.json").read_text())["counters"]
    rejected = sum(n for name, n in counters.items() if name.startswith("rejected."))
    assert counters["rows_in"] == counters["occurrences"] + rejected
    assert counters["occurrences"] == counters["segments"] + 1
    assert {name for name in counters if name.startswith("rejected.")} == {
        "rejected.empty", "rejected.ragged_row", "rejected.unknown_language",
    }  # fmt: skip


def test_pairs_are_read_by_the_tools_that_people_use(world: World, mining: Cli) -> None:
    import datasets
    import duckdb
    import pandas as pd
    import pyarrow.dataset as ds

    assert mining("run", "--config", world.config).code == 0
    folder = world.output / "pairs/tt"
    frame = pd.read_parquet(folder)
    assert set(frame["src_lang"]) == {"deu", "eng"}
    pattern = f"{folder}/**/*.parquet"
    (rows,) = duckdb.sql(f"select count(*) from read_parquet('{pattern}')").fetchall()[0:1]
    assert rows[0] == len(frame)
    loaded = datasets.load_dataset(
        "parquet", data_files=pattern, split="train", cache_dir=str(world.folder / "cache")
    )
    assert len(loaded) == len(frame)
    # as Spark does: every file below a folder whose name does not begin with . or _
    assert ds.dataset(folder, format="parquet").count_rows() == len(frame)
    right = frame["src_text"].str.split().str[2] == frame["tgt_text"].str.split().str[2]
    assert right.mean() > 0.7  # by chance it would be about 0.02


def test_inspect_shows_counts_and_reasons(world: World, mining: Cli) -> None:
    assert mining("run", "--config", world.config).code == 0
    overview = mining("inspect", world.output).out
    assert "pairs/tt" in overview
    assert "segments/texts/" in overview
    pairs = mining("inspect", world.output / "pairs/tt", "--rows", 2).out
    assert "margin_score: float not null" in pairs
    assert "first 2 rows" in pairs
    (rejects,) = (world.output / "rejects/pairs/tt").iterdir()
    assert "not_best" in mining("inspect", rejects).out
    (neighbors,) = (world.output / "neighbors/tt").iterdir()
    lines = mining("inspect", neighbors).out.splitlines()
    (title,) = (number for number, line in enumerate(lines) if line.startswith("hubness"))
    rows = [line.split() for line in lines[title + 1 : title + 7]]
    assert [row[:2] for row in rows] == [
        [pair, side] for pair in ("deu-eng", "deu-fra", "eng-fra") for side in ("target", "source")
    ]
    assert {row[2] for row in rows} == {str(MEANINGS + DISTRACTORS)}
    assert all(int(row[8].strip(",")) >= 4 for row in rows)  # 60 rows with 4 neighbours each


def test_the_same_run_on_an_object_store(world: World, mining: Cli) -> None:
    """Reads from and writes to a real S3 server on loopback; the bytes are those of the local run."""
    assert mining("run", "--config", world.config).code == 0
    with s3_store() as store:
        execution = {"storage": store.options, "tile_rows": 32}
        world.change(output=f"{store.uri}/out", execution=execution)
        done = mining("run", "--config", world.config)
        assert done.code == 0, done.err
        found = {
            name: data for name, data in store.objects().items() if name.startswith("out/pairs/")
        }
        pairs = [name for name in found if name.endswith(".parquet")]
        assert len(pairs) == 3
        for name in pairs:
            assert found[name] == (world.folder / name).read_bytes()
        assert "nothing to do" in mining("run", "--config", world.config).err
        seen = mining("status", f"{store.uri}/out", "--storage", json.dumps(store.options))
        assert seen.out.splitlines()[-1] == "finished", seen
