from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from encoders.train.data.config import Data
from encoders.train.data.load import Loaded, load_data
from mining.config.model import Contamination
from mining.contract.speech import SPEECH_RATE_HZ, AudioTokenizer, Samples
from tests.unit.encoders.train.data.loading import PLANTED, check_law

ROOT = Path(__file__).parents[5]


class EnergyUnits:
    """Loudness of every 20 ms, in 64 steps: a real tokenizer, if a dull one."""

    name = "energy"
    fingerprint = "energy 64"
    units = 64
    blank = None
    symbols = None
    rate_hz = 50.0
    context_s = 0.0
    max_clip_s = 30.0
    languages: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.heard: list[int] = []  # samples of each clip that was asked for

    def frames(
        self, clips: Sequence[Samples], langs: Sequence[str] | None = None
    ) -> list[NDArray[np.int16]]:
        self.heard += [len(clip) for clip in clips]
        return [units_of(clip) for clip in clips]


def units_of(clip: Samples) -> NDArray[np.int16]:
    hop = SPEECH_RATE_HZ // 50
    count = len(clip) // hop
    power = np.square(clip[: count * hop].astype(np.float64)).reshape(count, hop).mean(axis=1)
    return np.clip(64 + 10 * np.log10(power + 1e-6), 0, 63).astype(np.int16)


@pytest.fixture
def energy() -> EnergyUnits:
    made = EnergyUnits()
    assert isinstance(made, AudioTokenizer)
    return made


@pytest.fixture
def wav(tmp_path: Path) -> Callable[..., Samples]:
    """Writes noise of some loudness that changes over time; gives the samples that a reader gets."""

    def write(name: str, seconds: float, *, seed: int = 0, gain: float = 0.3) -> Samples:
        random = np.random.default_rng(seed)
        count = round(seconds * SPEECH_RATE_HZ)
        envelope = np.repeat(random.uniform(0.05, 1.0, count // 800 + 1), 800)[:count]
        sound = gain * envelope * random.uniform(-1, 1, count)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, sound, SPEECH_RATE_HZ, format="WAV", subtype="PCM_16")
        read, _ = soundfile.read(path, dtype="float32")
        return np.asarray(read, dtype=np.float32)

    return write


@pytest.fixture(scope="session")
def real_data() -> Path:
    given = os.environ.get("MINING_REAL_DATA")
    folder = Path(given) if given else ROOT.parent / "shared" / "data"
    if not (folder / "commonvoice").is_dir():
        pytest.skip(f"no Common Voice at {folder} (set MINING_REAL_DATA)")
    return folder


@pytest.fixture
def load(tmp_path: Path, energy: Any) -> Callable[..., Loaded]:
    (tmp_path / "judged.txt").write_text(
        f"{PLANTED}\nUnd noch ein Satz aus der Prüfung, der lang ist.\n"
    )

    def loaded(
        data: Data, *, sets: tuple[str, ...] = (), tokenizer: Any = energy, seed: int = 0
    ) -> Loaded:
        lines: list[str] = []
        found = load_data(
            data,
            Contamination(sets=sets or (f"{tmp_path}/judged.txt",)),
            tokenizer,
            cache=tmp_path / "cache",
            seed=seed,
            progress=lines.append,
        )
        found.report["lines"] = lines
        json.dumps(found.report)
        check_law(data, found)
        return found

    return loaded
