"""Stage tokenize with a stand-in whose units are times: each frame is dealt to where it was heard."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from numpy.typing import NDArray

from beam_jobs.stage import Run, Unit
from beam_jobs.stages.recordings import CorpusFrames
from beam_jobs.stages.tokenize import Tokenize
from encoders.audio_tokens.card import AudioTokenizerCard, KnownByCard
from mining.config import load_config
from mining.contract.errors import DatasetError
from mining.contract.model_ref import ModelRef
from mining.contract.schemas import AUDIO_FRAMES, REGION, SEGMENT, checked
from mining.contract.speech import SPEECH_RATE_HZ, Samples
from mining.io.collapse import table_of
from mining.io.dataset import Manifest
from mining.io.filesystem import Storage
from mining.io.local import file_digest
from mining.io.parquet import write_part
from mining.speech.channels import seconds_of

TICKS_HZ = 100  # units a second of the recording
SCALE = 2**22


class Clock(KnownByCard):
    """Hears when a sample was recorded: samples hold their own place."""

    def __init__(self, card: AudioTokenizerCard) -> None:
        self._card = card
        self.longest_s = 0.0
        self.batches: list[int] = []

    def frames(
        self, clips: Sequence[Samples], langs: Sequence[str] | None = None
    ) -> list[NDArray[np.int16]]:
        self.batches.append(len(clips))
        return [self._frames(clip) for clip in clips]

    def _frames(self, clip: Samples) -> NDArray[np.int16]:
        self.longest_s = max(self.longest_s, len(clip) / SPEECH_RATE_HZ)
        centre = (np.arange(int(len(clip) / SPEECH_RATE_HZ * self.rate_hz)) + 0.5) / self.rate_hz
        places = np.round(clip[(centre * SPEECH_RATE_HZ).astype(int)].astype(np.float64) * SCALE)
        return (places * TICKS_HZ // SPEECH_RATE_HZ).astype(np.int16)


def card(**values: object) -> AudioTokenizerCard:
    known: dict[str, object] = {
        "name": "clock", "fingerprint": "c0", "units": 32767, "blank": None, "symbols": None,
        "rate_hz": 50.0, "context_s": 0.0, "max_clip_s": 30.0,
    }  # fmt: skip
    return AudioTokenizerCard(**{**known, **values})  # type: ignore[arg-type]


def regions_of(folder: Path, rng: np.random.Generator) -> list[tuple[object, ...]]:
    """Write two recordings; (recording, uri, region, start, samples) of their regions."""
    import soundfile

    rows: list[tuple[object, ...]] = []
    for name, seconds in (("a.wav", 200), ("b.wav", 100)):
        samples = (np.arange(seconds * SPEECH_RATE_HZ) / SCALE).astype(np.float32)
        soundfile.write(folder / name, samples, SPEECH_RATE_HZ, subtype="FLOAT")
        recording = file_digest(folder / name)
        start = region = 0
        while start < len(samples):
            size = int(rng.choice([900, 8000, 40_000, 200_000, 480_000]))
            size = min(size + int(rng.integers(0, 1000)), len(samples) - start)
            rows.append((recording, name, region, start, size))
            start += size + int(rng.integers(0, 3) * 9001)
            region += 1
    return rows


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tokenize:
    config = {
        "schema": 1,
        "output": str(tmp_path / "out"),
        "corpora": {"talks": {"modality": "speech", "uri": str(tmp_path / "*.wav"), "lang": "deu"}},
        "tasks": {"ss": {"source": "talks", "target": "talks"}},
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config))
    run = Run(config=load_config(str(tmp_path / "run.yaml")))
    names = ("recording_id", "source_uri", "region", "start_sample", "num_samples")
    known = {"lang": "deu", "sample_rate_hz": SPEECH_RATE_HZ, "level_dbfs": -20.0}
    rows = regions_of(tmp_path, np.random.default_rng(5))
    table = table_of(REGION, names, rows, known | {"clipped_ratio": 0.0})
    table = table.sort_by([(name, "ascending") for name in ("recording_id", "region")])
    folder = run.dataset("regions", "talks", "h")
    part = write_part(folder, "part-00000.parquet", table, REGION, Storage())
    seconds = {"part-00000": 4 * 900.0}  # dealt to four units, of which some hold nothing
    assert 250 < seconds_of(table) <= 300
    regions = Manifest(
        kind="regions", name="talks", hash="h", parts=(part,), attributes={"speech_s": seconds}
    )
    monkeypatch.setattr("beam_jobs.stages.tokenize._load", lambda *_: Clock(card()))
    return Tokenize(
        run=run, subject="talks", regions=regions, card=card(), ref=ModelRef(path="x"),
        base=f"{tmp_path}/",
    )  # fmt: skip


def tokenized(stage: Tokenize) -> list[dict[str, object]]:
    """AUDIO_FRAMES rows of all units."""
    rows: list[dict[str, object]] = []
    for unit in stage.units("tokenize"):
        receipt = stage.process("tokenize", unit)
        (part,) = receipt.parts["audio_frames"]
        table = checked(pq.ParquetFile(f"{stage.folder}/{part.path}").read(), AUDIO_FRAMES, "here")
        assert receipt.counters["regions"] == receipt.counters["regions_tokenized"] == len(table)
        rows += table.to_pylist()
    return rows


@pytest.mark.parametrize("values", [{}, {"max_clip_s": 7.0}, {"rate_hz": 12.5}])
def test_every_region_has_the_frames_that_were_heard_in_it(
    stage: Tokenize, monkeypatch: pytest.MonkeyPatch, values: dict[str, object]
) -> None:
    clock = Clock(card(**values))
    monkeypatch.setattr("beam_jobs.stages.tokenize._load", lambda *_: clock)
    object.__setattr__(stage, "card", clock.card)
    rows = tokenized(stage)
    folder = stage.run.dataset("regions", "talks", "h")
    regions = {
        (row["recording_id"], row["region"]): row
        for row in pq.ParquetFile(f"{folder}/part-00000.parquet").read().to_pylist()
    }
    assert sorted((row["recording_id"], row["region"]) for row in rows) == sorted(regions)
    for row in rows:
        region = regions[row["recording_id"], row["region"]]
        low_s = region["start_sample"] / SPEECH_RATE_HZ
        size_s = region["num_samples"] / SPEECH_RATE_HZ
        times_s = np.array(row["frames"]) / TICKS_HZ
        pieces = 1 + int(size_s / clock.max_clip_s)
        assert abs(len(times_s) - size_s * clock.rate_hz) < 1 + pieces
        assert (times_s > low_s - 1 / TICKS_HZ).all()
        assert (times_s < low_s + size_s).all()
        steps = np.diff(times_s)
        assert (steps > 0).all()
        assert (steps < 2 / clock.rate_hz + 1 / TICKS_HZ).all()
    assert clock.longest_s <= min(30.0, clock.max_clip_s)
    assert max(clock.batches) > 1


def test_segments_of_a_part_get_the_frames_of_all_its_units(stage: Tokenize) -> None:
    assert len(stage.units("tokenize")) == 4
    for unit in stage.units("tokenize"):
        stage.process("tokenize", unit)
    manifest = Manifest(kind="audio_frames", name="talks", hash=stage.hash, parts=())
    frames = CorpusFrames(manifest=manifest, regions=stage.regions)
    part = frames.of_part(stage.run, "part-00000.parquet")
    folder = stage.run.dataset("regions", "talks", "h")
    first = pq.ParquetFile(f"{folder}/part-00000.parquet").read().to_pylist()[0]
    names = ("segment_id", "recording_id", "start_sample", "num_samples", "sample_rate_hz")
    known = {"corpus": "c", "modality": "speech", "lang": "deu", "occurrences": 1, "length": 1}
    segment = table_of(SEGMENT, names, [("s", *(first[name] for name in names[1:]))], known)
    ((found,),) = part.of_segments(segment).to_pylist()
    assert abs(len(found) - first["num_samples"] / SPEECH_RATE_HZ * 50) < 2


def test_the_encoder_decides_nothing_but_its_tokenizer_does(stage: Tokenize) -> None:
    def hashed(**values: object) -> str:
        known = {name: getattr(stage, name) for name in ("run", "subject", "regions", "base")}
        given = {"card": card(), "ref": ModelRef(path="y")}
        return Tokenize(**{**known, **given, **values}).hash

    assert hashed() == hashed(ref=ModelRef(path="z")) == hashed(base="/elsewhere/") == stage.hash
    assert hashed(card=card(name="other name")) == stage.hash
    others = {hashed(card=card(fingerprint="c1")), hashed(card=card(max_clip_s=20.0))}
    assert len(others | {stage.hash}) == 3


def test_weights_that_changed_since_the_plan_are_refused(
    stage: Tokenize, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("beam_jobs.stages.tokenize._load", lambda *_: Clock(card(fingerprint="c1")))
    with pytest.raises(DatasetError, match="must be the one that the run was planned with"):
        stage.process("tokenize", stage.units("tokenize")[0])


def test_a_recording_that_changed_is_refused(stage: Tokenize, tmp_path: Path) -> None:
    import soundfile

    for name in ("a.wav", "b.wav"):
        soundfile.write(tmp_path / name, np.zeros(16000, np.float32), SPEECH_RATE_HZ)
    with pytest.raises(DatasetError, match="must be the file that was prepared"):
        tokenized(stage)


def test_a_unit_is_the_same_bytes_twice(stage: Tokenize) -> None:
    def once(unit: Unit) -> str:
        return stage.process("tokenize", unit).parts["audio_frames"][0].sha256

    units = stage.units("tokenize")
    assert [once(unit) for unit in units] == [once(unit) for unit in units[::-1]][::-1]
