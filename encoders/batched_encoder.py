"""What every encoder that runs a network in batches knows of itself and of its work.

Shape legend: N items, D width of a vector.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from encoders.batching import BatchRunner, Forward, canonical_batches, tokens_of
from encoders.card import EncoderCard, KnownByCard
from mining.contract.encoder import Tokens

_LOG = logging.getLogger(__name__)


class BatchedEncoder(KnownByCard):
    """Facts out of a card, and batches that are counted: what was cut, and what did not fit.

    Args:
        card: of the encoder.
        batch_tokens: tokens of a batch.
    """

    def __init__(self, card: EncoderCard, batch_tokens: int) -> None:
        self.card = card
        self._batch_tokens = batch_tokens
        self._truncated = 0
        self._cut_to = 0
        self._backed_off = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """What a manifest should say of the work done so far."""
        notes = []
        if self._truncated:
            notes.append(f"{self._truncated} segments cut to {self._cut_to} tokens")
        if self._backed_off:
            notes.append(f"{self._backed_off} batches halved for lack of GPU memory")
        return tuple(notes)

    def count_truncated(self, lengths: NDArray[np.int64], max_tokens: int) -> None:
        """Remember how many items are cut, and say so the first time.

        Args:
            lengths: tokens of each, int64 [N].
            max_tokens: where they are cut.
        """
        count = int((lengths > max_tokens).sum())
        if count and not self._truncated:
            _LOG.warning(
                "%s: %d of %d segments are longer than %d tokens and are cut there (said once)",
                self.name,
                count,
                len(lengths),
                max_tokens,
            )
        self._truncated += count
        self._cut_to = max_tokens

    def run(
        self,
        forward: Forward,
        lengths: NDArray[np.int64],
        ids: Sequence[str],
        groups: Sequence[str],
        max_tokens: int,
    ) -> tuple[NDArray[np.float32], Tokens]:
        """Vectors of items in canonical batches, and what the batches compute.

        Args:
            forward: rows of the items, a length, a group -> their vectors.
            lengths: tokens of each, int64 [N].
            ids: of the items.
            groups: those of one batch are of one group.
            max_tokens: longer items are cut.

        Returns:
            float32 [N, D], in the order of the items; and tokens, whatever does not fit on the device.

        Raises:
            CapacityError: a single item does not fit on the device.
        """
        runner = BatchRunner(forward)
        batches = list(
            canonical_batches(
                lengths, ids, groups, max_tokens=max_tokens, batch_tokens=self._batch_tokens
            )
        )
        vectors = runner.run(batches, len(lengths), self.dim)
        self._backed_off += runner.backed_off
        return vectors, tokens_of(batches, lengths)
