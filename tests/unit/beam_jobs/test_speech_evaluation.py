"""Speech mined against text is judged and calibrated by the places of its segments."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from beam_jobs.evaluation import calibrate_task, judge
from beam_jobs.stage import Run, Stage, do_unit
from beam_jobs.stages.knn import Knn
from beam_jobs.stages.pairs import Pairs
from mining.config.model import Config, Corpus, Evaluate, Task
from mining.contract.ids import content_id
from mining.contract.schemas import SEGMENT, embedding_schema
from mining.contract.vectors import pack, to_stored
from mining.evaluate.gold import PairKey
from mining.io.dataset import Manifest, read_manifest, write_manifest
from mining.io.parquet import write_part
from mining.io.pools import Dataset
from mining.score import ScoreSettings

DIM, MEANINGS, DISTRACTORS = 24, 60, 60
# Of each recording: the gold stretch but 100 ms, half of it and more, and two other stretches.
STRETCHES_S = ((2.1, 6.0), (2.0, 4.5), (5.8, 9.0), (12.0, 15.0))
RATES_HZ = (8000, 16000, 44100)


def speech_rows() -> list[dict[str, Any]]:
    rows = []
    for number in range(MEANINGS):
        rate = RATES_HZ[number % len(RATES_HZ)]
        for start, end in STRETCHES_S:
            rows.append(
                {
                    "segment_id": content_id(str(number), str(start)),
                    "modality": "speech",
                    "lang": "deu",
                    "source_uri": f"{number:03d}.wav",
                    "recording_id": content_id(str(number)),
                    "start_sample": round(start * rate),
                    "num_samples": round((end - start) * rate),
                    "sample_rate_hz": rate,
                    "length": round((end - start) * rate),
                }
            )
    return rows


def text_rows() -> list[dict[str, Any]]:
    texts = [f"Sentence {n} {'x' * (n % 9)}." for n in range(MEANINGS + DISTRACTORS)]
    return [
        {
            "segment_id": content_id("eng", text),
            "modality": "text",
            "lang": "eng",
            "text": text,
            "length": len(text),
        }
        for text in texts
    ]


def vectors() -> tuple[np.ndarray, np.ndarray]:
    """Of speech and of text; a stretch is the nearer to its meaning the more it shares with it."""
    rng = np.random.default_rng(5)
    text = rng.standard_normal((MEANINGS + DISTRACTORS, DIM))
    noise = rng.standard_normal((MEANINGS, len(STRETCHES_S), DIM))
    speech = text[:MEANINGS, None] + np.array([0.3, 0.8, 3.0, 50.0])[:, None] * noise
    return speech.reshape(-1, DIM), text


class Mined:
    """A plan of which everything but the encoder has really run."""

    def __init__(self, folder: Path, gold: str) -> None:
        (folder / "gold.tsv").write_text(gold)
        self.warnings: list[str] = []
        self.progress = SimpleNamespace(warn=self.warnings.append)
        self.run = Run(
            config=Config(
                schema=1,
                output=str(folder / "out"),
                corpora={
                    "calls": Corpus(uri="x", lang="deu", modality="speech"),
                    "texts": Corpus(uri="x", lang="eng"),
                },
                tasks={"st": Task(source="calls", target="texts")},
                evaluate=Evaluate(gold=str(folder / "gold.tsv"), resamples=100),
            )
        )
        rows = {"calls": speech_rows(), "texts": text_rows()}
        self.segments = {name: self._segments(name, of) for name, of in rows.items()}
        self.embedded = {
            name: self._embeddings(name, rows[name], given)
            for name, given in zip(rows, vectors(), strict=True)
        }
        settings = ScoreSettings(k=4, select="max")
        knn = Knn(
            run=self.run,
            subject="st",
            sources=(self.embedded["calls"],),
            targets=(self.embedded["texts"],),
            lang_pairs=(("deu", "eng"),),
            forward_k=settings.neighbors(of_speech=False),
            backward_k=settings.neighbors(of_speech=True),
        )
        do(knn)
        self.stage = Pairs(
            run=self.run,
            subject="st",
            sources=(self.segments["calls"],),
            targets=(self.segments["texts"],),
            neighbors=read_manifest(knn.folder, self.run.storage),
            settings=settings,
            thresholds={"deu-eng": None},
        )
        do(self.stage)

    def pairs(self) -> list[Pairs]:
        return [self.stage]

    def embeddings(self) -> dict[str, Dataset]:
        return self.embedded

    def _segments(self, name: str, rows: list[dict[str, Any]]) -> Manifest:
        full = [row | {"corpus": name, "occurrences": 1} for row in rows]
        table = pa.Table.from_pylist(full, schema=SEGMENT)
        folder = self.run.dataset("segments", name, "h")
        part = write_part(folder, "part-00000.parquet", table, SEGMENT, self.run.storage)
        manifest = Manifest(kind="segments", name=name, hash="h", parts=(part,))
        write_manifest(folder, manifest, self.run.storage)
        return manifest

    def _embeddings(self, name: str, rows: list[dict[str, Any]], given: np.ndarray) -> Dataset:
        schema = embedding_schema(DIM, "space", "model")
        stored, _ = to_stored(given)
        columns = [[row[n] for row in rows] for n in ("segment_id", "lang")]
        table = pa.table([*columns, pack(stored)], schema=schema)
        folder = self.run.dataset("embeddings", name, "h")
        part = write_part(folder, "part-00000.parquet", table, schema, self.run.storage)
        facts = {"dim": DIM, "space": "space", "model_fingerprint": "model"}
        manifest = Manifest(kind="embeddings", name=name, hash="h", parts=(part,), attributes=facts)
        write_manifest(folder, manifest, self.run.storage)
        return Dataset(manifest=manifest, folder=folder)


def do(stage: Stage) -> None:
    stage.begin()
    for phase in stage.phases:
        for unit in stage.units(phase):
            do_unit(stage, phase, unit)
    stage.finish()


def gold_of(extra: str = "") -> str:
    lines = ["meaning_id\tlang\tmodality\ttext\tsource_uri\tstart_s\tend_s"]
    for number, row in enumerate(text_rows()[:MEANINGS]):
        lines.append(f"m{number}\teng\ttext\t{row['text']}\t\t\t")
        lines.append(f"m{number}\tdeu\tspeech\t\t{number:03d}.wav\t2.0\t6.0")
    return "\n".join(lines) + "\n" + extra


@pytest.fixture(scope="module")
def mined(tmp_path_factory: pytest.TempPathFactory) -> Mined:
    return Mined(tmp_path_factory.mktemp("mined"), gold_of())


def test_speech_is_judged_by_its_places(mined: Mined) -> None:
    evaluation = judge(mined, "st", retrieval=True)
    (judged,) = evaluation.pairs
    assert judged.key == PairKey(src_modality="speech", src_lang="deu", tgt_lang="eng")
    assert judged.golds == MEANINGS
    assert not mined.warnings
    figures = judged.figures
    assert figures["best_f1"].value > 0.9
    assert figures["recall_at_1"].value > 0.9  # of the best segments only
    for name in ("best_f1", "recall_at_1"):
        assert figures[name].shuffled < 0.1
        assert figures[name].length_only < 0.2
    (side,) = judged.boundaries
    assert side.hits == round(figures["recall"].value * MEANINGS)
    assert side.start_median_ms == pytest.approx(100, abs=0.1)
    assert side.end_median_ms == pytest.approx(0, abs=0.1)


def test_speech_is_calibrated_under_its_modalities(mined: Mined) -> None:
    found = calibrate_task(mined, "st", [None]).thresholds
    assert {one.entry.key.name for one in found} == {"speech-text deu-eng", "speech-text *-*"}
    assert all(one.entry.recall > 0.8 for one in found)


def test_gold_speech_that_no_segment_matches_is_said(tmp_path: Path) -> None:
    text = text_rows()[MEANINGS]["text"]
    extra = f"gone\teng\ttext\t{text}\t\t\t\ngone\tdeu\tspeech\t\t000.wav\t20\t24\n"
    plan = Mined(tmp_path, gold_of(extra))
    (judged,) = judge(plan, "st", retrieval=False).pairs
    assert judged.golds == MEANINGS + 1
    assert judged.figures["recall"].value <= MEANINGS / (MEANINGS + 1)
    assert [w for w in plan.warnings if w.startswith("speech-text deu-eng: 1 of 61 gold")]
