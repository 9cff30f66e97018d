"""Clips of recordings as samples, decoded by several threads, in order.

A clip's id is made of its recording's bytes and its place in it: the same wherever it lies.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

from mining.contract.errors import AudioError, InputError
from mining.contract.speech import SPEECH_RATE_HZ, Samples
from mining.io.filesystem import Storage
from mining.io.local import file_digest, local_file
from mining.speech.audio import open_audio
from mining.speech.stream import at_speech_rate, mono, spans

_MAX_THREADS = 8
_JOB_S = 600.0  # spans of one recording that are decoded together: 38 MB of samples
_MISSING_S = 0.1  # a span may end this much after its recording
_SILENCE_DBFS = -200.0


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A clip that is asked for.

    Attributes:
        number: of the clip.
        start: sample at SPEECH_RATE_HZ.
        end: one beyond the last; None: the recording's end.
    """

    number: int
    start: int
    end: int | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Sound:
    """A clip that was looked for.

    Attributes:
        number: of the clip.
        clip_id: 16 bytes; empty if the recording cannot be opened.
        samples: float32 [T], mono at SPEECH_RATE_HZ; None if it was not decoded.
        total: T; of a clip that is too long, more than the limit.
        level_dbfs: root mean square; a full-scale square wave is 0.
        fault: reason and detail if it cannot be used.
    """

    number: int
    clip_id: bytes
    samples: Samples | None = None
    total: int = 0
    level_dbfs: float = _SILENCE_DBFS
    fault: tuple[str, str] | None = None


def sounds(
    clips: pa.Table, limit_samples: int, is_known: Callable[[bytes], bool]
) -> Iterator[Sound]:
    """Every clip, in an order that only ``clips`` decides; those that are known are not decoded.

    Args:
        clips: columns audio, start_s and end_s, see :func:`encoders.train.data.rows.clip_numbers`.
        limit_samples: longer clips are not decoded further.
        is_known: whether the sound of a clip id is not needed.
    """
    threads = min(_MAX_THREADS, os.cpu_count() or 1)
    waiting: deque[Future[list[Sound]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for uri, wanted in _jobs(clips):
                waiting.append(pool.submit(_visit, uri, wanted, limit_samples, is_known))
                if len(waiting) > 2 * threads:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _jobs(clips: pa.Table) -> Iterator[tuple[str, list[Wanted]]]:
    """Each recording with its clips by start, some minutes at a time."""
    codes = clips["audio"].combine_chunks().dictionary_encode()
    recording, uris = codes.indices.to_numpy(), codes.dictionary.to_pylist()
    starts = clips["start_s"].to_numpy() * SPEECH_RATE_HZ
    ends = clips["end_s"].to_numpy() * SPEECH_RATE_HZ  # null: not a number
    order = np.lexsort((np.nan_to_num(ends, nan=np.inf), starts, recording))
    edges = np.flatnonzero(np.diff(recording[order], prepend=-1, append=-1))
    for first, last in pairwise(edges.tolist()):
        group: list[Wanted] = []
        length_s = 0.0
        for number in order[first:last].tolist():
            end = None if np.isnan(ends[number]) else round(ends[number])
            start = round(starts[number])
            group.append(Wanted(number=number, start=start, end=end))
            length_s += 0.0 if end is None else (end - start) / SPEECH_RATE_HZ
            if length_s > _JOB_S:
                yield uris[recording[number]], group
                group, length_s = [], 0.0
        if group:
            yield uris[recording[order[first]]], group


def _visit(
    uri: str, wanted: list[Wanted], limit: int, is_known: Callable[[bytes], bool]
) -> list[Sound]:
    try:
        # a local file is opened once less: there may be a million
        local = nullcontext(Path(uri)) if "://" not in uri else local_file(uri, Storage())
        with local as path:
            digest = file_digest(path)
            ids = [_clip_id(digest, clip) for clip in wanted]
            unknown = [(c, i) for c, i in zip(wanted, ids, strict=True) if not is_known(i)]
            known = [(c, i) for c, i in zip(wanted, ids, strict=True) if is_known(i)]
            found = [Sound(number=clip.number, clip_id=clip_id) for clip, clip_id in known]
            return found + (_decoded(path, uri, unknown, limit) if unknown else [])
    except InputError as error:
        fault = ("missing_audio", str(error))
        return [Sound(number=clip.number, clip_id=b"", fault=fault) for clip in wanted]


def _clip_id(digest: str, clip: Wanted) -> bytes:
    place = f"{digest} {clip.start} {clip.end}"
    return hashlib.blake2b(place.encode(), digest_size=16).digest()


def _decoded(path: Path, uri: str, wanted: list[tuple[Wanted, bytes]], limit: int) -> list[Sound]:
    bounds = [
        (clip.start, clip.start + limit + 1 if clip.end is None else clip.end) for clip, _ in wanted
    ]
    found: list[Sound] = []
    try:
        with open_audio(path, uri) as stream:
            mixed = mono(stream.blocks(), None)
            resampled = at_speech_rate(mixed, stream.sample_rate_hz)
            pieces = spans(resampled, np.array(bounds, dtype=np.int64))
            for (clip, clip_id), samples in zip(wanted, pieces, strict=True):
                found.append(_sound(clip, clip_id, samples, stream.truncated, limit))
    except AudioError as error:
        fault = (error.reason, str(error))
        rest = wanted[len(found) :]
        found += [Sound(number=clip.number, clip_id=one, fault=fault) for clip, one in rest]
    return found


def _sound(
    clip: Wanted, clip_id: bytes, samples: Samples, truncated: str | None, limit: int
) -> Sound:
    total = len(samples)
    short = clip.end is not None and clip.end - clip.start - total > _MISSING_S * SPEECH_RATE_HZ
    if short or (clip.end is None and truncated):
        detail = truncated or f"the recording ends at {(clip.start + total) / SPEECH_RATE_HZ:.2f} s"
        return Sound(number=clip.number, clip_id=clip_id, fault=("truncated_audio", detail))
    power = float(np.mean(np.square(samples, dtype=np.float64))) if total else 0.0
    return Sound(
        number=clip.number,
        clip_id=clip_id,
        samples=samples if total <= limit else None,
        total=total,
        level_dbfs=10 * float(np.log10(power)) if power > 0 else _SILENCE_DBFS,
    )


def by_length(found: Iterable[Sound], budget_samples: int) -> Iterator[list[Sound]]:
    """Batches of sounds of similar length, each of at most a budget when padded."""
    batch: list[Sound] = []
    for sound in sorted(found, key=lambda sound: (sound.total, sound.clip_id)):
        if batch and (len(batch) + 1) * sound.total > budget_samples:
            yield batch
            batch = []
        batch.append(sound)
    if batch:
        yield batch
