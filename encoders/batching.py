"""Canonical batches: which rows are computed together is a function of the rows alone.

Rows are sorted by (group, padded length, length, id); a batch holds rows of one group and one
padded length, and its height is a power of two. So neither the order of the input nor scheduling
changes a vector, and a device meets only a few shapes.

Shape legend: B rows of the input, N rows of a batch, L tokens, D width of a vector.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mining.contract.encoder import Tokens
from mining.contract.errors import CapacityError

_LOG = logging.getLogger(__name__)

# Tokens that a row is rounded up to: a multiple of 8 suits tensor cores (NVIDIA, "Matrix
# Multiplication Background User's Guide"); 16 halves the number of shapes.
TOKEN_MULTIPLE = 16


@dataclass(frozen=True, kw_only=True)
class CanonicalBatch:
    """Rows that are computed together.

    Attributes:
        rows: int64 [N], positions in the input. The last one is repeated to fill up the height.
        kept: how many of ``rows`` are no repetition.
        tokens: L, the padded length.
        group: what all rows share, such as their source language.
    """

    rows: NDArray[np.int64]
    kept: int
    tokens: int
    group: str


Forward = Callable[[NDArray[np.int64], int, str], NDArray[np.float32]]


def canonical_batches(
    lengths: NDArray[np.int64],
    ids: Sequence[str],
    groups: Sequence[str],
    *,
    max_tokens: int,
    batch_tokens: int,
) -> Iterator[CanonicalBatch]:
    """Deal rows into batches.

    Args:
        lengths: tokens of each row, int64 [B]; longer than ``max_tokens`` means truncated to it.
        ids: unique id of each row; breaks ties.
        groups: rows of different groups never share a batch.
        max_tokens: longest row.
        batch_tokens: most padded tokens in a batch; one row is always allowed.
    """
    lengths = np.minimum(lengths, max_tokens)
    padded = np.minimum(-(-lengths // TOKEN_MULTIPLE) * TOKEN_MULTIPLE, max_tokens)
    padded = np.maximum(padded, 1)
    order = np.lexsort((np.asarray(ids, dtype=object), lengths, padded, _codes(groups)))
    codes = _codes(groups)[order]
    sizes = padded[order]
    starts = np.flatnonzero(np.r_[True, (np.diff(sizes) != 0) | (np.diff(codes) != 0)])
    for start, end in zip(starts, [*starts[1:], len(order)], strict=True):
        if start == end:  # no rows at all
            return
        tokens = int(sizes[start])
        height = 1 << (max(1, batch_tokens // tokens).bit_length() - 1)
        for low in range(start, end, height):
            rows = order[low : min(low + height, end)]
            yield CanonicalBatch(
                rows=_filled(rows), kept=len(rows), tokens=tokens, group=groups[rows[0]]
            )


def _codes(groups: Sequence[str]) -> NDArray[np.int64]:
    rank = {group: code for code, group in enumerate(sorted(set(groups)))}
    return np.fromiter((rank[group] for group in groups), dtype=np.int64, count=len(groups))


def _filled(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows, the last one repeated up to a power of two."""
    height = 1 << (len(rows) - 1).bit_length()
    return np.concatenate([rows, np.full(height - len(rows), rows[-1], dtype=np.int64)])


def tokens_of(batches: Iterable[CanonicalBatch], lengths: NDArray[np.int64]) -> Tokens:
    """What some batches compute, and what was needed of it.

    Args:
        batches: dealt out of rows with these lengths.
        lengths: tokens of each row of the input, int64 [B].
    """
    needed = computed = 0
    for batch in batches:
        kept = lengths[batch.rows[: batch.kept]]
        needed += int(np.minimum(kept, batch.tokens).sum())
        computed += len(batch.rows) * batch.tokens
    return Tokens(needed=needed, computed=computed)


@dataclass
class BatchRunner:
    """Runs batches, and halves those that do not fit into a GPU's memory.

    Attributes:
        forward: (rows [N], L, group) -> float32 [N, D].
        backed_off: how many batches had to be halved. Their vectors may differ in the last bits
            from those of a larger device, so a run should say so.
    """

    forward: Forward
    backed_off: int = 0

    def run(self, batches: Iterable[CanonicalBatch], rows: int, dim: int) -> NDArray[np.float32]:
        """Vectors in the order of the input, float32 [B, D]; rows in no batch are zero.

        Raises:
            CapacityError: a single row does not fit.
        """
        vectors = np.zeros((rows, dim), dtype=np.float32)
        for batch in batches:
            result = self._halving(batch.rows, batch.tokens, batch.group)
            vectors[batch.rows[: batch.kept]] = result[: batch.kept]
        return vectors

    def _halving(self, rows: NDArray[np.int64], tokens: int, group: str) -> NDArray[np.float32]:
        try:
            return self.forward(rows, tokens, group)
        except torch.OutOfMemoryError:
            if len(rows) == 1:
                raise CapacityError(
                    f"GPU memory: must hold one text of {tokens} tokens, but does not; lower "
                    "model.max_tokens, use dtype bfloat16 or a larger GPU"
                ) from None
        # Outside the except block, so that the failed attempt's tensors are free to go.
        torch.cuda.empty_cache()
        if not self.backed_off:
            _LOG.warning(
                "GPU out of memory at %d x %d tokens: halved; lower model.batch_tokens to avoid it",
                len(rows),
                tokens,
            )
        self.backed_off += 1
        half = len(rows) // 2
        parts = (rows[:half], rows[half:])
        return np.concatenate([self._halving(part, tokens, group) for part in parts])
