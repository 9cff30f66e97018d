"""Units of clips: heard once, kept on disk, read into one flat array.

C clips, F frames of all that are needed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from encoders.train.data.sound import Sound, by_length, sounds
from mining.contract.errors import DatasetError
from mining.contract.speech import SPEECH_RATE_HZ, AudioTokenizer
from mining.io.filesystem import Storage, list_glob
from mining.io.parquet import read_part, write_part

_TOGETHER = 64  # clips sorted by length before they are batched
_BATCH_S = 240.0  # of a batch, padded
_PART_CLIPS = 1024
_MIN_LEVEL_DBFS = -60.0  # as speech.min_level_dbfs of a corpus

CLIP_FRAMES = pa.schema(
    [
        pa.field("clip_id", pa.binary(16), nullable=False),
        pa.field("samples", pa.int64(), nullable=False),  # at SPEECH_RATE_HZ
        pa.field("level_dbfs", pa.float32(), nullable=False),
        # false: the clip is longer than could be taken; ``samples`` then is a lower bound
        pa.field("whole", pa.bool_(), nullable=False),
        pa.field("frames", pa.list_(pa.int16()), nullable=False),
    ],
    metadata={"mining.schema": "clip_frames", "mining.schema_version": "1"},
)

Progress = Callable[[str], None]
_Row = tuple[bytes, int, float, bool, NDArray[np.int16]]  # of CLIP_FRAMES
_INDEX_COLUMNS = ("clip_id", "samples", "whole")


class _Place(NamedTuple):
    """Where a clip's row is, and whether it helps."""

    uri: str
    samples: int
    whole: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Clips:
    """Clips with their units.

    Attributes:
        ids: 16 bytes each, empty where the recording cannot be opened.
        faults: by number of the clip: reason and detail of those that cannot be used.
        samples: int64 [C], at SPEECH_RATE_HZ; 0 where unknown.
        units: int16 [F], of all clips, end to end, in whatever order.
        starts: int64 [C], where each clip's begin in ``units``.
        sizes: int64 [C], how many it has.
    """

    ids: list[bytes]
    faults: dict[int, tuple[str, str]]
    samples: NDArray[np.int64]
    units: NDArray[np.int16]
    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]

    def frames(self, number: int) -> NDArray[np.int16]:
        """Units of one clip, a view."""
        return self.units[self.starts[number] : self.starts[number] + self.sizes[number]]


class FramesCache:
    """Units of clips, for one audio tokenizer; of one that asks for it, by language.

    Args:
        folder: of all tokenizers' caches.
        tokenizer: whose fingerprint names the folder within.
        progress: takes lines for people.
    """

    def __init__(self, folder: Path, tokenizer: AudioTokenizer, progress: Progress) -> None:
        self._folder = folder / hashlib.sha256(tokenizer.fingerprint.encode()).hexdigest()[:32]
        self._tokenizer = tokenizer
        self._progress = progress
        self._of_language: dict[str, _LanguageCache] = {}

    def hear(self, name: str, clips: pa.Table, max_s: float) -> Clips:
        """Units of some clips, out of the cache where it has them.

        Faults: ``missing_audio``, ``unreadable_audio``, ``truncated_audio``, ``too_long``,
        ``near_silent``, ``too_short`` (not one frame).

        Args:
            name: of the seed, for messages.
            clips: columns audio, start_s, end_s, lang of C clips.
            max_s: longer clips are refused; also those that the tokenizer does not take.
        """
        known = self._tokenizer.languages
        langs = np.array([la if la in known else "" for la in clips["lang"].to_pylist()], dtype=str)
        parts = []
        for lang in sorted(set(langs.tolist())):
            if lang not in self._of_language:
                folder = self._folder / lang if lang else self._folder
                cache = _LanguageCache(folder, self._tokenizer, lang, self._progress)
                self._of_language[lang] = cache
            rows = np.flatnonzero(langs == lang)
            mine = clips.take(pa.array(rows))
            parts.append(
                (rows, self._of_language[lang].hear(f"{name} {lang}".strip(), mine, max_s))
            )
        return _together(parts, clips.num_rows)


def _together(parts: list[tuple[NDArray[np.int64], Clips]], count: int) -> Clips:
    """Clips of all languages, in the order of their numbers."""
    ids = [b""] * count
    faults: dict[int, tuple[str, str]] = {}
    samples, starts, sizes = (np.zeros(count, dtype=np.int64) for _ in range(3))
    units, offset = [np.zeros(0, dtype=np.int16)], 0
    for rows, part in parts:
        for number, clip_id in zip(rows.tolist(), part.ids, strict=True):
            ids[number] = clip_id
        faults |= {int(rows[number]): fault for number, fault in part.faults.items()}
        samples[rows], sizes[rows] = part.samples, part.sizes
        starts[rows] = part.starts + offset
        units.append(part.units)
        offset += len(part.units)
    flat = units[1] if len(units) == 2 else np.concatenate(units)
    return Clips(ids=ids, faults=faults, samples=samples, units=flat, starts=starts, sizes=sizes)


class _LanguageCache:
    """Units of clips by clip id, for one audio tokenizer that is told one language.

    Parts are Parquet files that are there whole or not at all, so a killed run goes on where it
    stopped, and runs that share the folder share the work.

    Args:
        folder: of this tokenizer and language.
        tokenizer: that hears.
        lang: that it is told; empty: none.
        progress: takes lines for people.
    """

    def __init__(
        self, folder: Path, tokenizer: AudioTokenizer, lang: str, progress: Progress
    ) -> None:
        self._folder = folder
        self._tokenizer = tokenizer
        self._lang = lang
        self._progress = progress
        self._index: dict[bytes, _Place] = {}
        for uri in list_glob(f"{self._folder}/part-*.parquet", Storage()):
            try:
                self._note(uri, read_part(uri, CLIP_FRAMES, Storage(), columns=_INDEX_COLUMNS))
            except DatasetError:
                progress(f"{uri}: is damaged; its clips are heard again")

    def hear(self, name: str, clips: pa.Table, max_s: float) -> Clips:
        """As :meth:`FramesCache.hear`, of clips of this language."""
        limit = int(min(max_s, self._tokenizer.max_clip_s) * SPEECH_RATE_HZ)
        coming: set[bytes] = set()

        def is_known(clip_id: bytes) -> bool:
            place = self._index.get(clip_id)
            return clip_id in coming or (
                place is not None and (place.whole or place.samples > limit)
            )

        ids = [b""] * clips.num_rows
        faults: dict[int, tuple[str, str]] = {}
        waiting: list[Sound] = []
        rows: list[_Row] = []
        heard = 0
        for sound in sounds(clips, limit, is_known):
            ids[sound.number] = sound.clip_id
            if sound.fault is not None:
                faults[sound.number] = sound.fault
            elif not is_known(sound.clip_id):
                coming.add(sound.clip_id)
                waiting.append(sound)
            if len(waiting) >= _TOGETHER:
                rows += self._tokenized(waiting)
                waiting = []
            if len(rows) >= _PART_CLIPS:
                heard += self._write(rows)
                rows = []
                self._progress(f"{name}: {heard} of at most {clips.num_rows} clips heard")
        rows += self._tokenized(waiting)
        if rows:
            heard += self._write(rows)
        self._progress(
            f"{name}: {heard} of {clips.num_rows} clips heard, the rest known or refused"
        )
        return self._collected(ids, faults, limit)

    def _tokenized(self, waiting: list[Sound]) -> list[_Row]:
        """Rows of the cache, in the order of the sounds."""
        found: dict[bytes, NDArray[np.int16]] = {}
        usable = (sound for sound in waiting if sound.samples is not None and sound.total)
        for batch in by_length(usable, int(_BATCH_S * SPEECH_RATE_HZ)):
            heard = [s.samples for s in batch if s.samples is not None]
            units = self._tokenizer.frames(heard, [self._lang] * len(heard))
            for sound, frames in zip(batch, units, strict=True):
                found[sound.clip_id] = np.asarray(frames, dtype=np.int16)
        nothing = np.zeros(0, dtype=np.int16)
        return [
            (
                sound.clip_id,
                sound.total,
                sound.level_dbfs,
                sound.samples is not None,
                found.get(sound.clip_id, nothing),
            )
            for sound in waiting
        ]

    def _write(self, rows: list[_Row]) -> int:
        arrays = [
            pa.array(column, field.type)
            for column, field in zip(zip(*rows, strict=True), CLIP_FRAMES, strict=True)
        ]
        table = pa.table(arrays, schema=CLIP_FRAMES)
        digest = hashlib.blake2b(b"".join(row[0] for row in rows), digest_size=16).hexdigest()
        name = f"part-{digest}.parquet"
        write_part(str(self._folder), name, table, CLIP_FRAMES, Storage())
        self._note(f"{self._folder}/{name}", table)
        return len(rows)

    def _note(self, uri: str, part: pa.Table) -> None:
        columns = [part[name].to_pylist() for name in _INDEX_COLUMNS]
        for clip_id, samples, whole in zip(*columns, strict=True):
            before = self._index.get(clip_id)
            if before is None or (whole, samples) > (before.whole, before.samples):
                self._index[clip_id] = _Place(uri, samples, whole)

    def _collected(self, ids: list[bytes], faults: dict[int, tuple[str, str]], limit: int) -> Clips:
        """What the cache holds of some clips, and what is wrong with them."""
        stored = _Stored()
        needed: dict[str, set[bytes]] = {}
        for number, clip_id in enumerate(ids):
            if number not in faults:
                needed.setdefault(self._index[clip_id].uri, set()).add(clip_id)
        for uri, wanted in sorted(needed.items()):
            stored.take(read_part(uri, CLIP_FRAMES, Storage()), wanted)
        rows = np.array([stored.rows.get(one, -1) for one in ids], dtype=np.int64)
        units, starts, sizes, samples, levels = stored.arrays()
        for number, row in enumerate(rows.tolist()):
            if number not in faults:
                fault = _fault(int(samples[row]), float(levels[row]), int(sizes[row]), limit)
                if fault[0]:
                    faults[number] = fault
        return Clips(
            ids=ids,
            faults=faults,
            samples=samples[rows],
            units=units,
            starts=starts[rows],
            sizes=sizes[rows],
        )


class _Stored:
    """Rows of the cache that are needed, part after part; the last row of all is an empty one."""

    def __init__(self) -> None:
        self.rows: dict[bytes, int] = {}
        self._units: list[NDArray[np.int16]] = []
        self._sizes: list[NDArray[np.int64]] = []
        self._samples: list[NDArray[np.int64]] = []
        self._levels: list[NDArray[np.float32]] = []

    def take(self, part: pa.Table, wanted: set[bytes]) -> None:
        """Take some rows of one part."""
        picked: list[int] = []
        for row, clip_id in enumerate(part["clip_id"].to_pylist()):
            if clip_id in wanted:
                self.rows[clip_id] = len(self.rows)
                picked.append(row)
        chosen = part.take(pa.array(picked, pa.int64())).combine_chunks()
        sizes = pc.list_value_length(chosen["frames"])
        self._sizes.append(sizes.to_numpy().astype(np.int64))
        self._units.append(pc.list_flatten(chosen["frames"]).to_numpy())
        self._samples.append(chosen["samples"].to_numpy())
        self._levels.append(chosen["level_dbfs"].to_numpy())

    def arrays(
        self,
    ) -> tuple[
        NDArray[np.int16],
        NDArray[np.int64],
        NDArray[np.int64],
        NDArray[np.int64],
        NDArray[np.float32],
    ]:
        """Units end to end; and of each row: where its own begin, how many, samples, level."""
        units = np.concatenate([*self._units, np.zeros(0, dtype=np.int16)])
        sizes = np.concatenate([*self._sizes, np.zeros(1, dtype=np.int64)])
        samples = np.concatenate([*self._samples, np.zeros(1, dtype=np.int64)])
        levels = np.concatenate([*self._levels, np.zeros(1, dtype=np.float32)])
        return units, np.cumsum(sizes) - sizes, sizes, samples, levels


def _fault(samples: int, level_dbfs: float, frames: int, limit: int) -> tuple[str, str]:
    """Reason and detail if a clip cannot be used; the reason is empty if it can."""
    if samples > limit:
        return "too_long", f"more than {limit / SPEECH_RATE_HZ:g} s"
    if level_dbfs < _MIN_LEVEL_DBFS:
        return "near_silent", f"{level_dbfs:.1f} dBFS, below {_MIN_LEVEL_DBFS:g}"
    if not frames:
        return "too_short", f"{samples / SPEECH_RATE_HZ:.3f} s, not one frame"
    return "", ""
