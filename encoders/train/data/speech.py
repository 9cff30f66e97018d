"""Pairs of speech and text out of a seed whose clips are heard.

N rows of the seed, C clips.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from encoders.dual.items import Spoken, Written
from encoders.train.data.frames import Clips
from encoders.train.data.held_out import Clip
from encoders.train.data.pairs import HeldOut, TrainingPair, clip_keys, sentence_keys
from encoders.train.data.texts import Side, side_of
from mining.contract.speech import SPEECH_RATE_HZ


@dataclass(frozen=True, kw_only=True, eq=False)
class SpeechPairs:
    """A source of speech with texts; see :class:`encoders.train.data.pairs.PairSource`.

    Attributes:
        clips: of the seed.
        numbers: int64 [N], the clip of each row.
        langs: int32 [N], an index into ``lang_names``.
        lang_names: ISO 639-3 codes of the speech.
        source_keys: int64 [N].
        target: the texts.
    """

    name: str
    kind: Literal["transcribe", "translate"]
    clips: Clips
    numbers: NDArray[np.int64]
    langs: NDArray[np.int32]
    lang_names: tuple[str, ...]
    source_keys: NDArray[np.int64]
    target: Side

    def __len__(self) -> int:
        return len(self.numbers)

    def pair(self, row: int) -> TrainingPair:
        """One pair."""
        target = self.target.written(row)
        frames = self.clips.frames(int(self.numbers[row]))
        return TrainingPair(
            source=Spoken(regions=(frames,), lang=self.lang_names[self.langs[row]]),
            target=target,
            source_key=int(self.source_keys[row]),
            target_key=int(self.target.keys[row]),
            teacher_text=target,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class SpeechRows:
    """Rows of a seed that can be learned from, with their clips.

    Attributes:
        name: of the seed.
        table: schema :data:`encoders.train.data.rows.ROWS`, N rows.
        numbers: int64 [N], the clip of each.
        clips: of the seed.
        source_keys: int64 [N], of the transcripts, else of the clips.
        target_keys: int64 [N], of the translations; 0 where there is none.
    """

    name: str
    table: pa.Table
    numbers: NDArray[np.int64]
    clips: Clips
    source_keys: NDArray[np.int64]
    target_keys: NDArray[np.int64]

    def filter(self, kept: NDArray[np.bool_]) -> SpeechRows:
        """Some of the rows."""
        return SpeechRows(
            name=self.name,
            table=self.table.filter(pa.array(kept)),
            numbers=self.numbers[kept],
            clips=self.clips,
            source_keys=self.source_keys[kept],
            target_keys=self.target_keys[kept],
        )

    def clip_ids(self) -> list[bytes]:
        """Of each row."""
        return [self.clips.ids[number] for number in self.numbers.tolist()]

    def clips_of_rows(self) -> Iterator[Clip]:
        """The clip of each row, as far as holding out goes."""
        columns = [self.table[name].to_pylist() for name in ("lang", "speaker", "audio")]
        for clip_id, lang, speaker, audio in zip(self.clip_ids(), *columns, strict=True):
            yield Clip(clip_id=clip_id, lang=lang, speaker=speaker, recording=audio)

    def pairs(self, kind: Literal["transcribe", "translate"]) -> SpeechPairs:
        """The pairs of a kind; a clip with the same text in several rows is one pair."""
        column = "transcript" if kind == "transcribe" else "translation"
        lang = "lang" if kind == "transcribe" else "translation_lang"
        keys = self.source_keys if kind == "transcribe" else self.target_keys
        there = np.flatnonzero(pc.not_equal(self.table[column], "").to_numpy())
        same = np.stack([self.numbers[there], keys[there]], axis=1)
        _, first = np.unique(same, axis=0, return_index=True)
        rows = there[np.sort(first)]
        table = self.table.take(pa.array(rows))
        spoken = side_of(table[column], table["lang"])
        return SpeechPairs(
            name=self.name,
            kind=kind,
            clips=self.clips,
            numbers=self.numbers[rows],
            langs=spoken.langs,
            lang_names=spoken.lang_names,
            source_keys=self.source_keys[rows],
            target=side_of(table[column], table[lang]),
        )

    def held_out(self, judged: list[bytes]) -> list[HeldOut]:
        """The rows of some clips, one entry a clip, in the order of ``judged``."""
        rows: dict[bytes, list[int]] = {}
        for row, clip_id in enumerate(self.clip_ids()):
            rows.setdefault(clip_id, []).append(row)
        return [self._held_out(rows[clip_id]) for clip_id in judged if clip_id in rows]

    def _held_out(self, rows: list[int]) -> HeldOut:
        first = self.table.slice(rows[0], 1).to_pylist()[0]
        number = int(self.numbers[rows[0]])
        spoken = [row for row in rows if self.table["transcript"][row].as_py()]
        meant: dict[str, int] = {}
        for row in rows:
            if self.table["translation"][row].as_py():
                meant.setdefault(self.table["translation_lang"][row].as_py(), row)
        return HeldOut(
            clip=Spoken(regions=(self.clips.frames(number),), lang=first["lang"]),
            name=first["place"],
            speaker=first["speaker"],
            duration_s=float(self.clips.samples[number]) / SPEECH_RATE_HZ,
            transcript=self._written(spoken[0], "transcript", "lang") if spoken else None,
            translations=tuple(
                self._written(row, "translation", "translation_lang") for row in meant.values()
            ),
            clip_key=int(self.source_keys[(spoken or rows)[0]]),
            translation_keys=tuple(int(self.target_keys[row]) for row in meant.values()),
        )

    def _written(self, row: int, text: str, lang: str) -> Written:
        return Written(text=self.table[text][row].as_py(), lang=self.table[lang][row].as_py())


def speech_rows(name: str, table: pa.Table, numbers: NDArray[np.int64], clips: Clips) -> SpeechRows:
    """Rows with the keys of their sentences.

    Args:
        name: of the seed.
        table: schema ROWS, N rows.
        numbers: int64 [N], the clip of each.
        clips: of the seed.
    """
    spoken = sentence_keys(table["transcript"], table["lang"])
    of_clips = clip_keys(clips.ids)
    return SpeechRows(
        name=name,
        table=table,
        numbers=numbers,
        clips=clips,
        source_keys=np.where(spoken == 0, of_clips[numbers] if len(numbers) else spoken, spoken),
        target_keys=sentence_keys(table["translation"], table["translation_lang"]),
    )
