"""Mining within paired documents, at the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from tests.end_to_end.conftest import Outcome, pairs_digest
from tests.end_to_end.test_bad_input import refused

Cli = Callable[..., Outcome]

# Document id -> its sentences. The encoder is "spelling": what is written alike is alike.
GERMAN = {
    "d1": ["Die Kapitänin segelte nach Samarkand.", "Gemeinsame Fusszeile der Seite."],
    "d2": ["Ein Orchester probte die Sinfonie.", "Gemeinsame Fusszeile der Seite."],
    "d3": ["Niemand paart dieses Dokument hier."],
    "d5": ["Dieses Dokument hat einen leeren Partner."],
}
ENGLISH = {
    # e1 is paired with d1 and d4 with nothing, though its sentence is nearest to that of d1
    "e1": ["Di Kapitanin zegelte nah Samarqand.", "Gemeinsame Fusszeile der Seyte."],
    "e2": ["Ain Orkester probte di Sinfoni.", "Etwas ganz anderes steht noch da."],
    "e4": ["Die Kapitänin segelte nach Samarkand!", "Ein Orchester probte die Sinfonie!"],
}
PAIRS = [("d1", "e1"), ("d2", "e2"), ("d5", "e9"), ("x1", "e1")]


@dataclass(frozen=True)
class Documents:
    folder: Path
    config: Path
    output: Path

    def pairs(self, task: str = "tt") -> set[tuple[str, str]]:
        rows = pq.read_table(self.output / "pairs" / task).to_pylist()
        return {(row["src_text"], row["tgt_text"]) for row in rows}

    def write_pairs(
        self, pairs: list[tuple[str, str]], header: str = "src_doc_id\ttgt_doc_id"
    ) -> None:
        lines = [header, *("\t".join(pair) for pair in pairs)]
        (self.folder / "doc_pairs.tsv").write_text("\n".join(lines) + "\n")


@pytest.fixture
def documents(tmp_path: Path) -> Documents:
    for lang, some in (("deu", GERMAN), ("eng", ENGLISH)):
        rows = [f"{name}\t{lang}\t{' '.join(sentences)}" for name, sentences in some.items()]
        (tmp_path / f"{lang}.tsv").write_text("\n".join(["id\tlang\ttext", *rows]) + "\n")
    config = {
        "schema": 1,
        "output": str(tmp_path / "out"),
        "model": {"path": "spelling"},
        "partitions": 2,
        "contamination": {"sets": []},
        "corpora": {
            lang: {
                "uri": str(tmp_path / f"{lang}.tsv"),
                "lang": {"column": "lang"},
                "columns": {"text": "text", "id": "id"},
                "segment": "sentences",
            }
            for lang in ("deu", "eng")
        },
        "tasks": {
            "tt": {
                "source": "deu",
                "target": "eng",
                "documents": {"pairs": str(tmp_path / "doc_pairs.tsv")},
            }
        },
        "mining": {"threshold": "none", "k": 2},
    }
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(config))
    world = Documents(folder=tmp_path, config=path, output=tmp_path / "out")
    world.write_pairs(PAIRS)
    return world


def test_only_paired_documents_are_mined(documents: Documents, mining: Cli) -> None:
    done = mining("run", "--config", documents.config)
    assert done.code == 0, done.err
    assert documents.pairs() == {
        (GERMAN["d1"][0], ENGLISH["e1"][0]),  # not its copy in e4
        (GERMAN["d2"][0], ENGLISH["e2"][0]),
        # the footer stands in d1 and d2, one segment: it is found in e1, the document paired with d1
        (GERMAN["d1"][1], ENGLISH["e1"][1]),
    }
    for side, named, unknown in (("source", 4, "x1"), ("target", 3, "e9")):
        line = f"1 of the {named} {side} documents in pairs are in no corpus, such as {unknown}"
        assert f"warning: tasks.tt: documents: {line}" in done.err

    # nothing is lost silently: d3 is in no pair, d5 paired with a document that is not there
    (folder,) = (documents.output / "rejects/knn/tt").iterdir()
    rows = [row for path in folder.glob("*.parquet") for row in pq.read_table(path).to_pylist()]
    assert {row["reason"] for row in rows} == {"no_paired_document"}
    assert sorted(row["detail"] for row in rows) == [
        "deu, source: in no paired document",
        "deu-eng.forward: its paired documents hold none of that language",
        "eng, target: in no paired document",
        "eng, target: in no paired document",
    ]
    (folder,) = (documents.output / "neighbors/tt").iterdir()
    counters = json.loads((folder / "_manifest.json").read_text())["counters"]
    # d1: each of two with two; d2: two with two, the footer again with those of both
    assert counters["rejected.no_paired_document"] == 4
    assert counters["rows.source.deu"] == 5
    assert counters["kept.deu-eng.forward"] == 3
    assert counters["neighbors"] == 6 + 8
    assert "nothing to do" in mining("run", "--config", documents.config).err


@pytest.mark.usefixtures("no_beam")
def test_scheduling_does_not_change_a_byte_and_all_rows_are_compared_without_documents(
    documents: Documents, mining: Cli
) -> None:
    assert mining("run", "--config", documents.config).code == 0
    digest = pairs_digest(documents.output)
    documents.write_pairs(PAIRS[::-1] + PAIRS)  # another order, and some twice
    assert "nothing to do" in mining("run", "--config", documents.config).err
    for setting in ("tile_rows=16", "shards=1"):
        other = documents.folder / setting
        change = ("--set", f"execution.{setting}", "--output", str(other))
        assert mining("run", "--config", documents.config, *change).code == 0
        assert pairs_digest(other) == digest

    documents.write_pairs([*PAIRS, ("d3", "e4")])
    more = mining("run", "--config", documents.config)
    assert more.code == 0, more.err
    assert any(source == GERMAN["d3"][0] for source, _ in documents.pairs())

    free = documents.folder / "free"
    change = ("--set", "tasks.tt.documents=null", "--output", str(free))
    assert mining("run", "--config", documents.config, *change).code == 0
    found = Documents(documents.folder, documents.config, free).pairs()
    assert (GERMAN["d1"][0], ENGLISH["e4"][0]) in found


@pytest.mark.usefixtures("no_beam")
def test_documents_of_one_id(documents: Documents, mining: Cli) -> None:
    text = (
        (documents.folder / "eng.tsv").read_text().replace("e1\t", "d1\t").replace("e4\t", "d2\t")
    )
    (documents.folder / "eng.tsv").write_text(text)
    done = mining("run", "--config", documents.config, "--set", "tasks.tt.documents=same_id")
    assert done.code == 0, done.err
    assert documents.pairs() >= {
        (GERMAN["d1"][0], ENGLISH["e1"][0]),
        (GERMAN["d2"][0], ENGLISH["e4"][1]),
    }
    assert not any(source == GERMAN["d3"][0] for source, _ in documents.pairs())


@pytest.mark.usefixtures("no_beam")
def test_what_is_wrong_with_documents_is_one_line(documents: Documents, mining: Cli) -> None:
    run = ("run", "--config", documents.config)
    refused(mining(*run, "--set", "tasks.tt.documents=same"), 2, "tasks.tt.documents must be")
    refused(mining(*run, "--set", "tasks.tt.documents.pair=x"), 2, "did you mean 'pairs'")
    gone = str(documents.folder / "gone.tsv")
    refused(mining(*run, "--set", f"tasks.tt.documents.pairs={gone}"), 3, "gone.tsv: no such file")
    documents.write_pairs([])
    refused(mining(*run), 3, "doc_pairs.tsv: must hold a pair of documents, but holds none")
    documents.write_pairs(PAIRS, header="source\ttarget")
    refused(mining(*run), 3, "must be a table of two columns, src_doc_id and tgt_doc_id")
    documents.write_pairs([("d1", "x"), ("d2", "y")])
    refused(mining(*run), 3, "must name documents of the target corpora", "such as 'x'")
    documents.write_pairs([("d1", "e9"), ("d9", "e1")])
    refused(mining(*run), 3, "some pair of documents must have sentences on both sides")
    refused(mining(*run, "--set", "tasks.tt.documents=same_id"), 3, "but none has")
    no_ids = ("--set", "corpora.deu.columns.id=null")
    refused(mining(*run, *no_ids), 2, "corpora.deu must name its documents' ids in columns.id")
