"""An open recording, whatever reads it: blocks of samples, in bounded memory.

n samples (of all channels at once), C channels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mining.contract.errors import AudioError

BLOCK_SAMPLES = 1 << 16
_MIN_RATE_HZ = 1000
_MAX_CHANNELS = 64  # a block is then 16 MiB


class AudioStream(ABC):
    """An open recording, read once from its start.

    Attributes:
        name: for messages.
        sample_rate_hz: its own rate.
        channels: how many.
        bits: 24 if the file resolves more than 16 bits a sample, otherwise 16.
        truncated: known when all blocks are read: why they end before the recording does, or None.
    """

    name: str
    sample_rate_hz: int
    channels: int
    bits: int
    truncated: str | None = None

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """The samples in order: float32 [BLOCK_SAMPLES, C], the last block shorter.

        Full scale is 1.0; what a floating-point file or a lossy codec has beyond stays beyond.

        Raises:
            AudioError: not a single sample can be read, or one is not a finite number.
        """
        position = 0
        for block in self._decoded():
            if not np.isfinite(block).all():
                first = position + int(np.argmin(np.isfinite(block).all(axis=1)))
                raise AudioError(
                    f"{self.name}: samples must be finite numbers, but sample {first} is not"
                )
            position += len(block)
            yield block
        if not position:
            reason = f" ({self.truncated})" if self.truncated else ""
            raise AudioError(f"{self.name}: must hold sound, but has no samples{reason}")

    @abstractmethod
    def close(self) -> None:
        """Close the file."""

    @abstractmethod
    def _decoded(self) -> Iterator[NDArray[np.float32]]:
        """As :meth:`blocks`, unchecked. Sets ``truncated`` at its end."""

    def _check(self) -> None:
        """Refuse what no recording has.

        Raises:
            AudioError: naming it.
        """
        if self.sample_rate_hz < _MIN_RATE_HZ:
            raise AudioError(
                f"{self.name}: must have at least {_MIN_RATE_HZ} samples a second, but has "
                f"{self.sample_rate_hz}"
            )
        if not 1 <= self.channels <= _MAX_CHANNELS:
            raise AudioError(
                f"{self.name}: must have 1 to {_MAX_CHANNELS} channels, but has {self.channels}"
            )
