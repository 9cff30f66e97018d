"""A recording that crashes its decoder or a model: the rest is done, and all of it when it can be."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from beam_jobs.stages.attempts import TOGETHER
from beam_jobs.stages.reading import ReadingStage
from tests.end_to_end.conftest import Outcome, World, pairs_digest
from tests.end_to_end.hearing_world import let_hear, save_dual, save_kmeans
from tests.end_to_end.speech_world import SpeechWorld
from tests.end_to_end.test_run import command
from tests.end_to_end.test_work import manifests, receipts

Cli = Callable[..., Outcome]
BAD = "deu/harbour.opus"
# Read by every Python that finds it: a decoder that reads where nothing is, or a network that does so
# when it computes something of the recording, whatever else is in its batch.
CRASH = """
import ctypes, os, soundfile
seen = []

class Crashing(soundfile.SoundFile):
    def __init__(self, file, *args, **kwargs):
        name = os.readlink(f"/proc/self/fd/{file}") if isinstance(file, int) else str(file)
        if name.endswith(os.environ["CRASH_AT"]):
            seen.append(name)
            if os.environ["CRASH_IN"] == "decoder":
                ctypes.string_at(8)
        super().__init__(file, *args, **kwargs)

soundfile.SoundFile = Crashing

if os.environ["CRASH_IN"] == "model":
    import torch
    call = torch.nn.Module.__call__

    def crashing(self, *args, **kwargs):
        if seen:
            ctypes.string_at(8)
        return call(self, *args, **kwargs)

    torch.nn.Module.__call__ = crashing
"""

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")


@pytest.fixture
def spoken(speech: SpeechWorld) -> SpeechWorld:
    """Three recordings, which are one unit."""
    speech.speak_only([(name, name[:3]) for name in ("eng/harbour.flac", BAD, "deu/kitchen.mp3")])
    speech.change(
        tasks={"st": speech.settings["tasks"]["st"]}, partitions=1, execution={"tries": 2}
    )
    speech.change_corpus("talks", speech={"max_joined": 1})
    return speech


def crash(world: World, output: Path, stage: str, inside: str) -> int:
    """A stage in a process of its own that crashes at one file; returns its exit code."""
    hook = world.folder / "hook"
    hook.mkdir(exist_ok=True)
    (hook / "sitecustomize.py").write_text(CRASH)
    done = subprocess.run(
        command("work", stage, "--config", world.config, "--output", output),
        capture_output=True, text=True, check=False,
        env={
            **os.environ, "PYTHONPATH": f"{hook}{os.pathsep}{os.getcwd()}", "CRASH_AT": BAD,
            "CRASH_IN": inside,
        },
    )  # fmt: skip
    return done.returncode


@pytest.mark.usefixtures("no_beam")
def test_the_rest_is_done_and_all_of_it_later(spoken: SpeechWorld, mining: Cli) -> None:
    assert mining("run", "--config", spoken.config).code == 0
    output = spoken.folder / "crashed"
    for _ in range(2):
        assert crash(spoken, output, "prepare", "decoder") == -signal.SIGSEGV
    partial = mining("run", "--config", spoken.config, "--output", output)
    assert partial.code == 3
    (line,) = [line for line in partial.err.splitlines() if line.startswith("error: ")]
    assert f"corpora.talks: must be read whole, but processes died at {BAD}: left out" in line
    assert "task" in partial.out  # the pairs of all others
    assert pairs_digest(output) != spoken.digest()
    (prepared,) = [
        value
        for path in (output / "segments/talks").glob("*/_manifest.json")
        if "speech_s" in (value := json.loads(path.read_text()))["attributes"]
    ]
    assert list(prepared["attributes"]["incomplete"].values()) == [[BAD]]
    assert prepared["counters"]["rows_in"] == 2
    assert "incomplete: talks" in mining("status", output).out
    again = mining("prepare", "--config", spoken.config, "--output", output)
    assert (again.code, "prepare: already done" in again.err) == (3, True)

    (note,) = output.glob("_state/prepare/talks/*/begun/*.json")
    assert str(note) in line
    note.unlink()
    assert mining("run", "--config", spoken.config, "--output", output).code == 0
    assert pairs_digest(output) == spoken.digest()
    found = manifests(output)
    assert all(found[path] == data for path, data in manifests(spoken.output).items())
    assert not list(output.glob("_state/prepare/talks/*/spill/*"))


@pytest.fixture(scope="session")
def ears(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ears")
    return save_dual(folder / "model", save_kmeans(folder / "units"))


@pytest.mark.usefixtures("no_beam")
@pytest.mark.parametrize("stage", ["transcribe", "tokenize"])
def test_what_a_model_dies_of_is_left_out_of_its_stage(
    spoken: SpeechWorld, ears: Path, mining: Cli, stage: str
) -> None:
    """Clips of several recordings are computed together: which of them it is must be found out."""
    if stage == "tokenize":
        let_hear(spoken, ears)
    assert mining("run", "--config", spoken.config).code == 0
    output = spoken.folder / "crashed"
    options = ("--config", spoken.config, "--output", output)
    assert mining("prepare", *options).code == 0
    for _ in range(2):
        assert crash(spoken, output, stage, "model") == -signal.SIGSEGV
    partial = mining("work", "all", *options)
    assert partial.code == 3
    (line,) = [line for line in partial.err.splitlines() if line.startswith("error: ")]
    assert f"must be read whole by {stage}, but processes died at {BAD}: left out" in line
    assert "incomplete: talks" in mining("status", output).out
    again = mining("run", *options)
    assert (again.code, "pairs: already done" in again.err) == (3, True)
    assert line in again.err

    lost = {
        (row["row_id"], row["reason"], row["detail"])
        for path in (output / "rejects").rglob("*.parquet")
        for row in pq.read_table(path).to_pylist()
        if row["reason"] == "left_out"
    }
    segments = spoken.table("segments", "talks").select(["segment_id", "source_uri"]).to_pylist()
    assert lost == {
        (row["segment_id"], "left_out", f"processes died at {BAD}")
        for row in segments
        if row["source_uri"] == BAD
    }
    assert lost
    uris = set(pq.read_table(output / "pairs/st")["src_uri"].to_pylist())
    assert uris == set(spoken.table("pairs", "st")["src_uri"].to_pylist()) - {BAD}

    (note,) = output.glob(f"_state/{stage}/talks/*/begun/*.json")
    assert str(note) in line
    note.unlink()
    assert mining("run", *options).code == 0
    assert pairs_digest(output) == spoken.digest()
    found = manifests(output)
    assert all(found[path] == data for path, data in manifests(spoken.output).items())


def test_what_lacks_a_recording_is_not_taken_over_into_a_larger_corpus(
    spoken: SpeechWorld, mining: Cli
) -> None:
    spoken.change(partitions=5)
    assert mining("run", "--config", spoken.config).code == 0
    (recording,) = {
        row["recording_id"]
        for row in spoken.table("segments", "talks").to_pylist()
        if row["source_uri"] == BAD
    }
    (unit,) = (
        path
        for path in (spoken.output / "transcripts/talks").rglob("*.parquet")
        if recording in pq.read_table(path)["recording_id"].to_pylist()
    )
    shutil.rmtree(spoken.output)
    assert mining("prepare", "--config", spoken.config).code == 0
    home = spoken.output / "_state/transcribe/talks" / unit.parent.name
    note = home / "begun" / f"{unit.stem}.json"
    note.parent.mkdir(parents=True)
    together = [["elsewhere 1 1", file] for file in ("", TOGETHER, TOGETHER)]
    note.write_text(json.dumps({"attempts": together, "left_out": {}}))
    stuck = mining("run", "--config", spoken.config)
    (line,) = [line for line in stuck.err.splitlines() if line.startswith("error: ")]
    assert (stuck.code, str(note) in line, "lower recogniser.batch_clips" in line) == (
        4,
        True,
        True,
    )
    note.write_text(json.dumps({"attempts": [["elsewhere 1 1", BAD]] * 2, "left_out": {}}))
    partial = mining("run", "--config", spoken.config)
    assert (partial.code, BAD in partial.err) == (3, True)

    names = ("eng/harbour.flac", BAD, "deu/kitchen.mp3", "eng/kitchen.wav")
    spoken.speak_only([(name, name[:3]) for name in names])
    larger = mining("run", "--config", spoken.config)
    assert larger.code == 0, larger.err
    assert "transcribe: talks: 3 of 5 parts are those of an earlier run" in larger.err
    other = spoken.folder / "other"
    assert mining("run", "--config", spoken.config, "--output", other).code == 0
    assert pairs_digest(other) == spoken.digest()


def leave_out(world: World, mining: Cli) -> Path:
    """A run without one of the text files, for which three processes died; returns the note of it."""
    (home,) = (world.output / "_state/prepare/texts").iterdir()
    shutil.rmtree(world.output)
    note = home / "begun" / "file-000001.json"
    note.parent.mkdir(parents=True)
    deaths = [["elsewhere 1 1", "texts-1.tsv"]] * 3
    note.write_text(json.dumps({"attempts": deaths, "left_out": {}}))
    shutil.copy(world.config, world.output / "config.resolved.yaml")
    partial = mining("run", "--config", world.config)
    assert partial.code == 3
    assert "processes died at texts-1.tsv: left out" in partial.err
    return note


@pytest.mark.usefixtures("no_beam")
@pytest.mark.parametrize("how", ["removed", "raised"])
def test_a_text_file_is_left_out_likewise(world: World, mining: Cli, how: str) -> None:
    assert mining("run", "--config", world.config).code == 0
    digest, whole = world.digest(), manifests(world.output)
    note = leave_out(world, mining)
    assert world.digest() != digest
    setting: tuple[str, ...] = ()
    if how == "removed":
        note.unlink()
    else:
        setting = ("--set", "execution.tries=4")
    assert mining("run", "--config", world.config, *setting).code == 0
    assert world.digest() == digest
    assert all(manifests(world.output)[path] == data for path, data in whole.items())
    assert not note.exists()


@pytest.mark.usefixtures("no_beam")
def test_what_a_faster_worker_began_anew_is_kept(
    world: World, mining: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert mining("run", "--config", world.config).code == 0
    digest = world.digest()
    leave_out(world, mining).unlink()
    options = ("--config", world.config, "--set", "execution.threads=1")
    done, others = ReadingStage.done, list[dict[Path, int]]()

    def slow(stage: ReadingStage, phase: str) -> set[str]:
        found = done(stage, phase)
        if (
            not others
        ):  # the file is to be read again; meanwhile another reads it, and all that follows
            assert found == {"file-000000", "file-000002"}
            subprocess.run(
                command("work", "prepare", *options), check=True, capture_output=True,
                env={**os.environ, "PYTHONPATH": os.getcwd()},
            )  # fmt: skip
            others.append(receipts(world.output))
        return found

    monkeypatch.setattr(ReadingStage, "done", slow)
    assert mining("work", "prepare", *options).code == 0
    assert receipts(world.output) == others[0]
    monkeypatch.undo()
    assert mining("run", "--config", world.config).code == 0
    assert world.digest() == digest
