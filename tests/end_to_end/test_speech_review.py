"""Speech at its edges: a single sample, a folder for a file, quotations, corpora that have moved."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from beam_jobs.plan import Plan
from beam_jobs.progress import Progress
from mining.config import load_config
from tests.end_to_end.conftest import Outcome
from tests.end_to_end.speech_world import SpeechWorld
from tests.end_to_end.test_bad_input import reasons, refused

Cli = Callable[..., Outcome]

pytestmark = pytest.mark.usefixtures("no_beam")


def transcribed(world: SpeechWorld, mining: Cli, *arguments: str | Path) -> str:
    """Prepare and transcribe the talks; what is said of it."""
    said = ""
    for stage in ("prepare", "transcribe"):
        done = mining(stage, "--config", world.config, *arguments)
        assert done.code == 0, done.err
        assert "Traceback" not in done.err
        said += done.err
    return said


@pytest.fixture
def small(speech: SpeechWorld) -> SpeechWorld:
    """One recording, and no texts."""
    speech.speak_only([("eng/kitchen.wav", "eng")])
    speech.change(tasks={"ss": speech.settings["tasks"]["ss"]})
    return speech


def test_a_single_sample_has_no_language(
    small: SpeechWorld, mining: Cli, tiny_whisper: Path
) -> None:
    import soundfile

    soundfile.write(small.audio / "one.wav", np.full(1, 0.5, np.float32), 48000)
    small.speak_only([("one.wav", ""), ("eng/kitchen.wav", "")])
    small.change_corpus(
        "talks", lang={"recognised": True}, speech={"segment": "recording", "max_region_s": 2.0}
    )
    small.change(partitions=1, recogniser={"path": str(tiny_whisper), "max_tokens": 4})
    transcribed(small, mining)
    assert reasons(small, "prepare") == {}
    assert reasons(small, "transcribe") == {"no_transcript": 1}
    said = [row for row in small.table("segments", "talks").to_pylist() if row["text"]]
    assert {row["source_uri"] for row in said} == {"eng/kitchen.wav"}


def test_a_folder_is_no_recording(small: SpeechWorld, mining: Cli) -> None:
    (small.audio / "eng" / "folder.wav").mkdir()
    names = ("eng/folder.wav", "eng", "eng/kitchen.wav")
    small.speak_only([(name, "eng") for name in names])
    transcribed(small, mining)
    refusals = small.table("rejects", "prepare", "talks").to_pylist()
    assert [row["reason"] for row in refusals] == ["missing_audio"] * 2
    assert {row["row_id"].partition("#")[2] for row in refusals} == {"0", "1"}
    found = small.table("segments", "talks")["source_uri"].to_pylist()
    assert set(found) == {"eng/kitchen.wav"}


def test_a_quotation_refuses_whatever_reaches_across_it(small: SpeechWorld, mining: Cli) -> None:
    transcribed(small, mining)
    before = [row for row in small.table("segments", "talks").to_pylist() if row["text"]]

    def inside(row: dict[str, Any], other: dict[str, Any]) -> bool:
        start, other_start = row["start_sample"], other["start_sample"]
        ends = [one["start_sample"] + one["num_samples"] for one in (row, other)]
        return bool(other_start <= start and ends[0] <= ends[1])

    reach = {row["segment_id"]: [one for one in before if inside(row, one)] for row in before}
    quoted = max(before, key=lambda row: (len(reach[row["segment_id"]]), row["segment_id"]))
    wanted = {row["segment_id"] for row in reach[quoted["segment_id"]]}
    assert 1 < len(wanted) < len(before)
    (small.folder / "quoted.txt").write_text(quoted["text"] + "\n")
    small.change(contamination={"sets": [str(small.folder / "quoted.txt")]})
    transcribed(small, mining, "--output", small.folder / "other")
    other = SpeechWorld(small.folder, small.config, small.folder / "other", small.audio)
    refusals = other.table("rejects", "transcribe", "talks").to_pylist()
    assert {row["row_id"] for row in refusals} == wanted
    assert {row["reason"] for row in refusals} == {"benchmark_overlap"}


def test_a_language_that_the_recogniser_does_not_know(
    small: SpeechWorld, mining: Cli, tiny_whisper: Path
) -> None:
    small.change(recogniser={"path": str(tiny_whisper), "language": "que"})
    failed = mining("run", "--config", small.config)
    refused(failed, 2, "recogniser.language", "'que'")
    assert len(failed.err.strip().splitlines()) == 1
    assert not (small.output / "segments").exists()


def test_vectors_of_recordings_tell_no_language(small: SpeechWorld, mining: Cli) -> None:
    np.save(small.folder / "v.npy", np.eye(8, dtype=np.float32))
    (small.folder / "v.ids").write_text("\n".join(f"r{n}" for n in range(8)) + "\n")
    small.change(model={"path": str(small.folder / "v.npy")}, recogniser=None)
    small.change_corpus("talks", lang={"recognised": True}, speech={"segment": "recording"})
    failed = mining("run", "--config", small.config)
    refused(failed, 2, "corpora.talks.lang", "must be given", "no recogniser")
    assert len(failed.err.strip().splitlines()) == 1
    assert not (small.output / "segments").exists()


def test_what_can_be_decoded_decides_what_was_heard(
    small: SpeechWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = importlib.util.find_spec

    def hashed(*, with_av: bool) -> str:
        def found(name: str, package: str | None = None) -> object:
            if name != "av":
                return really(name, package)
            return importlib.machinery.ModuleSpec("av", None) if with_av else None

        monkeypatch.setattr("importlib.util.find_spec", found)
        (stage,) = Plan(load_config(str(small.config)), Progress()).prepare()
        return stage.hash

    assert hashed(with_av=True) == hashed(with_av=True)
    assert hashed(with_av=True) != hashed(with_av=False)


def test_a_corpus_that_has_moved_is_not_transcribed_again(small: SpeechWorld, mining: Cli) -> None:
    transcribed(small, mining)
    hashes = {path.name for path in (small.output / "transcripts" / "talks").iterdir()}
    copy = small.folder / "copy"
    shutil.copytree(small.audio, copy)
    small.change_corpus("talks", audio_root=str(copy))
    said = transcribed(small, mining)
    assert {path.name for path in (small.output / "transcripts" / "talks").iterdir()} == hashes
    assert "transcribe: already done" in said
    other = SpeechWorld(small.folder, small.config, small.folder / "other", copy)
    transcribed(other, mining, "--output", other.output)
    assert {path.name for path in (other.output / "transcripts" / "talks").iterdir()} == hashes


def test_the_manifest_tells_the_seconds_of_speech(speech: SpeechWorld, mining: Cli) -> None:
    assert mining("prepare", "--config", speech.config).code == 0
    (folder,) = (speech.output / "regions" / "talks").iterdir()
    told = json.loads((folder / "_manifest.json").read_text())["attributes"]["speech_s"]
    seconds: dict[str, list[float]] = {}
    rates = set()
    for part in sorted(folder.glob("*.parquet")):
        rows = pq.read_table(part).to_pylist()
        seconds[part.stem] = [row["num_samples"] / row["sample_rate_hz"] for row in rows]
        rates |= {row["sample_rate_hz"] for row in rows}
    assert len(rates) > 1
    assert told == {
        name: pytest.approx(math.fsum(values), rel=1e-12) for name, values in seconds.items()
    }


def test_recordings_in_a_relative_output_are_refused(
    small: SpeechWorld, mining: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clips that an earlier `mining cut` wrote there would be mined as recordings."""
    monkeypatch.chdir(small.folder)
    small.change(output="mined")
    assert mining("prepare", "--config", small.config).code == 0
    (small.folder / "mined/clips").mkdir()
    shutil.copy(small.audio / "eng/kitchen.wav", small.folder / "mined/clips/a.wav")
    small.change_corpus(
        "talks", format="audio", uri="mined/clips/*.wav", lang="eng", columns=None, audio_root=None
    )
    refused(mining("prepare", "--config", small.config), 2, "this run writes it")
