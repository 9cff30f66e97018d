"""Odd but legal addresses, states and settings: the right pairs, or one clear line. Each was a bug."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.end_to_end.conftest import Outcome, World, pairs_digest
from tests.end_to_end.test_bad_input import reasons, refused

Cli = Callable[..., Outcome]

pytestmark = pytest.mark.usefixtures("no_beam")


def corpora_of(world: World) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = yaml.safe_load(world.config.read_text())["corpora"]
    return found


def test_an_output_may_be_spelled_in_any_way(
    world: World, mining: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert mining("run", "--config", world.config).code == 0
    digest = world.digest()
    monkeypatch.setenv("HOME", str(world.folder))
    monkeypatch.chdir(world.folder)
    for number, spelling in enumerate(
        ("~/o{}", f"{world.folder}//o{{}}/", f"file://{world.folder}/o{{}}", "./o{}", "o{}-[7]*")
    ):
        output = spelling.format(number)
        done = mining("run", "--config", world.config, "--output", output)
        assert done.code == 0, (output, done.err)
        again = mining("run", "--config", world.config, "--output", output)
        assert "nothing to do" in again.err, output
    assert [pairs_digest(path) for path in sorted(world.folder.glob("o[0-9]*"))] == [digest] * 5


def test_a_language_that_is_dropped_leaves_no_pairs_behind(world: World, mining: Cli) -> None:
    output = world.folder / "o[7]"
    assert mining("run", "--config", world.config, "--output", output).code == 0
    only = ("--set", "tasks.tt.langs=[deu-eng]")
    assert mining("run", "--config", world.config, "--output", output, *only).code == 0
    assert [p.name for p in (output / "pairs/tt").iterdir() if list(p.glob("*.parquet"))] == [
        "deu-eng"
    ]


def test_a_corpus_may_be_spelled_in_any_way(
    world: World, mining: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert mining("run", "--config", world.config).code == 0
    monkeypatch.setenv("HOME", str(world.folder))
    for spelling in (
        "~/texts-*.tsv",
        f"{world.folder}//texts-*.tsv",
        f"file://{world.folder}/t*.tsv",
    ):
        output = world.folder / "again"
        change = ("--set", f"corpora.texts.uri={spelling}", "--output", str(output))
        assert mining("run", "--config", world.config, *change).code == 0
        assert pairs_digest(output) == world.digest(), spelling
        shutil.rmtree(output)


def test_a_file_is_read_once_and_never_what_the_run_writes(world: World, mining: Cli) -> None:
    both = f"[{world.folder}/texts-*.tsv, {world.folder}/texts-0.tsv]"
    change = ("--set", f"corpora.texts.uri={both}")
    refused(mining("run", "--config", world.config, *change), 2, "two of its addresses name it")
    inside = f"corpora.texts.uri={world.folder}/**/*.parquet"
    assert mining("prepare", "--config", world.config).code == 0
    refused(mining("run", "--config", world.config, "--set", inside), 2, "this run writes it")


def test_an_edited_evaluation_set_is_read_again(world: World, mining: Cli) -> None:
    own = world.folder / "own.txt"
    own.write_text("a sentence that is nowhere in this little world\n")
    world.change(contamination={"sets": [str(own)]})
    assert mining("run", "--config", world.config).code == 0
    assert reasons(world, "prepare") == {}
    own.write_text("deu sentence 3 about shared things\n")
    assert mining("run", "--config", world.config).code == 0
    assert reasons(world, "prepare")["benchmark_overlap"] >= 1


def test_two_corpora_are_mined_in_every_direction(world: World, mining: Cli) -> None:
    texts = corpora_of(world)["texts"]
    world.change(
        corpora={"a": texts | {"langs": ["eng"]}, "b": texts | {"langs": ["deu"]}},
        tasks={"ab": {"source": "a", "target": "b"}},
    )
    assert mining("run", "--config", world.config).code == 0
    assert (world.output / "pairs/ab/eng-deu/part-00000.parquet").is_file()


def test_a_text_in_two_corpora_is_mined_once(world: World, mining: Cli) -> None:
    assert mining("run", "--config", world.config).code == 0
    texts = corpora_of(world)["texts"]
    other = world.folder / "other"
    sides = ["a", "b"]
    world.change(corpora={"a": texts, "b": texts}, tasks={"tt": {"source": sides, "target": sides}})
    assert mining("run", "--config", world.config, "--output", other).code == 0
    read = "part-00000.parquet"
    for pair in ("deu-eng", "eng-fra"):
        assert _pair_ids(other / "pairs/tt" / pair / read) == _pair_ids(
            world.output / "pairs/tt" / pair / read
        )


def _pair_ids(path: Path) -> list[str]:
    import pyarrow.parquet as pq

    found: list[str] = pq.read_table(path)["pair_id"].to_pylist()
    return found


def test_nothing_to_mine_is_said(world: World, mining: Cli) -> None:
    change = ("--set", "tasks.tt.langs=[cym-est]")
    refused(mining("run", "--config", world.config, *change), 3, "must have a language pair")
    refused(mining("run", "--config", world.config, "--set", "tasks.tt.source=[]"), 2, "source")
    refused(mining("run", "--config", world.config, "--set", "tasks.tt.langs=[]"), 2, "langs")
    refused(mining("run", "--config", world.config, "--output", ""), 2, "output")


def test_vectors_by_id_need_ids_that_are_unique_and_one_a_row(world: World, mining: Cli) -> None:
    split = ("--set", "corpora.texts.segment=sentences")
    refused(mining("run", "--config", world.config, *split), 2, "columns.id", "segment: none")
    (world.folder / "texts-9.tsv").write_text("id\tlang\ttext\ndeu-1\tfra\tune autre phrase\n")
    assert mining("run", "--config", world.config).code == 0
    assert reasons(world, "prepare") == {"duplicate_id": 1}


def test_widths_that_differ_under_one_space_are_refused(world: World, mining: Cli) -> None:
    ids = (world.folder / "vectors.ids").read_text()
    np.save(world.folder / "narrow.npy", np.load(world.folder / "vectors.npy")[:, :8])
    (world.folder / "narrow.ids").write_text(ids)
    texts = corpora_of(world)["texts"]
    models = {
        name: texts | {"model": {"path": str(world.folder / f"{file}.npy"), "space": "mine"}}
        for name, file in (("a", "vectors"), ("b", "narrow"))
    }
    world.change(corpora=models, tasks={"tt": {"source": "a", "target": "b"}})
    refused(mining("run", "--config", world.config), 2, "must have one width")


def test_what_is_wrong_is_said_before_the_work(world: World, mining: Cli) -> None:
    for change, words in (
        ("mining.threshold=model", "mining.threshold"),
        ("execution.backend=magic", "magic"),
        ("execution.device=tpu", "execution.device"),
        (f"evaluate.gold={world.folder}/none.tsv", "none.tsv"),
    ):
        done = mining("run", "--config", world.config, "--set", change)
        assert done.code in (2, 3), change
        assert words in done.err, change
        assert not (world.output / "segments").exists(), change


def test_damage_is_one_line(world: World, mining: Cli) -> None:
    assert mining("run", "--config", world.config).code == 0
    (part, *_) = (world.output / "segments").rglob("part-*.parquet")
    data = bytearray(part.read_bytes())
    data[8:200] = os.urandom(192)
    part.write_bytes(data)
    threshold = ("--set", "mining.threshold=1.3")
    refused(mining("run", "--config", world.config, *threshold), 3, "damaged")
    (manifest, *_) = (world.output / "neighbors").rglob("_manifest.json")
    manifest.write_text("{}")
    refused(mining("run", "--config", world.config), 3, "_manifest.json")
    (world.output / "config.resolved.yaml").write_text("")
    refused(mining("run", "--config", world.config), 3, "config.resolved.yaml")


def test_a_changed_task_is_noticed_even_while_pairs_are_being_made(
    world: World, mining: Cli
) -> None:
    assert mining("run", "--config", world.config).code == 0
    (world.output / "pairs/tt/_manifest.json").unlink()  # as a run that was stopped leaves it
    world.change(tasks={"uu": {"source": "texts", "target": "texts"}})
    refused(mining("run", "--config", world.config), 2, "made by another config")


def test_arguments_for_beam_are_checked(world: World, mining: Cli) -> None:
    run = ("run", "--config", world.config)
    refused(mining(*run, "prepare"), 2, "prepare")
    refused(mining(*run, "--", "--runner=FlinkRunner"), 2, "before --")


def test_one_task_without_gold_does_not_hide_the_others(world: World, mining: Cli) -> None:
    gold = (world.folder / "gold.tsv").read_text().splitlines()
    few = [gold[0], *(line for line in gold if "\tdeu\t" in line or "\teng\t" in line)]
    (world.folder / "few.tsv").write_text("\n".join(few) + "\n")
    tasks = {
        name: {"source": "texts", "target": "texts", "langs": [pair]}
        for name, pair in (("t1", "deu-eng"), ("t2", "eng-fra"))
    }
    world.change(tasks=tasks, evaluate={"gold": str(world.folder / "few.tsv")})
    done = mining("run", "--config", world.config)
    assert done.code == 0, done.err
    assert "t1   macro" in done.out
    assert "t2   eng-fra" in done.out
