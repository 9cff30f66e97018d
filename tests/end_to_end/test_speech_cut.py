"""``mining cut``: the clips of mined pairs are what was mined, sample by sample."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.end_to_end.conftest import Outcome
from tests.end_to_end.speech_world import SpeechWorld
from tests.end_to_end.test_bad_input import refused
from tests.end_to_end.test_speech_run import mined

Cli = Callable[..., Outcome]

pytestmark = pytest.mark.usefixtures("no_beam")


@pytest.fixture
def pairs(speech: SpeechWorld, mining: Cli) -> Path:
    """Folder of mined pairs of speech with text, and beside it those of speech with speech."""
    mined(speech, mining)
    return speech.output / "pairs" / "st"


def index(folder: Path) -> list[dict[str, str]]:
    with (folder / "clips.tsv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))


def samples_of(path: Path) -> tuple[NDArray[np.int16], int]:
    import soundfile

    data, rate_hz = soundfile.read(path, dtype="int16", always_2d=True)
    return data, rate_hz


def exact(world: SpeechWorld, row: dict[str, str], clip: Path) -> None:
    """A clip of a WAV or FLAC recording is the recording's samples; the mean of two channels."""
    whole, rate_hz = samples_of(world.audio / row["source_uri"])
    found, clip_rate_hz = samples_of(clip)
    assert (clip_rate_hz, found.shape[1]) == (rate_hz, 1)
    start, end = (round(float(row[name]) * rate_hz) for name in ("start_s", "end_s"))
    wanted = whole[start:end].astype(np.float64).mean(axis=1)
    if whole.shape[1] == 1:
        np.testing.assert_array_equal(found[:, 0], wanted)
    else:  # the mean of two may lie between two integers
        np.testing.assert_allclose(found[:, 0], wanted, atol=0.5)


@pytest.mark.parametrize("container", ["flac", "wav"])
def test_clips_are_the_recordings_samples(
    speech: SpeechWorld, mining: Cli, pairs: Path, container: str
) -> None:
    to = speech.folder / "clips"
    done = mining("cut", pairs, "--to", to, "--format", container)
    assert done.code == 0, done.err
    rows = index(to)
    mined_pairs = {row["pair_id"]: row for row in speech.table("pairs", "st").to_pylist()}
    assert {row["pair_id"] for row in rows} == set(mined_pairs)
    assert {row["source_uri"].rpartition(".")[2] for row in rows} == {"wav", "flac", "mp3", "opus"}
    for row in rows:
        pair: dict[str, Any] = mined_pairs[row["pair_id"]]
        assert row["side"] == "source"
        assert (row["segment_id"], row["lang"]) == (pair["src_segment_id"], pair["src_lang"])
        assert row["text"] == pair["src_text"]
        assert float(row["start_s"]) == pytest.approx(pair["src_start_s"], abs=1e-9)
        assert row["clip"] == f"{row['segment_id']}.{container}"
        if row["source_uri"].endswith((".wav", ".flac")):
            exact(speech, row, to / row["clip"])
    assert {path.name for path in to.iterdir()} == {row["clip"] for row in rows} | {"clips.tsv"}

    before = {path: path.stat().st_mtime_ns for path in to.glob(f"*.{container}")}
    table = (to / "clips.tsv").read_bytes()
    again = mining("cut", pairs, "--to", to, "--format", container)
    assert again.code == 0
    assert again.out.startswith(f"0 clips cut, {len(before)} were there already")
    assert {path: path.stat().st_mtime_ns for path in to.glob(f"*.{container}")} == before
    assert (to / "clips.tsv").read_bytes() == table


def test_either_side_may_be_cut(speech: SpeechWorld, mining: Cli, pairs: Path) -> None:
    to, both = speech.folder / "one", pairs.parent / "ss"
    for side in ("source", "target", "both"):
        assert mining("cut", both, "--to", to / side, "--side", side).code == 0
    found = {side: index(to / side) for side in ("source", "target", "both")}
    assert {row["side"] for row in found["target"]} == {"target"}
    assert {row["lang"] for row in found["source"]} == {"deu"}
    assert {row["lang"] for row in found["target"]} == {"eng"}
    assert len(found["both"]) == len(found["source"]) + len(found["target"])
    refused(mining("cut", pairs, "--to", to / "none", "--side", "target"), 3, "must have speech")
    refused(mining("cut", pairs.parent / "tt", "--to", to / "none"), 3, "must have speech")


def test_what_is_missing_does_not_keep_the_others(
    speech: SpeechWorld, mining: Cli, pairs: Path
) -> None:
    to = speech.folder / "clips"
    gone, kept = speech.audio / "deu" / "kitchen.mp3", speech.folder / "kitchen.mp3"
    gone.rename(kept)
    failed = mining("cut", pairs, "--to", to)
    refused(failed, 3, "clips of 1 recordings are not cut")
    assert "deu/kitchen.mp3" in failed.err
    cut = {row["source_uri"] for row in index(to) if row["clip"]}
    assert cut == {"eng/kitchen.wav", "eng/harbour.flac", "deu/harbour.opus"}
    kept.rename(gone)
    done = mining("cut", pairs, "--to", to)
    assert done.code == 0, done.err
    assert all((to / row["clip"]).is_file() for row in index(to))


def test_recordings_may_have_moved(speech: SpeechWorld, mining: Cli, pairs: Path) -> None:
    moved, to = speech.folder / "moved", speech.folder / "clips"
    speech.audio.rename(moved)
    refused(mining("cut", pairs, "--to", to), 3, "--audio")
    done = mining("cut", pairs, "--to", to, "--audio", moved)
    assert done.code == 0, done.err
    assert all((to / row["clip"]).is_file() for row in index(to))


def test_what_is_no_folder_of_pairs(speech: SpeechWorld, mining: Cli, pairs: Path) -> None:
    to = speech.folder / "clips"
    refused(mining("cut", speech.folder / "none", "--to", to), 2, "--audio")
    refused(mining("cut", speech.output / "none", "--to", to), 3, "must be a Parquet file")
    refused(mining("cut", speech.output / "segments" / "talks", "--to", to), 3, "must hold pairs")
    assert mining("cut", pairs).code == 2
    assert not (to / "clips.tsv").exists()
