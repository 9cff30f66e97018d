from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest
import soundfile
from numpy.typing import NDArray

from encoders.train.data import frames as frames_module
from encoders.train.data import sound as sound_module
from encoders.train.data.frames import Clips, FramesCache
from mining.contract.speech import SPEECH_RATE_HZ, Samples


def clips(*rows: tuple[str, float, float | None]) -> pa.Table:
    columns = list(zip(*rows, strict=True))
    return pa.table(
        {
            "audio": pa.array(columns[0], pa.string()),
            "start_s": pa.array(columns[1], pa.float64()),
            "end_s": pa.array(columns[2], pa.float64()),
            "lang": pa.array(["eng"] * len(rows), pa.string()),
        }
    )


def units_of(clip: Samples) -> NDArray[np.int16]:
    hop = SPEECH_RATE_HZ // 50
    count = len(clip) // hop
    power = np.square(clip[: count * hop].astype(np.float64)).reshape(count, hop).mean(axis=1)
    return np.clip(64 + 10 * np.log10(power + 1e-6), 0, 63).astype(np.int16)


def same(first: Clips, second: Clips) -> bool:
    numbers = range(len(first.ids))
    return (
        first.ids == second.ids
        and first.faults == second.faults
        and all(np.array_equal(first.frames(n), second.frames(n)) for n in numbers)
    )


def quiet(line: str) -> None:
    pass


@pytest.fixture
def hear(tmp_path: Path, energy: Any) -> Callable[..., Clips]:
    def heard(table: pa.Table, max_s: float = 20.0, tokenizer: Any = energy) -> Clips:
        return FramesCache(tmp_path / "cache", tokenizer, quiet).hear("seed", table, max_s)

    return heard


def test_each_clip_has_the_units_of_its_own_sound(
    tmp_path: Path, hear: Callable[..., Clips], wav: Callable[..., Samples]
) -> None:
    sounds = [wav(f"{n}.wav", 0.5 + 0.37 * (n * 7 % 5), seed=n) for n in range(9)]
    found = hear(clips(*[(f"{tmp_path}/{n}.wav", 0.0, None) for n in range(9)]))
    assert not found.faults
    for number, sound in enumerate(sounds):
        assert np.array_equal(found.frames(number), units_of(sound))
        assert found.samples[number] == len(sound)


def test_spans_are_cut_out_of_their_recording(
    tmp_path: Path, hear: Callable[..., Clips], wav: Callable[..., Samples]
) -> None:
    sound = wav("talk.wav", 9.0)
    uri = f"{tmp_path}/talk.wav"
    spans = [(4.0, 6.5), (0.0, 1.0), (4.0, 5.0), (8.0, 9.05), (3.3, None)]
    found = hear(clips(*[(uri, start, end) for start, end in spans]))
    assert not found.faults
    for number, (start, end) in enumerate(spans):
        stop = None if end is None else round(end * SPEECH_RATE_HZ)
        assert np.array_equal(
            found.frames(number), units_of(sound[round(start * SPEECH_RATE_HZ) : stop])
        )


def test_a_long_recording_is_decoded_some_minutes_at_a_time(
    tmp_path: Path,
    hear: Callable[..., Clips],
    wav: Callable[..., Samples],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("encoders.train.data.sound._JOB_S", 2.0)
    sound = wav("talk.wav", 20.0)
    spans = [(f"{tmp_path}/talk.wav", 0.5 * n, 0.5 * n + 0.9) for n in range(38)]
    found = hear(clips(*spans))
    for number, (_, start, end) in enumerate(spans):
        part = sound[round(start * SPEECH_RATE_HZ) : round(end * SPEECH_RATE_HZ)]
        assert np.array_equal(found.frames(number), units_of(part))


def test_nothing_is_heard_twice(
    tmp_path: Path, hear: Callable[..., Clips], wav: Callable[..., Samples], energy: Any
) -> None:
    for n in range(6):
        wav(f"{n}.wav", 1.0 + 0.1 * n, seed=n)
    wav("copy/of_1.wav", 1.1, seed=1)  # the same bytes elsewhere
    table = clips(*[(f"{tmp_path}/{n}.wav", 0.0, None) for n in range(6)])
    with_copy = pa.concat_tables([table, clips((f"{tmp_path}/copy/of_1.wav", 0.0, None))])
    first = hear(with_copy)
    assert len(energy.heard) == 6
    assert first.ids[6] == first.ids[1]
    assert np.array_equal(first.frames(6), first.frames(1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sound_module, "open_audio", None)  # nor decoded
        assert same(first, hear(with_copy))
    hear(table.slice(2, 3), max_s=1.05)
    assert len(energy.heard) == 6
    energy.fingerprint = "another"  # other units
    hear(table)
    assert len(energy.heard) == 12


def test_a_file_with_other_bytes_is_another_clip(
    tmp_path: Path, hear: Callable[..., Clips], wav: Callable[..., Samples]
) -> None:
    table = clips((f"{tmp_path}/a.wav", 0.0, None))
    wav("a.wav", 1.0, seed=1)
    before = hear(table)
    sound = wav("a.wav", 1.0, seed=2)
    after = hear(table)
    assert before.ids != after.ids
    assert np.array_equal(after.frames(0), units_of(sound))


def test_what_cannot_be_used_says_why(
    tmp_path: Path, hear: Callable[..., Clips], wav: Callable[..., Samples], energy: Any
) -> None:
    wav("good.wav", 1.0)
    wav("long.wav", 3.0)
    wav("silent.wav", 1.0, gain=1e-4)
    wav("blip.wav", 0.015)
    (tmp_path / "text.wav").write_text("no sound at all")
    (tmp_path / "empty.wav").touch()
    wav("whole.wav", 1.0)
    (tmp_path / "cut.wav").write_bytes((tmp_path / "whole.wav").read_bytes()[:20000])
    bad = np.zeros(SPEECH_RATE_HZ, dtype=np.float32)
    bad[9000] = np.nan
    soundfile.write(tmp_path / "nan.wav", bad, SPEECH_RATE_HZ, subtype="FLOAT")
    names = ("good", "long", "silent", "blip", "text", "empty", "cut", "nan", "gone")
    rows = [(f"{tmp_path}/{name}.wav", 0.0, None) for name in names]
    found = hear(clips(*rows, (f"{tmp_path}/good.wav", 0.5, 2.0)), max_s=2.0)
    reasons = {number: reason for number, (reason, _) in found.faults.items()}
    assert reasons == {
        1: "too_long",
        2: "near_silent",
        3: "too_short",
        4: "unreadable_audio",
        5: "unreadable_audio",
        6: "truncated_audio",
        7: "unreadable_audio",
        8: "missing_audio",
        9: "truncated_audio",
    }
    assert len(found.frames(0)) == 50
    assert all("\n" not in detail and detail for _, detail in found.faults.values())
    assert max(energy.heard) <= 2 * SPEECH_RATE_HZ


def test_a_clip_that_was_too_long_is_heard_when_the_limit_is_raised(
    tmp_path: Path, hear: Callable[..., Clips], wav: Callable[..., Samples], energy: Any
) -> None:
    sound = wav("a.wav", 3.0)
    table = clips((f"{tmp_path}/a.wav", 0.0, None))
    assert hear(table, max_s=1.0).faults[0][0] == "too_long"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sound_module, "open_audio", None)  # it is not even decoded again
        for max_s in (1.0, 0.5):
            assert hear(table, max_s=max_s).faults[0][0] == "too_long"
    assert not energy.heard
    for _ in range(2):
        assert np.array_equal(hear(table, max_s=5.0).frames(0), units_of(sound))
    assert hear(table, max_s=2.0).faults[0][0] == "too_long"
    assert len(energy.heard) == 1


def test_the_tokenizer_is_never_given_more_than_it_takes(
    tmp_path: Path, hear: Callable[..., Clips], wav: Callable[..., Samples], energy: Any
) -> None:
    energy.max_clip_s = 1.0
    wav("a.wav", 1.5)
    assert hear(clips((f"{tmp_path}/a.wav", 0.0, None))).faults[0][0] == "too_long"
    assert not energy.heard


def test_batches_are_of_similar_length_and_within_a_budget(
    tmp_path: Path,
    hear: Callable[..., Clips],
    wav: Callable[..., Samples],
    energy: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(frames_module, "_BATCH_S", 4.0)
    sizes: list[list[int]] = []
    inner = energy.frames

    def watched(given: Sequence[Samples], langs: Sequence[str]) -> list[NDArray[np.int16]]:
        sizes.append([len(one) for one in given])
        found: list[NDArray[np.int16]] = inner(given)
        return found

    energy.frames = watched
    for n in range(12):
        wav(f"{n}.wav", 0.5 + (n * 5 % 12) * 0.2, seed=n)
    hear(clips(*[(f"{tmp_path}/{n}.wav", 0.0, None) for n in range(12)]))
    assert sum(map(len, sizes)) == 12
    assert all(len(batch) * max(batch) <= 4.0 * SPEECH_RATE_HZ for batch in sizes)
    flat = [size for batch in sizes for size in batch]
    assert flat == sorted(flat)


def test_a_damaged_part_is_heard_again(
    tmp_path: Path, hear: Callable[..., Clips], wav: Callable[..., Samples], energy: Any
) -> None:
    for n in range(3):
        wav(f"{n}.wav", 1.0, seed=n)
    table = clips(*[(f"{tmp_path}/{n}.wav", 0.0, None) for n in range(3)])
    first = hear(table)
    (part,) = (tmp_path / "cache").rglob("*.parquet")
    whole = part.read_bytes()
    part.write_bytes(whole[:100])
    assert same(first, hear(table))
    assert len(energy.heard) == 6
    assert part.read_bytes() == whole


KILLED = """
import os, signal, sys
sys.path[:0] = [{root!r}, {here!r}]
import conftest
from test_frames import clips, quiet
from encoders.train.data import frames
from pathlib import Path

frames._PART_CLIPS, frames._TOGETHER = 4, 2

class Dying(conftest.EnergyUnits):
    def frames(self, given, langs=None):
        if len(self.heard) >= {after}:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().frames(given)

table = clips(*[({folder!r} + f"/{{n}}.wav", 0.0, None) for n in range(20)])
frames.FramesCache(Path({folder!r}) / "cache", Dying(), quiet).hear("seed", table, 20.0)
"""


@pytest.mark.parametrize("after", [0, 9])
def test_a_killed_run_goes_on_where_it_stopped(
    tmp_path: Path,
    hear: Callable[..., Clips],
    wav: Callable[..., Samples],
    energy: Any,
    after: int,
) -> None:
    for n in range(20):
        wav(f"{n}.wav", 0.3, seed=n)
    here = Path(__file__).parent
    code = KILLED.format(
        root=str(here.parents[4]), here=str(here), after=after, folder=str(tmp_path)
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    kept = list((tmp_path / "cache").rglob("part-*.parquet"))
    assert len(kept) == after // 4
    found = hear(clips(*[(f"{tmp_path}/{n}.wav", 0.0, None) for n in range(20)]))
    assert len(energy.heard) == 20 - 4 * len(kept)
    assert not found.faults
    for n in range(20):
        sound, _ = soundfile.read(tmp_path / f"{n}.wav", dtype="float32")
        assert np.array_equal(found.frames(n), units_of(sound))


def test_one_that_asks_for_the_language_hears_a_clip_once_in_each(
    tmp_path: Path, wav: Callable[..., Samples], energy: Any
) -> None:
    class Told(type(energy)):  # type: ignore[misc]
        languages = ("deu", "fra")
        told: ClassVar[list[str]] = []

        def frames(self, given, langs=None):  # type: ignore[no-untyped-def]
            self.told += langs
            shift = {"deu": 1, "fra": 2}
            found = super().frames(given)
            return [one + shift.get(la, 0) for one, la in zip(found, langs, strict=True)]

    sound = wav("a.wav", 0.5)
    table = clips(*[(str(tmp_path / "a.wav"), 0.0, None)] * 3)
    table = table.set_column(3, "lang", pa.array(["fra", "ita", "deu"]))
    for _ in range(2):  # the second time all is known
        cache = FramesCache(tmp_path / "cache", Told(), lambda line: None)
        found = cache.hear("seed", table, 20.0)
        for number, shift in enumerate([2, 0, 1]):
            assert np.array_equal(found.frames(number), units_of(sound) + shift)
    assert sorted(Told.told) == ["", "deu", "fra"]
