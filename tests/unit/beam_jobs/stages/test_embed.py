"""What decides an embedding."""

from __future__ import annotations

from pathlib import Path

from beam_jobs.stage import Run
from beam_jobs.stages.embed import Embed
from beam_jobs.stages.recordings import CorpusFrames
from encoders import EncoderCard
from mining.config.model import Config, Corpus, Task
from mining.io.dataset import Manifest
from mining.io.parquet import Part


def manifest(kind: str, sha256: str) -> Manifest:
    part = Part(path="part-00000.parquet", rows=1, sha256=sha256)
    return Manifest(kind=kind, name="talks", hash=f"{kind}-{sha256}", parts=(part,))


def test_the_frames_decide_where_there_are_some(tmp_path: Path) -> None:
    corpus = Corpus(uri="x", lang="deu", modality="speech")
    task = Task(source="talks", target="talks")
    config = Config(
        schema=1, output=str(tmp_path), corpora={"talks": corpus}, tasks={"ss": task}
    )  # fmt: skip
    card = EncoderCard(
        name="e", dim=4, space="s", modalities=frozenset({"text", "speech"}), fingerprint="f",
        licence="unknown",
    )  # fmt: skip

    def hashed(frames: str | None) -> str:
        heard = None
        if frames is not None:
            made, regions = manifest("audio_frames", frames), manifest("regions", "1")
            heard = CorpusFrames(manifest=made, regions=regions)
        segments = manifest("segments", "1")
        run = Run(config=config)
        return Embed(run=run, subject="talks", segments=segments, card=card, frames=heard).hash

    assert hashed("1") == hashed("1")
    assert len({hashed("1"), hashed("2"), hashed(None)}) == 3
