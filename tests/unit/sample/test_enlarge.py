"""Copies of the sample must not collapse into one another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from mining.config import load_config

SAMPLE = Path(__file__).parents[3] / "examples" / "sample"


@pytest.fixture
def enlarge(example_in: Callable[[Path], Callable[[str], ModuleType]]) -> ModuleType:
    return example_in(SAMPLE)("enlarge")


def texts_of(path: Path) -> list[str]:
    return [line.split("\t")[2] for line in path.read_text(encoding="utf-8").splitlines()[1:]]


def test_every_copy_has_sentences_of_its_own(enlarge: ModuleType, tmp_path: Path) -> None:
    copies = 14  # more than there are syllables
    assert enlarge.enlarge_texts(tmp_path, copies) == 10 * 223 * copies
    for path in sorted((SAMPLE / "text").glob("*.tsv")):
        once, now = texts_of(path), texts_of(tmp_path / "text" / path.name)
        assert now[: len(once)] == once
        assert len(set(now)) == copies * len(set(once))
    config = load_config(str(enlarge.write_config(tmp_path)))
    assert config.evaluate is None
    assert set(config.tasks) == {"tt", "st", "ss"}


def test_every_copy_of_a_recording_sounds_different(enlarge: ModuleType) -> None:
    sound = np.sin(np.arange(4000) / 9).astype(np.float32)
    copies = [enlarge.played(sound, copy) for copy in range(1, 30)]
    assert len({copy.tobytes() for copy in copies}) == len(copies)
    assert max(float(np.abs(copy).max()) for copy in copies) <= 1.0
    stereo = enlarge.played(np.stack([sound, sound], axis=1), 3)
    assert stereo.ndim == 2
