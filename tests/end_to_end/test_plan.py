"""``mining plan``: what it counts is what a run finds, and what it says of disk is what a run writes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from beam_jobs.plan import Plan
from beam_jobs.progress import Silence
from mining.config import load_config
from tests.end_to_end.conftest import DISTRACTORS, LANGS, MEANINGS, Outcome, World
from tests.end_to_end.forgetting import holding
from tests.end_to_end.object_stores import only_with_a_key, s3_store
from tests.end_to_end.speech_world import SAMPLE

Cli = Callable[..., Outcome]
ROWS = MEANINGS + DISTRACTORS


def planned(mining: Cli, world: World, *more: str | Path) -> dict[str, Any]:
    """The JSON of a forecast."""
    done = mining("plan", "--config", world.config, "--json", *more)
    assert done.code == 0, done.err
    found: dict[str, Any] = json.loads(done.out)
    return found


def of_stage(found: dict[str, Any], stage: str) -> dict[str, Any]:
    (line,) = [line for line in found["lines"] if line["stage"] == stage]
    return dict(line)


def test_a_corpus_is_counted_and_only_the_search_is_timed(world: World, mining: Cli) -> None:
    found = planned(mining, world)
    # the exact duplicate is read, and is a segment less; that only a pilot knows
    assert found["segments"] == {"texts": {"deu": ROWS + 1, "eng": ROWS, "fra": ROWS}}
    knn = of_stage(found, "knn")
    pairs = len(LANGS) * (len(LANGS) - 1) / 2
    assert knn["work"] == (ROWS + 1) * ROWS * 2 + ROWS * ROWS
    assert of_stage(found, "pairs")["work"] == 4 * (4 * ROWS + 2 * (ROWS + 1))
    assert pairs == 3
    assert knn["cpu_s"] > 0.0
    assert of_stage(found, "embed")["cpu_s"] is None
    assert not found["is_measured"]
    assert found["price"] is None
    assert found["kernels"]["faiss-flat"]["flop"] == 2 * 2 * 24 * knn["work"]
    assert not world.output.exists()
    shown = mining("plan", "--config", world.config, "--rate", "cpu_hour=0.5", "--workers", "8")
    assert shown.code == 0
    assert " on 8 " in shown.out
    assert "price of what is known" in shown.out
    assert "without --pilot" in shown.out


def test_rows_and_hours_in_place_of_files(world: World, mining: Cli) -> None:
    found = planned(mining, world, "--rows", "deu=10e6,en=2e8")
    assert found["segments"] == {"texts": {"deu": 10e6, "eng": 2e8}}
    assert of_stage(found, "knn")["work"] == 2e15
    tiles = -(-10e6 // 65536) * 2e8 * 4  # every block of targets brings k of its own, and so back
    assert found["disk_bytes"]["tiles"] > 8 * tiles
    assert of_stage(found, "knn")["memory_bytes"] < 2**30
    # the unit of scoring is a language pair
    assert of_stage(found, "pairs")["memory_bytes"] > 2.1e8 * 4 * 50


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (("--rows", "deu=0"), "--rows deu=0: must be a number above 0, but is '0'"),
        (("--rows", "deu"), "--rows deu: must be a number above 0, but is ''"),
        (("--rows", "klingon=5"), "must name a language code such as deu, but names 'klingon'"),
        (("--rows", "talks.deu=5"), "must name a text corpus of the tasks as corpus.language, of texts"),
        (("--audio-hours", "deu=5"), "must name a speech corpus"),
        (("--rows", "deu=5"), "must have a language pair with rows on both sides"),
        (("--pilot", "0%"), "--pilot: must be a share such as 1% or 0.01, but is '0%'"),
        (("--pilot", "a lot"), "--pilot: must be a share"),
        (("--rate", "cpu_hours=1"), "but is 'cpu_hours'; did you mean 'cpu_hour'?"),
        (("--rate", "cpu_hour=dear"), "must read cpu_hour=PRICE"),
        (("--set", "execution.rates.tpu_hour=1"), "unknown key 'execution.rates.tpu_hour'"),
        (("--set", "corpora.texts.uri=/nowhere/*.tsv"), "must name at least one file, but names none"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(
    world: World, mining: Cli, arguments: tuple[str, str], wanted: str
) -> None:
    done = mining("plan", "--config", world.config, "--quiet", *arguments)
    assert done.code in (2, 3)
    lines = [line for line in done.err.splitlines() if line]
    assert len(lines) == 1, done.err
    assert wanted in lines[0]
    assert done.out == ""


def test_an_empty_corpus_cannot_be_planned_for(world: World, mining: Cli) -> None:
    for path in world.folder.glob("texts-*.tsv"):
        path.write_text("id\tlang\ttext\n")
    done = mining("plan", "--config", world.config, "--quiet")
    assert done.code == 3
    assert "must hold at least one row to be planned for, but holds none" in done.err


def test_rates_change_no_result(world: World, mining: Cli, no_beam: None) -> None:
    assert mining("run", "--config", world.config).code == 0
    digest = world.digest()
    again = mining("run", "--config", world.config, "--set", "execution.rates.cpu_hour=0.05")
    assert "nothing to do" in again.err
    assert world.digest() == digest


def large_world(folder: Path, rows: int, dim: int) -> World:
    """Random rows of two languages: enough that files are rows rather than headers."""
    rng = np.random.default_rng(1)
    said = (path.read_text(encoding="utf-8") for path in sorted(SAMPLE.glob("text/*.tsv")))
    # as compressible as real ones
    words = np.array(sorted({word for one in said for word in one.split()}))
    lines, ids = ["id\tlang\ttext"], []
    for lang in ("deu", "eng"):
        for number in range(rows):
            lines.append(f"{lang}{number}\t{lang}\t{' '.join(rng.choice(words, 9))}")
            ids.append(f"{lang}{number}")
    (folder / "texts.tsv").write_text("\n".join(lines) + "\n")
    np.save(folder / "vectors.npy", rng.normal(size=(2 * rows, dim)).astype(np.float32))
    (folder / "vectors.ids").write_text("\n".join(ids) + "\n")
    config = {
        "schema": 1,
        "output": str(folder / "out"),
        "model": {"path": str(folder / "vectors.npy")},
        "partitions": 2,
        "contamination": {"sets": []},
        "corpora": {
            "texts": {
                "uri": str(folder / "texts.tsv"),
                "lang": {"column": "lang"},
                "columns": {"text": "text", "id": "id"},
            }
        },
        "tasks": {"tt": {"source": "texts", "target": "texts"}},
        "mining": {"threshold": 0.0, "k": 4},
        "execution": {"threads": 1},
    }
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(config))
    return World(folder=folder, config=path, output=folder / "out")


def written(output: Path, kind: str) -> tuple[int, int]:
    """Bytes and rows of a dataset's Parquet files."""
    paths = list((output / kind).rglob("*.parquet"))
    rows = sum(pq.read_metadata(path).num_rows for path in paths)
    return sum(path.stat().st_size for path in paths), rows


def test_disk_is_what_a_run_writes_and_a_pilot_counts_what_it_finds(
    tmp_path: Path, mining: Cli, no_beam: None
) -> None:
    from beam_jobs.forecast.work import task_size

    rows, dim = 4000, 64
    world = large_world(tmp_path, rows, dim)
    found = planned(mining, world)
    assert mining("run", "--config", world.config).code == 0
    # no formula knows how many candidates and pairs there will be: at most so many
    for kind, tolerance, at_most in (
        ("embeddings", 0.1, False), ("segments", 0.2, False), ("occurrences", 0.15, False),
        ("neighbors", 0.2, False), ("_state/tiles", 0.15, False),
        ("rejects", 0.1, True), ("pairs", 0.3, True),
    ):  # fmt: skip
        size, count = written(world.output, kind)
        said = found["disk_bytes"][kind.rpartition("/")[2]]
        if at_most:
            most = of_stage(found, "pairs")["work"] if kind == "rejects" else rows
            assert count <= most
            said *= count / most
        assert said == pytest.approx(size, rel=tolerance), kind
    plan = Plan(load_config(str(world.config)), Silence())
    embedded = {name: one.manifest for name, one in plan.embeddings().items()}
    (stage,) = plan.knn()
    found = sum(receipt.counters["neighbors"] for receipt in stage.receipts("merge"))
    assert task_size(plan, "tt", embedded).neighbors == found

    # a pilot is a real run of a sample, in processes of its own
    home, secret = tmp_path / "pilot", "hush, a secret that opens a store"
    opens = f"execution.storage={{s3: {{secret: '{secret}'}}}}"
    piloted = planned(
        mining, world, "--pilot", "20%", "--pilot-output", home, "--rate", "cpu_hour=1",
        "--set", opens,
    )  # fmt: skip
    assert holding(home, [secret]) == {}
    assert piloted["is_measured"]
    assert piloted["price"]["total"] == pytest.approx(piloted["cpu_s"] / 3600)
    assert piloted["segments"]["texts"] == pytest.approx({"deu": rows, "eng": rows})
    assert of_stage(piloted, "knn")["work"] == pytest.approx(rows * rows)
    for kind in ("embeddings", "segments", "neighbors", "rejects", "pairs"):
        size, _ = written(world.output, kind)
        assert piloted["disk_bytes"][kind] == pytest.approx(size, rel=0.15), kind
    samples = [
        json.loads(next((home / name / "out/segments").rglob("_manifest.json")).read_text())
        for name in ("small", "large")
    ]
    small, large = (sum(part["rows"] for part in one["parts"]) for one in samples)
    assert 0.15 < large / (2 * rows) < 0.25
    assert 0.2 < small / large < 0.3
    refused = mining("plan", "--config", world.config, "--pilot", "20%", "--pilot-output", home)
    assert refused.code == 3
    assert "must be a new or empty folder" in refused.err


def test_a_pilot_opens_a_store_that_wants_a_key(world: World, mining: Cli) -> None:
    """Its processes read the sets there, by options that stand in none of its files."""
    home = world.folder / "pilot"
    with s3_store() as store:
        store.put("held-out.txt", b"a sentence of no corpus here\n")
        world.change(contamination={"sets": [f"{store.uri}/held-out.txt"]})
        with only_with_a_key(store) as options:
            secret = options["s3"]["secret"]
            piloted = ("plan", "--config", world.config, "--pilot", "50%", "--pilot-output", home)
            for wrong in ("***", secret[::-1]):
                world.change(execution={"storage": {"s3": options["s3"] | {"secret": wrong}}})
                assert mining(*piloted).code != 0
                shutil.rmtree(home, ignore_errors=True)
            world.change(execution={"storage": options})
            done = mining(*piloted)
    assert done.code == 0, done.err
    configs = [home / size / "pilot.yaml" for size in ("small", "large")]
    assert [yaml.safe_load(one.read_text())["execution"]["storage"] for one in configs] == [{}, {}]
    assert holding(home, [options["s3"]["key"], secret]) == {}


def test_the_search_is_played_on_workers_that_are_lost(world: World, mining: Cli) -> None:
    many = ("--rows", "deu=1e8,eng=1e8", "--set", "execution.tile_rows=1048576", "--workers", "50",
            "--set", "partitions=128", "--simulate")  # fmt: skip
    still, wild = (
        planned(mining, world, *many, *more)["simulation"]
        for more in ((), ("--preemptions", "0.1", "--stragglers", "10%:3"))
    )
    assert {play["lost"] for play in still["plays"]} == {0}
    assert {play["tiles"] for play in wild["plays"]} == {play["tiles"] for play in still["plays"]}
    for play in wild["plays"]:
        assert play["lost"] > 0
        assert play["seconds"] > wild["undisturbed_s"]
    shown = mining("plan", "--config", world.config, *many)
    assert "knn played on 50 workers: " in shown.out
    alone = mining("plan", "--config", world.config, "--preemptions", "1")
    assert (alone.code, "must come with --simulate" in alone.err) == (2, True)
    odd = mining("plan", "--config", world.config, "--simulate", "--stragglers", "5%")
    assert (odd.code, "--stragglers: must be" in odd.err) == (2, True)
