"""``mining explain``: pairs planted to be lost at each stage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import yaml

from mining.contract.ids import pair_id, text_segment_id
from tests.end_to_end.conftest import Outcome, World

if TYPE_CHECKING:
    pass

Cli = Callable[..., Outcome]
DIM = 40

# Each plant lies in dimensions of its own, so that it is similar to nothing else:
# id: (language, text, {dimension: value})
_TIE = 0.99
PLANTS: dict[str, tuple[str, str, dict[int, float]]] = {
    "mined-d": ("deu", "Der Fluss ist zugefroren.", {0: 1.0}),
    "mined-e": ("eng", "The river is frozen.", {0: 1.0}),
    "far-e": ("eng", "Nothing could be further from it.", {0: -1.0}),
    # four alike: nobody is nearer than the neighbours
    "low-d": ("deu", "Am Montag um drei.", {3: _TIE, 4: 0.1}),
    "low2-d": ("deu", "Am Montag um vier.", {3: _TIE, 5: 0.12}),
    "low-e": ("eng", "On Monday at three.", {3: _TIE, 4: 0.1}),
    "low2-e": ("eng", "On Monday at four.", {3: _TIE, 5: 0.12}),
    # the second target has a better source of its own
    "best-d": ("deu", "Das Brot ist frisch.", {8: 1.0}),
    "best-e": ("eng", "The bread is fresh.", {8: 1.0}),
    "other-d": ("deu", "Das Brot ist alt.", {8: 0.8, 9: 0.6}),
    "other-e": ("eng", "The bread is old.", {8: 0.8, 9: 0.6}),
    # its only likeness is taken by another source
    "late-d": ("deu", "Der Schlüssel lag dort.", {12: 0.9, 13: 0.436}),
    "first-d": ("deu", "Der Schlüssel liegt dort.", {12: 1.0}),
    "first-e": ("eng", "The key lies there.", {12: 1.0}),
    "zero-d": ("deu", "Dieser Satz hat keine Richtung.", {}),
    "fra-f": ("fra", "La rivière est gelée.", {0: 1.0}),
}
LOST = {  # rows that never get a vector: id -> (language as written, text)
    "no-vector": ("deu", "Dieser Satz hat keinen Vektor."),
    "long": ("deu", "lang " * 30),
    "odd": ("klingon", "In keiner Sprache."),
    "mined-d": ("deu", "Ein anderer Satz unter derselben Nummer."),
    "gold": ("eng", "This very sentence is one of the evaluation set."),
}


@pytest.fixture
def planted(tmp_path: Path, no_beam: None, mining: Cli) -> World:
    """A world of planted pairs, mined."""
    rows = [f"{key}\t{lang}\t{text}" for key, (lang, text, _) in PLANTS.items()]
    rows.append(f"again\tdeu\t{PLANTS['mined-d'][1]}  ")
    rows += [f"{key}\t{lang}\t{text}" for key, (lang, text) in LOST.items()]
    (tmp_path / "texts.tsv").write_text("\n".join(["id\tlang\ttext", *rows]) + "\n")
    vectors = np.zeros((len(PLANTS), DIM), np.float32)
    for row, (_, _, values) in enumerate(PLANTS.values()):
        for place, value in values.items():
            vectors[row, place] = value
    np.save(tmp_path / "vectors.npy", vectors)
    (tmp_path / "vectors.ids").write_text("\n".join(PLANTS) + "\n")
    (tmp_path / "held_out.txt").write_text(LOST["gold"][1] + "\n")
    config = {
        "schema": 1,
        "output": str(tmp_path / "out"),
        "model": {"path": str(tmp_path / "vectors.npy")},
        "partitions": 2,
        "contamination": {"sets": [str(tmp_path / "held_out.txt")]},
        "corpora": {
            "texts": {
                "uri": str(tmp_path / "texts.tsv"),
                "lang": {"column": "lang"},
                "columns": {"text": "text", "id": "id"},
                "max_chars": 100,
            }
        },
        "tasks": {"tt": {"source": "texts", "target": "texts", "langs": ["deu-eng"]}},
        "mining": {"threshold": 1.06, "k": 2},
        "execution": {"tile_rows": 16},
    }
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(config))
    world = World(folder=tmp_path, config=path, output=tmp_path / "out")
    done = mining("run", "--config", path)
    assert done.code == 0, done.err
    return world


@pytest.fixture
def why(planted: World, mining: Cli) -> Callable[..., dict[str, str]]:
    """Explain two names; the lines by label (several joined), and the verdict."""

    def call(source: str, target: str, *more: str) -> dict[str, str]:
        done = mining("explain", source, target, "--config", planted.config, *more)
        assert done.code == 0, done.err
        assert "Traceback" not in done.err
        found: dict[str, str] = {}
        for line in done.out.splitlines():
            label, _, sentence = line.partition(" ")
            found[label] = (
                f"{found[label]}\n{sentence.strip()}" if label in found else sentence.strip()
            )
        return found

    return call


Why = Callable[..., dict[str, str]]


def text(key: str) -> str:
    return PLANTS[key][1] if key in PLANTS else LOST[key][1]


def segment(key: str) -> str:
    lang, said, _ = PLANTS[key]
    return text_segment_id(lang, said)


def test_a_mined_pair_names_its_file_and_its_occurrences(why: Why, planted: World) -> None:
    found = why(text("mined-d"), text("mined-e"))
    assert found["verdict"] == "mined"
    assert "pairs/tt/deu-eng/part-00000.parquet" in found["pairs"]
    assert (
        "2 occurrences collapsed into this segment: read at texts.tsv#0.0, texts.tsv#16.0"
        in (found["source"])
    )
    assert found["similarity"] == "1.000000"
    assert "rank 1 of" in found["neighbours"]
    # by id, by place, and by an unnormalised spelling it is the same pair
    for source in (
        segment("mined-d"),
        "texts.tsv#0",
        "texts.tsv#16.0",
        " Der Fluss\tist zugefroren. ",
    ):
        assert why(source, segment("mined-e"))["verdict"] == "mined"


def test_sides_may_be_exchanged(why: Why) -> None:
    found = why(text("mined-e"), text("mined-d"))
    assert found["verdict"] == "mined"
    assert "exchanged" in found["sides"]


def test_a_text_that_is_nowhere_gets_its_nearest_spellings(why: Why) -> None:
    found = why("Der Fluss ist zugefrorn", text("mined-e"))
    assert found["verdict"] == "source not in the corpus"
    assert repr(text("mined-d")) in found["source"]


@pytest.mark.parametrize(
    ("key", "reason", "detail"),
    [
        ("long", "too_long", "characters, more than 100"),
        ("odd", "unknown_language", "klingon"),
        ("gold", "benchmark_overlap", "held_out.txt"),
    ],
)
def test_rejected_in_prepare(why: Why, key: str, reason: str, detail: str) -> None:
    source, target = (text("mined-d"), text(key)) if key == "gold" else (text(key), text("mined-e"))
    found = why(source, target)
    assert found["verdict"].endswith(f"rejected in prepare: {reason}")
    assert detail in "\n".join(found.values())


def test_an_id_that_was_taken(why: Why) -> None:
    found = why(LOST["mined-d"][1], text("mined-e"))
    assert found["verdict"] == "source rejected in prepare: duplicate_id"


@pytest.mark.parametrize("key", ["zero-d", "no-vector"])
def test_rejected_in_embed(why: Why, key: str) -> None:
    found = why(text(key), text("mined-e"))
    assert found["verdict"] == "rejected in embed: no_embedding"
    assert found["embed"].startswith("the source was rejected: no_embedding (")


def test_a_language_pair_that_the_task_does_not_mine(why: Why) -> None:
    found = why(text("mined-d"), text("fra-f"))
    assert found["verdict"] == "language pair not mined"
    assert "deu-eng" in found["languages"]


def test_not_among_the_nearest_tells_the_true_rank_both_ways(why: Why, planted: World) -> None:
    found = why(text("mined-d"), text("far-e"))
    assert found["verdict"] == "not among the nearest"
    assert found["similarity"] == "-1.000000"
    targets = sum(lang == "eng" for lang, _, _ in PLANTS.values())
    sources = sum(lang == "deu" and bool(v) for lang, _, v in PLANTS.values())
    assert (
        f"rank {targets} of {targets} from the source: not among its nearest" in found["neighbours"]
    )
    assert f"rank {sources} of {sources} from the target" in found["neighbours"]
    # the second nearest of both is a row that they are similar to in nothing
    assert found["neighbours"].count("; the last of those 2 has 0.000000") == 2


def test_below_the_threshold(why: Why) -> None:
    found = why(text("low-d"), text("low-e"))
    assert found["verdict"] == "below_threshold"
    assert found["threshold"].startswith("1.060000, from mining.threshold")
    assert "ratio: 1.0" in found["margin"]
    assert "lost to" not in found


def test_above_the_highest_score(why: Why, planted: World, mining: Cli) -> None:
    change = ("--set", "mining.score_max=1.5")
    assert mining("pairs", "--config", planted.config, *change).code == 0
    assert why(text("mined-d"), text("mined-e"), *change)["verdict"] == "above_score_max"


def test_not_the_best_names_the_better_ones(why: Why) -> None:
    found = why(text("best-d"), text("other-e"))
    assert found["verdict"] == "not_best"
    assert f"not the source's best candidate: that is {segment('best-e')}" in found["best"]
    assert f"not the target's best candidate: that is {segment('other-d')}" in found["best"]
    assert repr(text("best-e")) in found["best"]


def test_lost_one_to_one_names_the_winner(why: Why) -> None:
    found = why(text("late-d"), text("first-e"))
    assert found["verdict"] == "not_best"
    assert "it is the source's best candidate" in found["best"]
    winner = found["lost"]
    assert segment("first-d") in winner
    assert text("first-d") in winner
    assert pair_id(segment("first-d"), segment("first-e")) in winner


def test_not_mutual(why: Why, planted: World, mining: Cli) -> None:
    change = ("--set", "mining.select=intersection")
    assert mining("pairs", "--config", planted.config, *change).code == 0
    assert why(text("late-d"), text("first-e"), *change)["verdict"] == "not_mutual"


def test_pairs_of_other_settings_and_unfinished_stages(
    planted: World, why: Why, mining: Cli
) -> None:
    other = why(text("mined-d"), text("mined-e"), "--set", "mining.threshold=1.2")
    assert other["verdict"] == "unfinished"
    assert "holds pairs of other settings" in other["unfinished"]
    fresh = ("--output", str(planted.folder / "fresh"))
    for stage, sentence in (
        (None, "run mining prepare"),
        ("prepare", "run mining embed"),
        ("embed", "run mining knn"),
        ("knn", "run mining pairs"),
    ):
        if stage is not None:
            assert mining(stage, "--config", planted.config, *fresh).code == 0
        found = why(text("mined-d"), text("mined-e"), *fresh)
        assert found["verdict"] == "unfinished"
        assert sentence in "\n".join(found.values())


def test_a_row_that_was_cut_into_sentences(planted: World, why: Why, mining: Cli) -> None:
    row = "Der Fluss ist lang. Er ist auch breit."
    (planted.folder / "texts.tsv").write_text(
        f"id\tlang\ttext\na\tdeu\t{row}\nb\teng\tThe river is wide.\n"
    )
    config = yaml.safe_load(planted.config.read_text())
    config["corpora"]["texts"] |= {"segment": "sentences", "columns": {"text": "text"}}
    planted.change(corpora=config["corpora"], model={"path": "spelling"})
    fresh = ("--output", str(planted.folder / "cut"))
    assert mining("run", "--config", planted.config, *fresh).code == 0
    found = why(row, "The river is wide.", *fresh)
    assert found["verdict"] == "source cut into sentences"
    assert "'Er ist auch breit.'" in found["source"]


def test_a_text_that_stands_in_two_corpora_is_one_segment(
    planted: World, why: Why, mining: Cli
) -> None:
    row = "\t".join(["mined-d", "deu", text("mined-d")])
    (planted.folder / "more.tsv").write_text(f"id\tlang\ttext\n{row}\n")
    config = yaml.safe_load(planted.config.read_text())
    corpora = config["corpora"]
    corpora["more"] = corpora["texts"] | {"uri": str(planted.folder / "more.tsv")}
    both = {"source": ["texts", "more"], "target": "texts", "langs": ["deu-eng"]}
    planted.change(corpora=corpora, tasks={"tt": both})
    fresh = ("--output", str(planted.folder / "two"))
    assert mining("run", "--config", planted.config, *fresh).code == 0
    found = why(text("mined-d"), text("mined-e"), *fresh)
    assert found["verdict"] == "mined"
    assert "of at most" in found["neighbours"].splitlines()[1]


def test_a_task_must_be_one_of_the_config(planted: World, mining: Cli) -> None:
    done = mining("explain", "a", "b", "--config", planted.config, "--task", "st")
    assert (done.code, done.out) == (2, "")
    assert done.err == "error: --task: must be one of the config's, but is 'st'; there are tt\n"
