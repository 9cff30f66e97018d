"""The detector hears what the package's own loop hears, however the sound comes."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mining.config.model import Speech
from mining.contract.errors import AudioError, CheckpointError
from mining.contract.speech import SPEECH_RATE_HZ, SpeechDetector
from mining.speech import detect
from mining.speech.detect import SileroDetector
from mining.speech.regions import speech_regions

ROOT = Path(__file__).parents[4]
REAL = Path(os.environ.get("MINING_REAL_DATA", ROOT.parent / "shared" / "data"))
# Sums in another order: 3.03e-5 was the largest difference on 48 minutes of real speech.
ROUNDING = 1e-4
FORMANTS_HZ = np.array([[730, 1090, 2440], [270, 2290, 3010], [300, 870, 2240], [660, 1720, 2410]])


@pytest.fixture(scope="module")
def detector() -> SileroDetector:
    return SileroDetector()


@pytest.fixture(scope="module")
def package() -> torch.jit.ScriptModule:
    from silero_vad import load_silero_vad

    return load_silero_vad()


@functools.cache
def voice(seconds: float, seed: int) -> NDArray[np.float32]:
    """Vowels that glide into each other under a falling pitch, with pauses: speech, now and then."""
    rng = np.random.default_rng(seed)
    sound: list[NDArray[np.float64]] = []
    while sum(map(len, sound)) < seconds * SPEECH_RATE_HZ:
        syllables = int(rng.integers(3, 14))
        at = np.linspace(0, syllables, int(syllables * 0.2 * SPEECH_RATE_HZ))
        targets = FORMANTS_HZ[rng.integers(0, len(FORMANTS_HZ), syllables + 1)]
        formants = [np.interp(at, np.arange(syllables + 1), targets[:, i]) for i in range(3)]
        pitch = np.linspace(rng.uniform(110, 160), 95, len(at)) * (1 + 0.04 * np.sin(2.3 * at))
        phase = 2 * np.pi * np.cumsum(pitch) / SPEECH_RATE_HZ
        phrase = np.zeros(len(at))
        for k in range(1, 36):
            parts = zip(formants, (1, 0.6, 0.3), (60, 80, 120), strict=True)
            gain = sum(w / (1 + ((k * pitch - f) / width) ** 2) for f, w, width in parts)
            phrase += gain / np.sqrt(k) * np.sin(k * phase)
        loudness = 0.2 + 0.8 * np.sqrt(np.abs(np.sin(np.pi * at)))
        pause = np.zeros(int(rng.choice([0.05, 0.12, 0.2, 0.4, 1.2]) * SPEECH_RATE_HZ))
        sound += [0.4 * loudness * phrase / np.abs(phrase).max(), pause]
    whole = np.concatenate(sound)[: int(seconds * SPEECH_RATE_HZ)]
    return (whole + rng.normal(0, 1e-3, len(whole))).astype(np.float32)


def noise_bursts(seconds: float, seed: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    total = int(seconds * SPEECH_RATE_HZ)
    loudness = np.repeat(rng.choice([0, 0.001, 0.05, 0.5], total // 4000 + 1), 4000)[:total]
    return (loudness * rng.normal(0, 0.5, total)).clip(-1, 1).astype(np.float32)


def heard_by_package(
    package: torch.jit.ScriptModule, sound: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The loop of ``get_speech_timestamps``."""
    package.reset_states()
    found = []
    with torch.no_grad():
        for start in range(0, len(sound), 512):
            window = np.zeros(512, np.float32)
            part = sound[start : start + 512]
            window[: len(part)] = part
            found.append(package(torch.from_numpy(window), SPEECH_RATE_HZ).item())
    return np.array(found, np.float32)


def bounds(regions: list[dict[str, int]]) -> NDArray[np.int64]:
    return np.array([(r["start"], r["end"]) for r in regions], np.int64).reshape(-1, 2)


def test_it_is_a_speech_detector(detector: SileroDetector) -> None:
    assert isinstance(detector, SpeechDetector)
    assert detector.window_samples == 512
    assert detector.fingerprint == SileroDetector(threads=2).fingerprint


@pytest.mark.parametrize(
    "sound",
    [voice(45, seed=3), voice(35, seed=2)[:-300], noise_bursts(40, seed=0), voice(0.01, 0)],
    ids=["voice", "part of a window at the end", "noise", "less than a window"],
)
def test_probabilities_and_regions_are_the_packages(
    detector: SileroDetector, package: torch.jit.ScriptModule, sound: NDArray[np.float32]
) -> None:
    from silero_vad.utils_vad import get_speech_timestamps_from_probs

    found, heard = detector.probabilities([sound]), heard_by_package(package, sound)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, heard, rtol=0, atol=ROUNDING)
    for threshold in (0.1, 0.5):
        settings = Speech(threshold=threshold, max_region_s=30.0)
        wanted = get_speech_timestamps_from_probs(
            heard.tolist(), threshold=threshold, audio_length_samples=len(sound)
        )
        np.testing.assert_array_equal(speech_regions(found, len(sound), settings), bounds(wanted))


def test_the_voice_is_taken_for_speech(detector: SileroDetector) -> None:
    """Otherwise the test above compares nothing with nothing."""
    found = detector.probabilities([voice(45, seed=3)])
    assert 0.2 < np.mean(found > 0.5) < 0.95


@pytest.mark.parametrize("parts", [2, 7, 3001])
def test_the_cut_into_blocks_changes_no_bit(detector: SileroDetector, parts: int) -> None:
    sound = np.tile(voice(35, seed=2), 2)[:-7]
    whole = detector.probabilities([sound])
    assert len(whole) > 2 * detect._BLOCK_WINDOWS
    edges = np.sort(np.random.default_rng(parts).integers(0, len(sound), parts - 1))
    np.testing.assert_array_equal(detector.probabilities(iter(np.split(sound, edges))), whole)


def test_a_recording_leaves_no_trace_in_the_next(detector: SileroDetector) -> None:
    sound = voice(10, seed=3)
    before = detector.probabilities([sound])
    detector.probabilities([noise_bursts(5, seed=1)])
    np.testing.assert_array_equal(detector.probabilities([sound]), before)


def test_blocks_are_read_once_and_as_they_are_needed(detector: SileroDetector) -> None:
    waiting = 0

    def blocks() -> Iterator[NDArray[np.float32]]:
        nonlocal waiting
        for _ in range(5):
            waiting += 1
            yield np.zeros(detect._BLOCK_WINDOWS * 512, np.float32)

    regions = detect._reblocked(blocks())
    next(regions)
    assert waiting == 1
    assert len(detector.probabilities(blocks())) == 5 * detect._BLOCK_WINDOWS


@pytest.mark.parametrize("blocks", [[], [np.empty(0, np.float32)]])
def test_nothing_has_no_windows(
    detector: SileroDetector, blocks: list[NDArray[np.float32]]
) -> None:
    found = detector.probabilities(blocks)
    assert found.dtype == np.float32
    assert not len(found)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_values_beyond_measure_are_named_not_taken_for_silence(
    detector: SileroDetector, value: float
) -> None:
    sound = voice(45, seed=3).copy()
    sound[40 * SPEECH_RATE_HZ] = value
    with pytest.raises(AudioError, match=r"not at 40\.0 s") as caught:
        detector.probabilities([sound])
    assert caught.value.reason == "unreadable_audio"


def test_torch_is_left_as_it_was() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        random = torch.random.get_rng_state()
        SileroDetector(threads=1).probabilities([voice(2, seed=0)])
        assert torch.get_num_threads() == 2
        assert torch.equal(torch.random.get_rng_state(), random)
    finally:
        torch.set_num_threads(before)


def test_other_weights_are_refused(tmp_path: Path) -> None:
    other = tmp_path / "silero_vad.jit"
    with pytest.raises(CheckpointError, match=r"but is absent; pip install silero-vad==6\.2\.3"):
        SileroDetector(weights=other)
    other.write_bytes(detect._installed_weights().read_bytes() + b"\0")
    with pytest.raises(CheckpointError, match=r"sha256 must be e112\w+, but is \w{64}; pip"):
        SileroDetector(weights=other)


def real_sound(path: Path) -> NDArray[np.float32]:
    import soundfile
    import soxr

    sound, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    return np.asarray(soxr.resample(sound.mean(axis=1), rate_hz, SPEECH_RATE_HZ), np.float32)


@pytest.mark.realdata
@pytest.mark.skipif(not REAL.is_dir(), reason=f"no recordings at {REAL} (set MINING_REAL_DATA)")
def test_regions_of_real_speech_are_the_packages(
    detector: SileroDetector, package: torch.jit.ScriptModule
) -> None:
    from silero_vad import get_speech_timestamps

    languages = sorted(path.parent.name for path in (REAL / "commonvoice").glob("*/clips"))
    clips = [
        path for lang in languages for path in sorted((REAL / "commonvoice" / lang).glob("*/*"))[:2]
    ]
    assert len(clips) >= 40
    regions = 0
    for path in [*clips, REAL / "long" / "crimsonfairybook_29_lang_64kb.mp3"]:
        sound = real_sound(path)
        found = detector.probabilities([sound])
        wanted = bounds(get_speech_timestamps(torch.from_numpy(sound), package))
        settings = Speech(max_region_s=30.0)
        np.testing.assert_array_equal(
            speech_regions(found, len(sound), settings), wanted, str(path)
        )
        regions += len(wanted)
    assert regions > 120
