"""Whisper base hears two of the sample's recordings, and what is said finds its translation."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from tests.end_to_end.conftest import Outcome, World
from tests.end_to_end.speech_world import SAMPLE
from tests.end_to_end.test_speech_run import mined

Cli = Callable[..., Outcome]

pytestmark = pytest.mark.weights

RECORDINGS = {"deu/kitchen.opus", "eng/kitchen.opus"}
LANGS = ("deu", "eng")


@pytest.fixture
def whisper_base() -> Path:
    pytest.importorskip("faster_whisper")
    given = os.environ.get("MINING_WEIGHTS")
    folder = (Path(given) if given else SAMPLE.parents[1] / "models") / "whisper-base"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there: build it with examples/weights_without_a_hub/build.py")
    return folder


def rows_of(name: str) -> list[dict[str, str]]:
    with (SAMPLE / name).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))


def write_gold(path: Path) -> None:
    """What the two recordings say, and every text that means the same."""
    spoken = [row for row in rows_of("speech_gold.tsv") if row["source_uri"] in RECORDINGS]
    spoken = [row for row in spoken if row["meaning_id"]]
    said = {row["meaning_id"] for row in spoken}
    lines = ["meaning_id\tlang\tmodality\ttext\tsource_uri\tstart_s\tend_s"]
    for row in rows_of("meanings.tsv"):
        if row["meaning_id"] in said:
            lines += [f"{row['meaning_id']}\t{la}\ttext\t{row[la]}\t\t\t" for la in LANGS]
    for row in spoken:
        place = (row["source_uri"], row["start_s"], row["end_s"])
        lines.append("\t".join([row["meaning_id"], row["lang"], "speech", "", *place]))
    path.write_text("\n".join(lines) + "\n")


def test_speech_finds_its_text(tmp_path: Path, mining: Cli, whisper_base: Path) -> None:
    write_gold(tmp_path / "gold.tsv")
    config = {
        "schema": 1,
        "output": str(tmp_path / "out"),
        "recogniser": {"path": str(whisper_base)},
        "contamination": {"sets": []},
        "corpora": {
            "talks": {
                "modality": "speech",
                "uri": str(SAMPLE / "audio/{lang}/kitchen.opus"),
                "lang": {"path": "lang"},
                "langs": list(LANGS),
            },
            "texts": {
                "uri": [str(SAMPLE / f"text/{lang}.tsv") for lang in LANGS],
                "lang": {"column": "lang"},
                "columns": {"id": "id"},
            },
        },
        "tasks": {"st": {"source": "talks", "target": "texts", "langs": "all"}},
        "mining": {"threshold": "model"},
        "evaluate": {"gold": str(tmp_path / "gold.tsv")},
    }
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(config))
    world = World(folder=tmp_path, config=path, output=tmp_path / "out")
    mined(world, mining)
    done = mining("evaluate", "--config", path, "--table", tmp_path / "figures.parquet")
    assert done.code == 0, done.err
    rows = pq.read_table(tmp_path / "figures.parquet").to_pylist()
    f1 = {row["pair"]: row for row in rows if row["metric"] == "f1"}
    pairs = {f"speech-text {one}-{other}" for one in LANGS for other in LANGS}
    assert set(f1) == pairs | {"macro"}
    assert f1["macro"]["value"] >= 0.75  # 0.86 when it was measured; of German to English 0.67
    assert all(f1[pair]["value"] >= 0.5 for pair in pairs)
    assert all(row["shuffled"] <= 0.1 for row in f1.values())
