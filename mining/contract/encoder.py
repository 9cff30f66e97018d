"""What an encoder is: segments in, unit vectors out, in a space with a name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """What a network that pads had to compute, by the rows alone.

    Attributes:
        needed: tokens of the rows, as far as the network takes them.
        computed: with the padding, and with rows that only fill up a batch.
    """

    needed: int = 0
    computed: int = 0


@dataclass(frozen=True, kw_only=True)
class EmbeddingBatch:
    """Vectors of one batch of segments.

    Attributes:
        vectors: float32 [B, D], row i belongs to row i of the batch. Rows named in ``problems`` are
            ignored by the caller.
        problems: row -> why it has no vector (one line). Such rows are rejected as ``no_embedding``.
        tokens: of its batches; none where nothing is padded.
    """

    vectors: NDArray[np.float32]
    problems: Mapping[int, str] = field(default_factory=dict)
    tokens: Tokens = field(default_factory=Tokens)


@runtime_checkable
class Encoder(Protocol):
    """One network (or one table of vectors) that embeds segments.

    Two encoders may be mined against each other if and only if their ``space`` is equal.
    """

    @property
    def name(self) -> str:
        """Short name for people."""

    @property
    def dim(self) -> int:
        """D, the width of a vector."""

    @property
    def space(self) -> str:
        """Name of the embedding space; equal names mean comparable vectors."""

    @property
    def modalities(self) -> frozenset[str]:
        """Subset of {"text", "speech"}."""

    @property
    def fingerprint(self) -> str:
        """Hex digest of everything that decides a vector: weights, vocabulary, settings."""

    def embed(self, batch: pa.RecordBatch) -> EmbeddingBatch:
        """Embed the rows of a SEGMENT batch (columns segment_id, doc_id, lang, text, ...).

        Speech that no recogniser has put into words brings its units in a further column,
        :data:`mining.contract.schemas.FRAMES_COLUMN`.

        The vectors depend only on the batch, never on what was embedded before.
        """
