"""A small world of three languages whose vectors are given, and the command line in this process."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import yaml

from beam_jobs.cli import main
from beam_jobs.stage import Stage, do_unit

if TYPE_CHECKING:
    from tests.end_to_end.speech_world import SpeechWorld

LANGS = ("deu", "eng", "fra")
MEANINGS, DISTRACTORS, DIM = 40, 20, 24


@dataclass(frozen=True)
class Outcome:
    """What a command ended with."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class World:
    """Files of a small corpus and its config."""

    folder: Path
    config: Path
    output: Path

    def change(self, **values: object) -> None:
        """Replace top-level keys of the config."""
        config = yaml.safe_load(self.config.read_text())
        self.config.write_text(yaml.safe_dump(config | values))

    def digest(self) -> str:
        """One hash over names and bytes of all pair files."""
        return pairs_digest(self.output)


def pairs_digest(output: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted((output / "pairs").rglob("*.parquet")):
        digest.update(str(path.relative_to(output)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def make_world(folder: Path) -> World:
    """Rows of three languages; the same meaning has nearly the same vector in each."""
    rng = np.random.default_rng(7)
    meanings = rng.normal(size=(MEANINGS, DIM))
    rows, ids, vectors, gold = [], [], [], ["meaning_id\tlang\ttext"]
    for lang in LANGS:
        for m in range(MEANINGS + DISTRACTORS):
            known = m < MEANINGS
            text = f"{lang} sentence {m} about {'shared' if known else 'own'} things"
            rows.append(f"{lang}-{m}\t{lang}\t{text}")
            ids.append(f"{lang}-{m}")
            noise = rng.normal(size=DIM)
            vectors.append(meanings[m] + 0.5 * noise if known else noise)
            if known:
                gold.append(f"{m}\t{lang}\t{text}")
    rows.append(f"again\tdeu\t{rows[0].split(chr(9))[2]}")  # an exact duplicate
    for number in range(3):  # three files
        part = rows[number::3]
        (folder / f"texts-{number}.tsv").write_text("\n".join(["id\tlang\ttext", *part]) + "\n")
    np.save(folder / "vectors.npy", np.asarray(vectors, np.float32))
    (folder / "vectors.ids").write_text("\n".join(ids) + "\n")
    (folder / "gold.tsv").write_text("\n".join(gold) + "\n")
    config = {
        "schema": 1,
        "output": str(folder / "out"),
        "model": {"path": str(folder / "vectors.npy")},
        "partitions": 3,
        "contamination": {"sets": []},
        "corpora": {
            "texts": {
                "uri": str(folder / "texts-*.tsv"),
                "lang": {"column": "lang"},
                "columns": {"text": "text", "id": "id"},
            }
        },
        "tasks": {"tt": {"source": "texts", "target": "texts"}},
        "mining": {"threshold": 1.0},
        "execution": {"tile_rows": 32},
    }
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(config))
    return World(folder=folder, config=path, output=folder / "out")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


@pytest.fixture
def mining(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Outcome]:
    """Call the command line as ``mining(*arguments)``."""

    def call(*arguments: str | Path) -> Outcome:
        monkeypatch.setattr("sys.argv", ["mining", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture
def no_beam(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do the units in a plain loop: hundreds of runs are made here."""

    def run_stages(stages: Sequence[Stage], beam_args: object, progress: object) -> None:
        for stage in stages:
            stage.begin()
        for phase in stages[0].phases:
            for stage in stages:
                for unit in stage.units(phase):
                    do_unit(stage, phase, unit)
        for stage in stages:
            stage.finish()
        stages[0].tidy()

    monkeypatch.setattr("beam_jobs.execution.run.run_stages", run_stages)


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recordings of every :func:`speech` world, to be copied."""
    from tests.end_to_end.speech_world import record

    folder = tmp_path_factory.mktemp("recordings")
    record(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_ctc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recogniser that knows no languages, with random weights."""
    from tests.unit.encoders.recognise.conftest import save_wav2vec2

    return save_wav2vec2(tmp_path_factory.mktemp("recognisers") / "ctc")


@pytest.fixture(scope="session")
def tiny_whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recogniser that knows four languages, and tells them, with random weights."""
    from tests.unit.encoders.recognise.conftest import save_whisper

    return save_whisper(tmp_path_factory.mktemp("recognisers") / "whisper")


@pytest.fixture
def speech(tmp_path: Path, recordings: Path, tiny_ctc: Path) -> SpeechWorld:
    from tests.end_to_end.speech_world import make_speech_world

    return make_speech_world(tmp_path, recordings, tiny_ctc)
