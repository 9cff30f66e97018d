"""A spoken corpus as a user sees it: what a run writes, what it does again, and what changes no byte."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from mining.contract.schemas import (
    OCCURRENCE,
    PAIR,
    REGION,
    REJECT,
    REJECT_REASONS,
    SEGMENT,
    TRANSCRIPT,
    checked,
)
from tests.end_to_end.conftest import Outcome, World, pairs_digest
from tests.end_to_end.speech_world import COPY, PIECES, TWICE, SpeechWorld
from tests.end_to_end.test_run import command

Cli = Callable[..., Outcome]
STAGES = {"prepare", "transcribe", "embed", "knn", "pairs"}


def worked(outcome: Outcome) -> set[str]:
    """Stages that had something to do, read off the progress lines."""
    return STAGES - set(re.findall(r"(\w+): already done", outcome.err))


def mined(world: World, mining: Cli, *arguments: str | Path) -> Outcome:
    done = mining("run", "--config", world.config, *arguments)
    assert done.code == 0, done.err
    assert "Traceback" not in done.err
    return done


def counters(world: SpeechWorld, *names: str) -> dict[str, int]:
    """Counters of the only dataset in a folder of the output."""
    (manifest,) = world.output.joinpath(*names).rglob("_manifest.json")
    found: dict[str, int] = json.loads(manifest.read_text())["counters"]
    return found


def written(folder: Path) -> dict[str, int]:
    """Every file below a folder and when it was written."""
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_the_whole_run_and_what_is_done_again(speech: SpeechWorld, mining: Cli) -> None:
    speech.change(evaluate={"gold": str(speech.folder / "gold.tsv")})
    first = mined(speech, mining)
    assert worked(first) == STAGES
    for task in ("ss", "st", "tt"):
        assert re.search(rf"^{task} +macro", first.out, re.MULTILINE), first.out
    digest = speech.digest()

    second = mined(speech, mining)
    assert "nothing to do" in second.err
    assert worked(second) == set()
    assert speech.digest() == digest

    stricter = mined(speech, mining, "--set", "mining.threshold=1.01")
    assert worked(stricter) == {"pairs"}
    assert speech.digest() != digest
    assert worked(mined(speech, mining)) == {"pairs"}
    assert speech.digest() == digest


@pytest.mark.usefixtures("no_beam")
def test_every_table_has_its_schema_and_speech_its_columns(
    speech: SpeechWorld, mining: Cli
) -> None:
    mined(speech, mining)
    kinds = {
        "segments": SEGMENT, "regions": REGION, "transcripts": TRANSCRIPT, "rejects": REJECT,
        "occurrences": OCCURRENCE, "pairs": PAIR,
    }  # fmt: skip
    for kind, schema in kinds.items():
        parts = list((speech.output / kind).rglob("*.parquet"))
        assert parts, kind
        for part in parts:
            checked(pq.ParquetFile(part).read(), schema, str(part))
    assert len(list((speech.output / "segments/talks").iterdir())) == 2  # before, after
    pairs = speech.table("pairs", "st")
    assert set(pairs["src_modality"].to_pylist()) == {"speech"}
    assert set(pairs["tgt_modality"].to_pylist()) == {"text"}
    assert set(pairs["src_uri"].to_pylist()) <= set(PIECES)
    assert set(pairs["src_doc_id"].to_pylist()) <= set(PIECES)
    lengths = pc.subtract(pairs["src_end_s"], pairs["src_start_s"])
    assert pc.min(lengths).as_py() >= 1
    assert pc.max(lengths).as_py() <= 20
    assert pairs["src_text"].null_count == pairs["tgt_start_s"].null_count - len(pairs) == 0
    said = pairs.filter(pc.equal(pairs["src_lang"], pairs["tgt_lang"]))
    assert said["transcript_similarity"].null_count == 0
    across = pairs.filter(pc.not_equal(pairs["src_lang"], pairs["tgt_lang"]))
    assert across["transcript_similarity"].null_count == len(across) > 0
    both = speech.table("pairs", "ss")
    assert both["duration_ratio"].null_count == 0 == both["tgt_text"].null_count


@pytest.mark.usefixtures("no_beam")
def test_what_is_spoken_in_two_files_or_listed_twice_is_one(
    speech: SpeechWorld, mining: Cli
) -> None:
    mined(speech, mining)
    segments = {row["segment_id"]: row for row in speech.table("segments", "talks").to_pylist()}
    assert {row["source_uri"] for row in segments.values()} == set(PIECES)
    for row in segments.values():
        assert row["occurrences"] == 1 + (row["source_uri"] in (COPY[0], TWICE))
    places = {
        (segments[row["segment_id"]]["source_uri"], row["source_uri"], row["row"])
        for row in speech.table("occurrences", "talks").to_pylist()
    }
    assert {(COPY[0], COPY[0], 0), (COPY[0], COPY[1], 4), (TWICE, TWICE, 2), (TWICE, TWICE, 5)} <= (
        places
    )


@pytest.mark.usefixtures("no_beam")
def test_rows_in_are_kept_or_rejected_with_a_reason(speech: SpeechWorld, mining: Cli) -> None:
    (speech.audio / "deu/broken.wav").write_bytes(b"RIFF, or nearly so")
    with (speech.folder / "list.tsv").open("a") as stream:
        stream.write(
            "deu/none.wav\tdeu\ta\n"
            "deu/broken.wav\tdeu\tb\n"
            "deu/kitchen.mp3\tqqqq\tc\n"
            "\tdeu\td\n"
            "deu/kitchen.mp3\tdeu\n"
            "eng/kitchen.wav\teng\teng/harbour.flac\n"  # that id is another file's
            "eng/kitchen.wav\tdeu\te\n"  # that recording is in English
        )
    mined(speech, mining)
    refused = speech.table("rejects", "prepare", "talks").to_pylist()
    assert {(row["row_id"], row["reason"]) for row in refused} >= {
        ("list.tsv#6", "missing_audio"), ("deu/broken.wav#7", "unreadable_audio"),
        ("list.tsv#8", "unknown_language"), ("list.tsv#9", "missing_value"),
        ("list.tsv#10", "ragged_row"), ("list.tsv#11", "duplicate_id"),
    }  # fmt: skip
    assert all(row["reason"] in REJECT_REASONS and row["detail"] for row in refused)
    for folder in (speech.output / "segments/talks").iterdir():
        found = json.loads((folder / "_manifest.json").read_text())["counters"]
        total = sum(n for name, n in found.items() if name.startswith("rejected."))
        stage = "transcribe" if "segments_in" in found else "prepare"
        assert len(speech.table("rejects", stage, "talks")) == total
        if stage == "transcribe":
            assert found["segments_in"] == found["kept"] + found["rejected"]
        else:
            assert found["rows_in"] == found["rows_accounted"] == 13
            assert found["candidates"] == found["occurrences"] + found["rejected_after_hearing"]
            assert found["rejected.duplicate_id"] == 2 + found["rejected_after_hearing"]
    for task in ("ss", "st"):
        found = counters(speech, "pairs", task)
        assert found["candidates"] == found["kept"] + found["rejected"]
        assert len(speech.table("rejects", "pairs", task)) == found["rejected"] > 0
        assert len(speech.table("pairs", task)) == found["kept"] > 0


@pytest.mark.usefixtures("no_beam")
def test_another_encoder_keeps_the_transcripts(
    speech: SpeechWorld, mining: Cli, tmp_path: Path
) -> None:
    from tests.unit.encoders.conftest import save_bert

    mined(speech, mining)
    kinds = ("segments", "regions", "transcripts", "occurrences")
    before = {kind: written(speech.output / kind) for kind in kinds}
    digest = speech.digest()
    done = mined(speech, mining, "--set", f"model.path={save_bert(tmp_path / 'bert')}")
    assert worked(done) == {"embed", "knn", "pairs"}
    assert {kind: written(speech.output / kind) for kind in kinds} == before
    assert speech.digest() != digest


@pytest.mark.usefixtures("no_beam")
def test_another_recogniser_keeps_what_was_heard(
    speech: SpeechWorld, mining: Cli, tiny_whisper: Path
) -> None:
    mined(speech, mining)
    before = written(speech.output / "regions"), written(speech.output / "transcripts")
    speech.change(recogniser={"path": str(tiny_whisper), "max_tokens": 6})
    done = mined(speech, mining)
    assert worked(done) == STAGES - {"prepare"}
    assert written(speech.output / "regions") == before[0]
    assert written(speech.output / "transcripts").items() > before[1].items()


@pytest.mark.usefixtures("no_beam")
def test_stages_one_by_one_equal_the_whole_run(speech: SpeechWorld, mining: Cli) -> None:
    speech.speak_only([("eng/kitchen.wav", "eng"), ("deu/harbour.opus", "deu")])
    speech.change(tasks={"st": {"source": "talks", "target": "texts", "langs": ["deu-eng"]}})
    steps = speech.folder / "steps"
    run = ("--config", speech.config, "--output", steps)
    too_early = mining("transcribe", *run)
    assert (too_early.code, "run mining prepare" in too_early.err) == (3, True)
    assert mining("prepare", *run).code == 0
    too_early = mining("embed", *run)
    assert (too_early.code, "run mining transcribe" in too_early.err) == (3, True), too_early.err
    for stage in ("transcribe", "embed", "knn", "pairs"):
        assert mining(stage, *run).code == 0
    mined(speech, mining)
    assert pairs_digest(steps) == speech.digest()


def test_scheduling_does_not_change_a_byte(speech: SpeechWorld, mining: Cli) -> None:
    speech.change(tasks={"ss": speech.settings["tasks"]["ss"]})
    speech.change_corpus("talks", speech={"max_joined": 1})
    mined(speech, mining)
    for setting in ("shards=1", "shards=3", "shards=16"):
        other = speech.folder / setting
        mined(speech, mining, "--output", other, "--set", f"execution.{setting}")
        assert pairs_digest(other) == speech.digest(), setting


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["prepare", "transcribe"])
def test_two_worker_processes_write_the_same_bytes(
    speech: SpeechWorld, mining: Cli, stage: str
) -> None:
    """In the stages that only speech has; the others are tried with texts."""
    speech.change(tasks={"ss": speech.settings["tasks"]["ss"]})
    mined(speech, mining)
    other = speech.folder / "other"
    two = ("--", "--direct_running_mode=multi_processing", "--direct_num_workers=2")
    before = ("prepare",) if stage == "transcribe" else ()
    for earlier in before:
        assert mining(earlier, "--config", speech.config, "--output", other).code == 0
    done = subprocess.run(
        command(stage, "--config", speech.config, "--output", other, *two),
        capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Xing" not in done.stderr  # a decoder's warning for every MP3 that is opened
    done_now = worked(mined(speech, mining, "--output", other))
    assert done_now == STAGES - {stage, *before}
    assert pairs_digest(other) == speech.digest()


@pytest.mark.usefixtures("no_beam")
def test_the_order_of_a_list_and_the_partitions_change_no_pair(
    speech: SpeechWorld, mining: Cli
) -> None:
    speech.change(tasks={"st": speech.settings["tasks"]["st"]})
    mined(speech, mining)
    path = speech.folder / "list.tsv"
    header, *rows = path.read_text().splitlines()
    for number, order in enumerate((rows[::-1], rows[2:] + rows[:2])):
        path.write_text("\n".join([header, *order]) + "\n")
        other = speech.folder / f"other-{number}"
        mined(speech, mining, "--output", other)
        assert pairs_digest(other) == speech.digest()
    other = speech.folder / "parts"
    mined(speech, mining, "--output", other, "--set", "partitions=5")
    assert of_pairs(other) == of_pairs(speech.output)


def of_pairs(output: Path) -> list[dict[str, object]]:
    """All pairs without the run that made them."""
    table = pa.concat_tables(
        [pq.read_table(path) for path in sorted((output / "pairs").rglob("*.parquet"))]
    )
    rows: list[dict[str, object]] = table.drop_columns(["run_id"]).to_pylist()
    return rows


@pytest.mark.usefixtures("no_beam")
def test_recordings_may_lie_anywhere(speech: SpeechWorld, mining: Cli) -> None:
    speech.change(tasks={"st": speech.settings["tasks"]["st"]})
    mined(speech, mining)
    moved = speech.folder / "elsewhere" / "sound [1]"
    moved.parent.mkdir()
    shutil.move(speech.audio, moved)
    speech.change_corpus("talks", audio_root=str(moved))
    other = speech.folder / "other"
    mined(speech, mining, "--output", other)
    assert pairs_digest(other) == speech.digest()
    speech.change_corpus("talks", audio_root=None)
    for path in moved.iterdir():
        shutil.move(path, speech.folder / path.name)
    beside = speech.folder / "beside"  # relative to the list's own folder
    mined(speech, mining, "--output", beside)
    assert pairs_digest(beside) == speech.digest()


@pytest.mark.usefixtures("no_beam")
def test_channels_may_be_mixed_chosen_or_taken_one_by_one(speech: SpeechWorld, mining: Cli) -> None:
    speech.speak_only([("eng/harbour.flac", "eng"), ("deu/kitchen.mp3", "deu")])
    speech.change(tasks={"st": speech.settings["tasks"]["st"]})
    found = {}
    for channel in ("mix", "each", 0, 1):
        speech.change_corpus("talks", speech={"channel": channel, "max_joined": 2})
        output = speech.folder / f"channel-{channel}"
        mined(speech, mining, "--output", output)
        world = SpeechWorld(speech.folder, speech.config, output, speech.audio)
        rows = world.table("segments", "talks").to_pylist()
        ids = {row["segment_id"] for row in rows}
        found[channel] = {(row["lang"], row["channel"]) for row in rows}, ids
        in_pairs = set(world.table("pairs", "st")["src_channel"].to_pylist())
        assert in_pairs == {number for _, number in found[channel][0]}
    assert found["mix"][0] == {("eng", None), ("deu", None)}
    assert found["each"][0] == {("eng", 0), ("eng", 1), ("deu", 0)}
    assert found[0][0] == {("eng", 0), ("deu", 0)}
    assert found[1][0] == {("eng", 1)}
    assert found["each"][1] == found[0][1] | found[1][1]
    (refused,) = world.table("rejects", "prepare", "talks").to_pylist()
    assert refused["reason"] == "unreadable_audio"  # the German one has no second channel
    assert "channel" in refused["detail"]


@pytest.mark.usefixtures("no_beam")
def test_a_recording_may_be_one_segment(speech: SpeechWorld, mining: Cli) -> None:
    speech.change_corpus("talks", speech={"segment": "recording"})
    mined(speech, mining)
    rows = {row["source_uri"]: row for row in speech.table("segments", "talks").to_pylist()}
    assert set(rows) == set(PIECES)
    for name, (_, seconds) in PIECES.items():
        assert rows[name]["start_sample"] == 0
        assert rows[name]["duration_s"] == pytest.approx(seconds, abs=0.02)
        assert rows[name]["doc_id"] == name
    assert rows["eng/harbour.flac"]["num_samples"] == 16 * 48000
    assert len(speech.table("pairs", "st")) == 2 * len(PIECES)
