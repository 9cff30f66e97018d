"""Ids are pure functions of content, so that a retry, a shard count or a runner never changes them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_SEPARATOR = "\x1f"  # cannot occur in normalised text: control characters are removed


def content_id(*parts: str) -> str:
    """blake2b-128 of the parts, as 32 hex digits."""
    return hashlib.blake2b(_SEPARATOR.join(parts).encode("utf-8"), digest_size=16).hexdigest()


def text_segment_id(lang: str, text: str) -> str:
    """Id of a text segment: its language and its normalised text."""
    return content_id(lang, text)


def speech_segment_id(
    recording_id: str, channel: int | None, start_sample: int, num_samples: int
) -> str:
    """Id of a speech segment: its recording, channel (None: all mixed) and place."""
    return content_id(
        recording_id,
        "mix" if channel is None else str(channel),
        str(start_sample),
        str(num_samples),
    )


def pair_id(src_segment_id: str, tgt_segment_id: str) -> str:
    """Id of a mined pair: both segment ids, in order."""
    return content_id(src_segment_id, tgt_segment_id)


def pair_ids(src_segment_ids: Iterable[str], tgt_segment_ids: Iterable[str]) -> Iterator[str]:
    """``pair_id`` of many pairs, without a call for each."""
    for src, tgt in zip(src_segment_ids, tgt_segment_ids, strict=True):
        joined = f"{src}{_SEPARATOR}{tgt}"
        yield hashlib.blake2b(joined.encode("utf-8"), digest_size=16).hexdigest()


def partition_of(segment_id: str, partitions: int) -> int:
    """Partition of a segment: its id (already uniform) modulo the number of partitions."""
    return int(segment_id[:15], 16) % partitions


def partitions_of(segment_ids: Iterable[str] | pa.Array, partitions: int) -> NDArray[np.int32]:
    """``partition_of`` for many ids: int32 [N]."""
    ids = segment_ids.to_pylist() if isinstance(segment_ids, pa.Array) else segment_ids
    return np.fromiter((int(i[:15], 16) % partitions for i in ids), dtype=np.int32)
