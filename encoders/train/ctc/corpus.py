"""Clips as spectra in one file, and what is said in each.

N clips, F frames, M mel bands, L letters.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
from numpy.typing import NDArray

from encoders.audio_tokens.logmel import BANDS, log_mel
from encoders.train.ctc.letters import codes, letters
from mining.contract.speech import SPEECH_RATE_HZ

_LOG = logging.getLogger(__name__)
_SHORTEST_S, _LONGEST_S = 0.4, 16.0
_LETTERS_A_S = 28.0  # nobody speaks faster: the text is not what is said


@dataclass(frozen=True, kw_only=True)
class Clips:
    """Everything to learn from.

    Attributes:
        spectra: float16 [all F, M], mapped from disk.
        offsets: int64 [N + 1], where each clip begins.
        targets: letters of each clip.
        langs: language of each.
        groups: which manifest each comes from, its place in the list.
    """

    spectra: NDArray[np.float16]
    offsets: NDArray[np.int64]
    targets: list[NDArray[np.int64]]
    langs: list[str]
    groups: NDArray[np.int64]

    def spectrum(self, clip: int) -> NDArray[np.float32]:
        """Log-mel spectrum of a clip, float32 [F, M]."""
        return self.spectra[self.offsets[clip] : self.offsets[clip + 1]].astype(np.float32)


def build_clips(manifests: Sequence[Path], cache: Path) -> Clips:
    """Read manifests; spectra are computed once and kept in ``cache``."""
    spectra_path, index_path = cache.with_suffix(".f16"), cache.with_suffix(".npz")
    if not index_path.is_file():
        cache.parent.mkdir(parents=True, exist_ok=True)
        sizes, said, langs, groups = [], [], [], []
        with spectra_path.open("wb") as file:
            for group, manifest in enumerate(manifests):
                for lang, text, spectrum in _rows(manifest):
                    spectrum.tofile(file)
                    sizes.append(len(spectrum))
                    said.append(text)
                    langs.append(lang)
                    groups.append(group)
        np.savez(
            index_path,
            offsets=np.concatenate([[0], np.cumsum(sizes)]),
            said=np.array(said),
            langs=np.array(langs),
            groups=np.array(groups),
        )
    index = np.load(index_path, allow_pickle=False)
    offsets = index["offsets"].astype(np.int64)
    return Clips(
        spectra=np.memmap(spectra_path, np.float16, "r", shape=(int(offsets[-1]), BANDS)),
        offsets=offsets,
        targets=[codes(text) for text in index["said"].tolist()],
        langs=index["langs"].tolist(),
        groups=index["groups"].astype(np.int64),
    )


def _rows(manifest: Path) -> Iterator[tuple[str, str, NDArray[np.float16]]]:
    """Language, letters and spectrum of each usable clip."""
    last, sound, refused = "", np.zeros(0, np.float32), 0
    with manifest.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            if row["audio"] != last:
                last = row["audio"]
                sound = _decoded(manifest.parent / last)
            clip = sound
            if row["start_s"]:
                bounds = (float(row["start_s"]), float(row["end_s"]))
                first, end = (round(second * SPEECH_RATE_HZ) for second in bounds)
                clip = sound[first:end]
            said = letters(row["reading"] or row["transcript"])
            seconds = len(clip) / SPEECH_RATE_HZ
            if not (
                _SHORTEST_S <= seconds <= _LONGEST_S and 0 < len(said) < seconds * _LETTERS_A_S
            ):
                refused += 1
                continue
            found = log_mel(torch.from_numpy(np.ascontiguousarray(clip)).unsqueeze(0))[0]
            yield row["lang"], said, found.numpy().astype(np.float16)
    _LOG.info("%s: %d clips cannot be used", manifest, refused)


def _decoded(path: Path) -> NDArray[np.float32]:
    sound, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    mono: NDArray[np.float32] = sound.mean(axis=1)
    if rate_hz == SPEECH_RATE_HZ:
        return mono
    resampled: NDArray[np.float32] = soxr.resample(mono, rate_hz, SPEECH_RATE_HZ)
    return resampled
