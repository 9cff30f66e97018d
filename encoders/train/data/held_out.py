"""Which clips are judged instead of trained on, and what must therefore not be trained on.

N rows, C clips of all seeds together.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A clip as far as holding out goes.

    Attributes:
        clip_id: 16 bytes.
        lang: ISO 639-3 code.
        speaker: as named; empty if not.
        recording: its address, which stands for a speaker who is not named.
    """

    clip_id: bytes
    lang: str
    speaker: str
    recording: str

    @property
    def voice(self) -> str:
        """Who is assumed to speak."""
        return self.speaker or f"\x1f{self.recording}"


@dataclass(frozen=True, kw_only=True)
class HeldBack:
    """What is not trained on.

    Attributes:
        judged: clip ids, in the order of language and draw.
        voices: speakers none of whose clips are trained on.
    """

    judged: tuple[bytes, ...]
    voices: frozenset[str]


def hold_back(clips: list[Clip], count: int, seed: int) -> HeldBack:
    """Choose ``count`` clips of each language, by whole speakers.

    Speakers come in the order of a hash of their name, so that another clip or speaker moves few of
    the others. One whose clips would leave less than half of a language for training is passed
    over; a language then has fewer judged clips, or none.

    Args:
        clips: each clip id once.
        count: clips of a language.
        seed: of the hash.
    """
    voices: set[str] = set()
    judged: list[bytes] = []
    for lang in sorted({clip.lang for clip in clips}) if count else ():
        mine: dict[str, list[bytes]] = {}
        for clip in clips:
            if clip.lang == lang:
                mine.setdefault(clip.voice, []).append(clip.clip_id)
        budget = sum(map(len, mine.values())) // 2
        chosen: list[bytes] = []
        for voice in sorted(mine, key=lambda voice: _order(voice, seed)):
            if len(chosen) >= count:
                break
            if len(mine[voice]) <= budget:
                budget -= len(mine[voice])
                voices.add(voice)
                chosen += sorted(mine[voice])
        judged += chosen[:count]
    return HeldBack(judged=tuple(judged), voices=frozenset(voices))


def _order(voice: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed} {voice}".encode(), digest_size=16).digest()


def shared(keys: NDArray[np.int64], held: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which sentences of rows are among the held-out ones: bool [N]; 0 is no sentence."""
    found: NDArray[np.bool_] = np.isin(keys, held) & (keys != 0)
    return found
