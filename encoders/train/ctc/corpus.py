"""Clips as spectra, or as states of an encoder, in one file, and what is said in each.

N clips, T samples, F frames, M mel bands or width of a state, L letters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from encoders.audio_tokens.conv_ctc_network import ConvCtcConfig
from encoders.audio_tokens.letters import codes, letters
from encoders.audio_tokens.logmel import spectrum
from mining.contract.speech import SPEECH_RATE_HZ, Samples

_SHORTEST_S, _LONGEST_S = 0.4, 16.0
_LETTERS_A_S = 28.0  # nobody speaks faster: the text is not what is said
_INDEX = pa.schema(
    [("frames", pa.int64()), ("said", pa.string()), ("lang", pa.string()), ("group", pa.int64())]
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Front:
    """What a recogniser reads of a clip.

    Attributes:
        of: samples, float32 [T] at SPEECH_RATE_HZ, to frames, float32 [F, M].
        states: M of an encoder's states; 0: spectra.
        longest_s: longest clip that can be read, seconds.
    """

    of: Callable[[Samples], NDArray[np.float32]] = spectrum
    states: int = 0
    longest_s: float = _LONGEST_S


@dataclass(frozen=True, kw_only=True, eq=False)
class Clip:
    """A clip to learn from.

    Attributes:
        samples: float32 [T] at SPEECH_RATE_HZ.
        text: what is said, in any script.
        lang: ISO 639-3 code.
    """

    samples: Samples
    text: str
    lang: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Clips:
    """Everything to learn from.

    Attributes:
        spectra: float16 [all F, M], mapped from disk.
        states: M of an encoder's states; 0: they are spectra.
        offsets: int64 [N + 1], where each clip begins.
        targets: letters of each clip, int64 [L].
        langs: language of each.
        groups: which group each is of, int64 [N].
        refused: clips that are too short, too long, or have more letters than can be said.
    """

    spectra: NDArray[np.float16]
    states: int = 0
    offsets: NDArray[np.int64]
    targets: list[NDArray[np.int64]]
    langs: list[str]
    groups: NDArray[np.int64]
    refused: int

    @property
    def hours(self) -> float:
        """How long they last."""
        return float(self.offsets[-1]) / self.input_hz / 3600

    @property
    def input_hz(self) -> int:
        """Frames a second."""
        return ConvCtcConfig(states=self.states).input_hz

    def spectrum(self, clip: int) -> NDArray[np.float32]:
        """Frames of a clip, float32 [F, M]."""
        return self.spectra[self.offsets[clip] : self.offsets[clip + 1]].astype(np.float32)


def build_clips(
    groups: Sequence[Iterator[Clip]], cache: Path, open_front: Callable[[], Front] = Front
) -> Clips:
    """Hear clips; their frames are computed once and kept.

    Args:
        groups: read only if the cache is not whole.
        cache: a path without suffix: ``.f16`` and ``.parquet`` are put behind it.
        open_front: gives what hears; called only if the cache is not whole.
    """
    spectra, index = cache.with_suffix(".f16"), cache.with_suffix(".parquet")
    if not index.is_file():
        cache.parent.mkdir(parents=True, exist_ok=True)
        _hear(groups, spectra, index, open_front())
    table = pq.read_table(index)
    offsets = np.concatenate([[0], np.cumsum(table["frames"].to_numpy())]).astype(np.int64)
    states = int(table.schema.metadata.get(b"states", 0))
    shape = (int(offsets[-1]), ConvCtcConfig(states=states).bands)
    frames: NDArray[np.float16] = np.zeros((0, shape[1]), np.float16)
    if shape[0]:  # an empty file cannot be mapped
        frames = np.memmap(spectra, np.float16, "r", shape=shape)
    return Clips(
        spectra=frames,
        states=states,
        offsets=offsets,
        targets=[codes(text) for text in table["said"].to_pylist()],
        langs=table["lang"].to_pylist(),
        groups=table["group"].to_numpy(),
        refused=int(table.schema.metadata[b"refused"]),
    )


def _hear(groups: Sequence[Iterator[Clip]], spectra: Path, index: Path, front: Front) -> None:
    rows: list[tuple[int, str, str, int]] = []
    refused = 0
    with spectra.open("wb") as file:
        for group, clips in enumerate(groups):
            for clip in clips:
                said = letters(clip.text)
                seconds = len(clip.samples) / SPEECH_RATE_HZ
                if not (
                    _SHORTEST_S <= seconds <= min(_LONGEST_S, front.longest_s)
                    and 0 < len(said) < seconds * _LETTERS_A_S
                ):
                    refused += 1
                    continue
                frames = front.of(clip.samples).astype(np.float16)
                frames.tofile(file)
                rows.append((len(frames), said, clip.lang, group))
    columns = [pa.array([row[i] for row in rows], _INDEX.field(i).type) for i in range(4)]
    metadata = {"refused": str(refused), "states": str(front.states)}
    beside = index.with_suffix(".new")
    pq.write_table(pa.table(columns, schema=_INDEX.with_metadata(metadata)), beside)
    beside.rename(index)  # last: without it the spectra are not whole
