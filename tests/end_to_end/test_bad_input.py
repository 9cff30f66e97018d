"""A user's mistake is one clear line and an exit code, no traceback; a row's fault is a reject."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.end_to_end.conftest import Outcome, World

Cli = Callable[..., Outcome]


def refused(outcome: Outcome, code: int, *words: str) -> None:
    assert outcome.code == code, outcome
    assert "Traceback" not in outcome.err
    lines = [line for line in outcome.err.splitlines() if line.startswith("error: ")]
    assert lines, outcome.err
    for word in words:
        assert any(word in line for line in lines), (word, lines)


def reasons(world: World, stage: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for path in (world.output / "rejects" / stage).rglob("*.parquet"):
        for reason in pq.read_table(path)["reason"].to_pylist():
            found[reason] = found.get(reason, 0) + 1
    return found


def test_config_faults_are_exit_code_2(world: World, mining: Cli) -> None:
    config = world.config
    refused(mining("run", "--config", world.folder / "none.yaml"), 2, "cannot be read")
    refused(mining("run", "--config", config, "--set", "mining.kk=3"), 2, "did you mean")
    refused(mining("run", "--config", config, "--set", "mining.k=two"), 2, "mining.k must be")
    refused(mining("run", "--config", config, "--runner", "DaskRunner"), 2, "DaskRunner")
    refused(mining("run", "--config", config, "--runner", "NoRunner"), 2, "NoRunner")
    refused(mining("run", "--config", config, "--", "--no_such_option=1"), 2, "no_such_option")
    refused(mining("run", "--config", config, "--set", "execution.backend=magic"), 2, "backend")
    assert mining("run").code == 2
    assert mining("fly").code == 2


def test_missing_input_is_exit_code_3(world: World, mining: Cli) -> None:
    gone = str(world.folder / "gone-*.tsv")
    refused(
        mining("run", "--config", world.config, "--set", f"corpora.texts.uri={gone}"), 3, "gone-"
    )
    column = "corpora.texts.columns.text=body"
    refused(mining("run", "--config", world.config, "--set", column), 3, "body", "texts-0.tsv")
    refused(mining("inspect", world.folder / "nothing"), 3, "nothing")


def test_a_model_that_is_not_there(world: World, mining: Cli) -> None:
    refused(mining("run", "--config", world.config, "--set", "model.path=bultin"), 3, "builtin")


@pytest.mark.parametrize("bad", ["rows", "shape", "duplicate"])
def test_vectors_that_do_not_match_their_ids(world: World, mining: Cli, bad: str) -> None:
    ids = (world.folder / "vectors.ids").read_text().splitlines()
    if bad == "rows":
        (world.folder / "vectors.ids").write_text("\n".join(ids[:-1]) + "\n")
    elif bad == "shape":
        np.save(world.folder / "vectors.npy", np.zeros(len(ids), np.float32))
    else:
        (world.folder / "vectors.ids").write_text("\n".join([ids[0], ids[0], *ids[2:]]) + "\n")
    refused(mining("run", "--config", world.config), 3, "vectors.")


def test_bad_vectors_are_rejects(world: World, mining: Cli) -> None:
    vectors = np.load(world.folder / "vectors.npy")
    vectors[0] = np.nan
    vectors[1] = 0.0
    np.save(world.folder / "vectors.npy", vectors)
    (world.folder / "texts-9.tsv").write_text("id\tlang\ttext\nunknown\tdeu\tein neuer Satz\n")
    done = mining("run", "--config", world.config)
    assert done.code == 0, done.err
    assert sum(reasons(world, "embed").values()) == 3


def test_bad_rows_are_rejects_and_the_rest_is_mined(world: World, mining: Cli) -> None:
    (world.folder / "texts-9.tsv").write_bytes(
        b"id\tlang\ttext\n"
        b"a\tdeu\t\xff\xfe kaputt\n"  # not UTF-8
        b"b\tdeu\n"  # ragged
        b"c\tdeu\t \x00\n"  # nothing visible
        b"d\tklingon\tqapla\n"  # no language code
        b"deu-1\tdeu\tein anderer Text unter vergebener Kennung\n"  # duplicate id
    )
    done = mining("run", "--config", world.config)
    assert done.code == 0, done.err
    assert reasons(world, "prepare") == {
        "undecodable": 1, "ragged_row": 1, "empty": 1, "unknown_language": 1, "duplicate_id": 1,
    }  # fmt: skip


def test_an_empty_corpus_says_why(world: World, mining: Cli) -> None:
    empty = world.folder / "empty.tsv"
    empty.write_text("id\tlang\ttext\nx\tdeu\t\n")
    refused(
        mining("run", "--config", world.config, "--set", f"corpora.texts.uri={empty}"),
        3, "must hold at least one segment", "1 rejected.empty",
    )  # fmt: skip


def test_a_language_that_is_not_there_is_left_out_aloud(world: World, mining: Cli) -> None:
    done = mining("run", "--config", world.config, "--set", "tasks.tt.langs=[deu-eng, deu-cym]")
    assert done.code == 0, done.err
    assert "left out deu-cym: no cym on the target side" in done.err
    assert not (world.output / "pairs/tt/deu-cym").exists()


def test_k_larger_than_a_side(world: World, mining: Cli) -> None:
    done = mining("run", "--config", world.config, "--set", "mining.k=1000")
    assert done.code == 0, done.err


def test_spaces_that_differ_are_refused(world: World, mining: Cli) -> None:
    other = world.folder / "other.npy"
    other.write_bytes((world.folder / "vectors.npy").read_bytes())
    (world.folder / "other.ids").write_text((world.folder / "vectors.ids").read_text() + "")
    vectors = np.load(other)
    np.save(other, vectors * 2 + 1)
    world.change(
        corpora={
            name: {
                "uri": str(world.folder / "texts-*.tsv"),
                "lang": {"column": "lang"},
                "columns": {"text": "text", "id": "id"},
                "model": {"path": str(path)},
            }
            for name, path in (("a", world.folder / "vectors.npy"), ("b", other))
        },
        tasks={"tt": {"source": "a", "target": "b"}},
    )
    refused(mining("run", "--config", world.config), 2, "one space")


def test_an_output_of_another_config_is_refused(world: World, mining: Cli) -> None:
    assert mining("run", "--config", world.config).code == 0
    before = world.digest()
    uri = str(world.folder / "texts-0.tsv")
    refused(
        mining("run", "--config", world.config, "--set", f"corpora.texts.uri={uri}"),
        2, "made by another config", "corpora.texts.uri",
    )  # fmt: skip
    assert world.digest() == before
    foreign = world.folder / "mine"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("important")
    refused(mining("run", "--config", world.config, "--output", foreign), 2, "holds other files")
    assert (foreign / "thesis.txt").read_text() == "important"


def test_evaluate_without_gold_and_calibrate_with_it(world: World, mining: Cli) -> None:
    assert mining("run", "--config", world.config).code == 0
    refused(mining("evaluate", "--config", world.config), 2, "evaluate.gold")
    world.change(evaluate={"gold": str(world.folder / "gold.tsv")})
    done = mining("evaluate", "--config", world.config, "--table", world.folder / "figures.parquet")
    assert done.code == 0, done.err
    assert "macro" in done.out
    figures = pq.read_table(world.folder / "figures.parquet").to_pylist()
    f1 = {row["pair"]: row for row in figures if row["metric"] == "best_f1"}
    assert f1["macro"]["value"] > 0.7 > f1["macro"]["random"] + 0.3
    done = mining("calibrate", "--config", world.config, "--precision", "0.8")
    assert done.code == 0, done.err
    entries = json.loads((world.output / "calibration.json").read_text())["thresholds"]
    assert {entry["target"] for entry in entries} == {None, 0.8}
    calibration = Path(world.output, "calibration.json")
    world.change(mining={"calibration": str(calibration), "target_precision": 0.8})
    done = mining("run", "--config", world.config)
    assert done.code == 0, done.err
    world.change(mining={})
    refused(mining("run", "--config", world.config), 2, "mining.threshold", "brings no calibration")


def test_a_runner_that_cannot_start_is_one_line(world: World, mining: Cli) -> None:
    run = ("run", "--config", world.config, "--runner", "PortableRunner")
    refused(
        mining(*run, "--", "--job_endpoint=localhost:1", "--job_server_timeout=1"),
        2,
        "PortableRunner",
    )


def test_a_precision_that_no_calibration_holds_is_said_at_once(world: World, mining: Cli) -> None:
    world.change(model={"path": "builtin"}, mining={"target_precision": 0.85})
    refused(mining("run", "--config", world.config), 2, "must be one that", "0.8, 0.9, 0.95")
    assert not (world.output / "segments").exists()


def test_a_language_that_the_encoder_was_not_made_for_is_said(world: World, mining: Cli) -> None:
    (world.folder / "kat.txt").write_text("დღეს კარგი ამინდია\nხვალ წვიმა იქნება\n")
    (world.folder / "eng.txt").write_text("the weather is fine\nit will rain tomorrow\n")
    corpora = {"t": {"uri": str(world.folder / "{lang}.txt"), "lang": {"path": "lang"}}}
    world.change(
        model={"path": "builtin"}, corpora=corpora, tasks={"tt": {"source": "t", "target": "t"}}
    )
    done = mining("run", "--config", world.config)
    assert done.code == 0, done.err
    assert "builtin was not made for kat" in done.err


def test_other_settings_than_those_mined_are_said(world: World, mining: Cli) -> None:
    world.change(evaluate={"gold": str(world.folder / "gold.tsv")})
    assert mining("run", "--config", world.config).code == 0
    other = ("--set", "mining.threshold=1.5")
    refused(mining("evaluate", "--config", world.config, *other), 3, "pairs of other settings")
    more = (world.folder / "gold.tsv").read_text() + "x1\tdeu\tnirgends\nx1\teng\tnowhere\n"
    (world.folder / "gold.tsv").write_text(more)
    done = mining("evaluate", "--config", world.config)
    assert "deu-eng: 1 of 41 gold meanings are not in the corpora" in done.err
