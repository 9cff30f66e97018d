"""Streams of samples: to one channel, to the rate of speech models, and pieces cut out of them.

n samples, C channels, R spans. Everything here is read once, in order, in bounded memory, and the
result does not depend on where the stream is cut into blocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from mining.contract.errors import AudioError
from mining.contract.speech import SPEECH_RATE_HZ, Samples

_QUALITY = "HQ"  # soxr: 20 bits


def mono(blocks: Iterable[NDArray[np.float32]], channel: int | None) -> Iterator[Samples]:
    """One channel of each block, or the mean of all.

    Args:
        blocks: float32 [n, C] each.
        channel: 0-based; None takes the mean.

    Yields:
        float32 [n].

    Raises:
        AudioError: there is no such channel.
    """
    for block in blocks:
        channels = block.shape[1]
        if channel is None:
            mean = block if channels == 1 else block.mean(axis=1, dtype=np.float64)
            yield mean.reshape(-1).astype(np.float32, copy=False)
        elif 0 <= channel < channels:
            yield block[:, channel]
        else:
            raise AudioError(
                f"the recording: must have a channel {channel}, counted from 0, but has {channels} "
                "channels"
            )


def at_speech_rate(blocks: Iterable[Samples], rate_hz: int) -> Iterator[Samples]:
    """The stream at :data:`SPEECH_RATE_HZ`, by soxr's HQ filter, without delay.

    Args:
        blocks: float32 [n] each, at ``rate_hz``.
        rate_hz: samples a second.

    Yields:
        float32 [m]; in all ``n * SPEECH_RATE_HZ / rate_hz`` samples, to within one.
    """
    if rate_hz == SPEECH_RATE_HZ:
        yield from blocks
        return
    import soxr

    resampler = soxr.ResampleStream(rate_hz, SPEECH_RATE_HZ, 1, dtype="float32", quality=_QUALITY)
    for block in blocks:
        yield resampler.resample_chunk(np.ascontiguousarray(block))
    yield resampler.resample_chunk(np.zeros(0, dtype=np.float32), last=True)


def spans(
    blocks: Iterable[NDArray[np.float32]], bounds: NDArray[np.int64]
) -> Iterator[NDArray[np.float32]]:
    """Pieces of a stream, in one pass.

    At most the longest span and one block are held. Reading stops after the last span.

    Args:
        blocks: float32 [n] or [n, C] each.
        bounds: int64 [R, 2]: start and end of each span, end exclusive, sorted by start; they may
            overlap.

    Yields:
        A copy of each span, in order. What lies beyond the end of the stream is missing: a span may
        be shorter, or empty.

    Raises:
        ValueError: the spans are not sorted, begin before 0, or end before they begin.
    """
    starts, ends = bounds.reshape(-1, 2).T
    if (np.diff(starts, prepend=0) < 0).any() or (ends < starts).any():
        raise ValueError("spans must be sorted by start, from 0, and not end before they begin")
    stream = iter(blocks)
    held = next(stream, np.zeros(0, dtype=np.float32))
    first = 0  # position of held[0] in the stream
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        pieces, size, more = [held], len(held), True
        while more and first + size < end:
            if first + size <= start:  # nothing of this is wanted any more
                first += size
                pieces, size = [], 0
            block = next(stream, None)
            more = block is not None
            if block is not None:
                pieces.append(block)
                size += len(block)
        held = np.concatenate(pieces) if len(pieces) > 1 else pieces[0] if pieces else held[:0]
        drop = min(max(start - first, 0), len(held))
        held, first = held[drop:], first + drop
        yield held[: max(end - max(start, first), 0)].copy()


def at_rate(samples_16k: NDArray[np.int64], rate_hz: int) -> NDArray[np.int64]:
    """Positions at :data:`SPEECH_RATE_HZ` as positions at ``rate_hz``, same shape; halves go up."""
    return _scaled(samples_16k, rate_hz, SPEECH_RATE_HZ)


def at_16k(samples: NDArray[np.int64], rate_hz: int) -> NDArray[np.int64]:
    """Positions at ``rate_hz`` as positions at :data:`SPEECH_RATE_HZ`, same shape; halves go up.

    Undoes :func:`at_rate` wherever ``rate_hz`` is not below :data:`SPEECH_RATE_HZ`.
    """
    return _scaled(samples, SPEECH_RATE_HZ, rate_hz)


def _scaled(positions: NDArray[np.int64], to_hz: int, from_hz: int) -> NDArray[np.int64]:
    # Integers only: a product of hours and hertz is far below 2**63.
    return (2 * np.asarray(positions, dtype=np.int64) * to_hz + from_hz) // (2 * from_hz)
