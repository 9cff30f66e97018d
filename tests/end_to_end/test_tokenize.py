"""A spoken corpus whose encoder hears: from recordings to pairs, and no transcript in between."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from mining.contract.schemas import AUDIO_FRAMES, PAIR, SEGMENT, checked
from tests.end_to_end.conftest import Outcome, pairs_digest
from tests.end_to_end.hearing_world import let_hear, save_dual, save_kmeans, save_letters
from tests.end_to_end.speech_world import PIECES, SpeechWorld
from tests.end_to_end.test_bad_input import reasons, refused
from tests.end_to_end.test_run import command
from tests.end_to_end.test_speech_failure import killed_runs
from tests.end_to_end.test_speech_run import counters, mined, written

Cli = Callable[..., Outcome]
STAGES = {"prepare", "tokenize", "embed", "knn", "pairs"}


def worked(outcome: Outcome) -> set[str]:
    """Stages that had something to do, read off the progress lines."""
    return STAGES - set(re.findall(r"(\w+): already done", outcome.err))


@pytest.fixture(scope="session")
def units(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_kmeans(tmp_path_factory.mktemp("tokenizers") / "units")


@pytest.fixture(scope="session")
def ears(tmp_path_factory: pytest.TempPathFactory, units: Path) -> Path:
    return save_dual(tmp_path_factory.mktemp("encoders") / "ears", units)


@pytest.fixture
def hearing(speech: SpeechWorld, ears: Path) -> SpeechWorld:
    return let_hear(speech, ears)


@pytest.fixture
def small(hearing: SpeechWorld) -> SpeechWorld:
    """One recording a language, speech against speech."""
    hearing.speak_only([("eng/kitchen.wav", "eng"), ("deu/harbour.opus", "deu")])
    hearing.change(partitions=1, tasks={"ss": hearing.settings["tasks"]["ss"]})
    hearing.change_corpus("talks", speech={"max_joined": 1})
    return hearing


def test_the_whole_run_and_what_is_done_again(hearing: SpeechWorld, mining: Cli) -> None:
    hearing.change(evaluate={"gold": str(hearing.folder / "gold.tsv")})
    first = mined(hearing, mining)
    assert worked(first) == STAGES
    assert re.search(r"tokenize: [\d.]+ minutes of audio in .* times real time", first.err)
    assert re.search(r"^talks: \d+ stretches of speech have \d+ frames of 40", first.out, re.M)
    assert re.search(r"embed: \d+ segments in .* a second, padding \d+ %", first.err)
    assert (
        len(re.findall(r"rows a second, padding \d+ %", mining("status", hearing.output).out)) == 2
    )
    assert re.search(
        r"tokens_computed \d+, .*tokens_needed \d+", mining("inspect", hearing.output).out
    )
    for task in ("ss", "st", "tt"):
        assert re.search(rf"^{task} +macro", first.out, re.MULTILINE), first.out
    digest = hearing.digest()
    second = mined(hearing, mining)
    assert "nothing to do" in second.err
    assert worked(second) == set()
    assert hearing.digest() == digest
    for folder in (hearing.output, hearing.output / "audio_frames/talks"):
        assert mining("inspect", folder).code == 0
    done = mining("calibrate", "--config", hearing.config, "--precision", "0.8")
    assert done.code == 0, done.err


@pytest.mark.usefixtures("no_beam")
def test_pairs_have_no_transcript_and_all_else(hearing: SpeechWorld, mining: Cli) -> None:
    mined(hearing, mining)
    assert not (hearing.output / "transcripts").exists()
    for kind, schema in {"audio_frames": AUDIO_FRAMES, "segments": SEGMENT, "pairs": PAIR}.items():
        parts = list((hearing.output / kind).rglob("*.parquet"))
        assert parts, kind
        for part in parts:
            checked(pq.ParquetFile(part).read(), schema, str(part))
    pairs, both = hearing.table("pairs", "st"), hearing.table("pairs", "ss")
    for table in (pairs, both):
        assert table["src_text"].null_count == len(table) > 0
        assert table["transcript_similarity"].null_count == len(table)
        assert set(table["src_uri"].to_pylist()) <= set(PIECES)
        assert table["src_start_s"].null_count == table["src_end_s"].null_count == 0
    assert pairs["tgt_text"].null_count == 0
    assert both["tgt_text"].null_count == len(both)
    assert both["duration_ratio"].null_count == 0
    found = counters(hearing, "pairs", "st")
    assert found["candidates"] == found["kept"] + found["rejected"]
    assert found["rejected.overlap"] > 0
    done = mining("cut", hearing.output / "pairs" / "ss", "--to", hearing.folder / "clips")
    assert done.code == 0, done.err
    assert any(path.stat().st_size > 1000 for path in (hearing.folder / "clips").rglob("*.flac"))


@pytest.mark.usefixtures("no_beam")
def test_each_region_has_its_frames_once(hearing: SpeechWorld, mining: Cli) -> None:
    mined(hearing, mining)
    regions, frames = hearing.table("regions", "talks"), hearing.table("audio_frames", "talks")
    keys = ["recording_id", "channel", "region"]
    order = [(key, "ascending") for key in keys]
    regions, frames = regions.sort_by(order), frames.sort_by(order)
    assert regions.select(keys).to_pylist() == frames.select(keys).to_pylist()
    seconds = pc.divide(regions["num_samples"].cast(pa.float64()), regions["sample_rate_hz"])
    sizes = pc.list_value_length(frames["frames"]).to_pylist()
    for size, duration_s in zip(sizes, seconds.to_pylist(), strict=True):
        assert size == pytest.approx(25 * duration_s, abs=1.5)
    found = counters(hearing, "audio_frames", "talks")
    assert found["regions"] == found["regions_tokenized"] == len(regions)
    assert found["frames"] == sum(sizes)
    assert len(set(pc.list_flatten(frames["frames"]).to_pylist())) > 5


@pytest.mark.usefixtures("no_beam")
def test_an_encoder_trained_anew_hears_nothing_again(
    hearing: SpeechWorld, mining: Cli, units: Path, tmp_path: Path
) -> None:
    mined(hearing, mining)
    kinds = ("segments", "regions", "audio_frames")
    before = {kind: written(hearing.output / kind) for kind in kinds}
    digest = hearing.digest()
    let_hear(hearing, save_dual(tmp_path / "again", units, seed=1))
    assert worked(mined(hearing, mining)) == STAGES - {"prepare", "tokenize"}
    assert {kind: written(hearing.output / kind) for kind in kinds} == before
    assert hearing.digest() != digest
    assert "nothing to do" in mining("tokenize", "--config", hearing.config).err
    other = save_kmeans(tmp_path / "other", seed=1)
    let_hear(hearing, save_dual(tmp_path / "other-ears", other))
    assert worked(mined(hearing, mining)) == STAGES - {"prepare"}
    assert written(hearing.output / "audio_frames").items() > before["audio_frames"].items()


@pytest.mark.usefixtures("no_beam")
def test_stages_one_by_one_equal_the_whole_run(small: SpeechWorld, mining: Cli) -> None:
    steps = small.folder / "steps"
    run = ("--config", small.config, "--output", steps)
    too_early = mining("tokenize", *run)
    assert (too_early.code, "run mining prepare" in too_early.err) == (3, True), too_early.err
    assert mining("prepare", *run).code == 0
    too_early = mining("embed", *run)
    assert (too_early.code, "run mining tokenize" in too_early.err) == (3, True), too_early.err
    for stage in ("transcribe", "tokenize", "embed", "knn", "pairs"):
        done = mining(stage, *run)
        assert done.code == 0, done.err
    mined(small, mining)
    assert pairs_digest(steps) == small.digest()


def test_scheduling_does_not_change_a_byte(small: SpeechWorld, mining: Cli) -> None:
    small.change(partitions=3)
    mined(small, mining)
    for setting in ("shards=1", "shards=3", "shards=16"):
        other = small.folder / setting
        mined(small, mining, "--output", other, "--set", f"execution.{setting}")
        assert pairs_digest(other) == small.digest(), setting


@pytest.mark.slow
def test_two_worker_processes_write_the_same_bytes(small: SpeechWorld, mining: Cli) -> None:
    mined(small, mining)
    other = small.folder / "other"
    two = ("--", "--direct_running_mode=multi_processing", "--direct_num_workers=2")
    assert mining("prepare", "--config", small.config, "--output", other).code == 0
    for stage in ("tokenize", "embed"):
        done = subprocess.run(
            command(stage, "--config", small.config, "--output", other, *two),
            capture_output=True, text=True, timeout=300, check=False,
            env={**os.environ, "PYTHONPATH": os.getcwd()},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert worked(mined(small, mining, "--output", other)) == {"knn", "pairs"}
    assert pairs_digest(other) == small.digest()


@pytest.mark.usefixtures("no_beam")  # but not in the process that is killed
def test_kill_9_among_the_frames(hearing: SpeechWorld, mining: Cli) -> None:
    hearing.change(tasks={"ss": hearing.settings["tasks"]["ss"]})
    mined(hearing, mining)
    output = hearing.folder / "killed"
    process = subprocess.Popen(
        command("run", "--config", hearing.config, "--output", output),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )  # fmt: skip
    frames = output / "audio_frames"
    while not any(frames.rglob("*.parquet")) and process.poll() is None:
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert any(frames.rglob("*.parquet"))
    assert not (output / "pairs/ss/_manifest.json").exists()
    done = mined(hearing, mining, "--output", output)
    assert worked(done) >= {"embed", "knn", "pairs"}
    assert pairs_digest(output) == hearing.digest()


@pytest.mark.slow
@pytest.mark.usefixtures("no_beam")
def test_kill_9_at_six_moments(small: SpeechWorld, mining: Cli) -> None:
    killed_runs(small, mining, kills=6)


# Which corpora are transcribed


@pytest.mark.parametrize("of", ["the run", "the corpus"])
@pytest.mark.usefixtures("no_beam")
def test_a_recogniser_is_put_before_an_encoder_that_hears(
    small: SpeechWorld, mining: Cli, tiny_ctc: Path, of: str
) -> None:
    mined(small, mining)
    told = {"path": str(tiny_ctc)}
    if of == "the run":
        small.change(recogniser=told)
    else:
        small.change_corpus("talks", recogniser=told)
    done = mined(small, mining)
    assert "tokenize" not in done.err
    assert "transcribe" in done.err
    pairs = small.table("pairs", "ss")
    assert pairs["src_text"].null_count == 0 < len(pairs)


@pytest.mark.usefixtures("no_beam")
def test_an_encoder_that_hears_tells_no_language(small: SpeechWorld, mining: Cli) -> None:
    small.change_corpus("talks", lang={"recognised": True})
    refused(mining("run", "--config", small.config), 2, "corpora.talks.lang", "must be given")
    assert not (small.output / "segments").exists()


# What goes wrong


@pytest.mark.usefixtures("no_beam")
def test_speech_without_a_token_has_no_embedding(
    small: SpeechWorld, mining: Cli, tiny_ctc: Path, tmp_path: Path
) -> None:
    from safetensors.numpy import load_file, save_file

    deaf = tmp_path / "deaf"
    shutil.copytree(tiny_ctc, deaf)
    weights = load_file(deaf / "model.safetensors")
    weights["lm_head.bias"][0] = 1e4  # the blank
    save_file(weights, deaf / "model.safetensors", metadata={"format": "pt"})
    let_hear(small, save_dual(tmp_path / "ears", save_letters(tmp_path / "letters", deaf)))
    failed = mining("run", "--config", small.config)
    refused(failed, 3, "corpora.talks", "must have embeddings", "rejected.no_embedding")
    assert reasons(small, "embed") == {"no_embedding": len(small.table("segments", "talks"))}
    (why,) = set(small.table("rejects", "embed", "talks")["detail"].to_pylist())
    assert "audio token" in why, why


@pytest.mark.usefixtures("no_beam")
def test_letters_are_heard_too(
    small: SpeechWorld, mining: Cli, tiny_ctc: Path, tmp_path: Path
) -> None:
    let_hear(small, save_dual(tmp_path / "ears", save_letters(tmp_path / "letters", tiny_ctc)))
    mined(small, mining)
    assert len(small.table("pairs", "ss")) > 0


@pytest.mark.usefixtures("no_beam")
@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("centroids.safetensors", b"cut short"),
        ("tokenizer.json", b"{"),
        ("tokenizer.json", b'{"schema": 9, "kind": "kmeans"}'),
        ("centroids.safetensors", None),
    ],
)
def test_a_spoilt_tokenizer_is_one_line(
    small: SpeechWorld, mining: Cli, ears: Path, tmp_path: Path, name: str, data: bytes | None
) -> None:
    spoilt = tmp_path / "spoilt"
    shutil.copytree(ears, spoilt)
    file = spoilt / "audio_tokenizer" / name
    file.unlink()
    if data is not None:
        file.write_bytes(data)
    let_hear(small, spoilt)
    failed = mining("run", "--config", small.config)
    refused(failed, 3, "audio_tokenizer")
    assert len(failed.err.strip().splitlines()) == 1, failed.err
    assert not (small.output / "segments").exists()


@pytest.mark.usefixtures("no_beam")
def test_a_gpu_that_is_not_there(small: SpeechWorld, mining: Cli) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    cuda = ("--set", "execution.device=cuda")
    refused(mining("run", "--config", small.config, *cuda), 4, "device cuda", "a GPU")
    assert not (small.output / "segments").exists()
