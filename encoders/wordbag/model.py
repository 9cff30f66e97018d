"""The network of a bag of words with word order in small: hashed features to a unit vector.

Shape legend: B texts, N tokens of all texts, U distinct tokens, F their features, W width of a
row, V of a word, P of a pair, H hidden width, D width of a vector.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import PretrainedConfig, PreTrainedModel

from encoders.wordbag.head import WordBagHead
from encoders.wordbag.orthography import Orthography
from encoders.wordbag.quantise import dequantise_rows

BLOCK = 256  # rows of a matrix product in inference


class WordBagConfig(PretrainedConfig):  # type: ignore[misc]
    """Sizes of a word bag.

    Attributes:
        rows: R, features in the table.
        width: W, of a row; even.
        word: V, of a word in the sum over a text.
        hidden: H, of the output network.
        pair: P, of the network that reads two neighbouring words.
        dim: D, of the vector of what is meant.
        hears: whether speech has a network of its own behind the rows.
        orthography: width of what says how a text is spelled, behind what says what it means; 0: none.
        written_share: of it in the squared length of a text's vector.
        heard_share: of it in that of speech, whose words are less certain than its letters.
    """

    model_type = "wordbag"

    def __init__(
        self,
        rows: int = 1024,
        width: int = 128,
        word: int = 384,
        hidden: int = 512,
        pair: int = 128,
        dim: int = 512,
        hears: bool = False,
        orthography: int = 0,
        written_share: float = 0.2,
        heard_share: float = 0.8,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.rows = rows
        self.width = width
        self.word = word
        self.hidden = hidden
        self.pair = pair
        self.dim = dim
        self.hears = hears
        self.orthography = orthography
        self.written_share = written_share
        self.heard_share = heard_share


def in_blocks(
    network: Callable[..., torch.Tensor | tuple[torch.Tensor, ...]], *rows: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """What a network makes of rows, in blocks of ``BLOCK`` of them.

    A matrix product may add in another order when its shape changes; in blocks of one shape what
    becomes of a row does not depend on its neighbours.
    """
    count = len(rows[0])
    filled = [torch.split(functional.pad(one, (0, 0, 0, -count % BLOCK)), BLOCK) for one in rows]
    found = [network(*block) for block in zip(*filled, strict=True)]
    parts = [(one,) if isinstance(one, torch.Tensor) else one for one in found]
    return tuple(torch.cat(one)[:count] for one in zip(*parts, strict=True))


class WordBagModel(PreTrainedModel):  # type: ignore[misc]
    """A table of 4-bit rows, the sorted hashes that select them, and the head.

    Buffers:
        keys: int64 [R], sorted feature hashes (below 2^32).
        table: uint8 [R, W / 2], two 4-bit values a byte; see :mod:`encoders.wordbag.quantise`.
        scales: float16 [R].
    """

    config_class = WordBagConfig
    base_model_prefix = "wordbag"

    def __init__(self, config: WordBagConfig) -> None:
        super().__init__(config)
        self.head = WordBagHead(config)
        self.register_buffer("keys", torch.zeros(config.rows, dtype=torch.int32))
        table = torch.zeros(config.rows, config.width // 2, dtype=torch.uint8)
        self.register_buffer("table", table)
        self.register_buffer("scales", torch.zeros(config.rows, dtype=torch.float16))
        self.ears = WordBagHead(config) if config.hears else None
        self.orthography = Orthography(config.orthography) if config.orthography else None
        self.post_init()

    @property
    def vector_dim(self) -> int:
        """Width of the whole vector: what is meant, and how it is spelled."""
        return int(self.config.dim + self.config.orthography)

    def _init_weights(self, module: nn.Module) -> None:
        """Weights come from training or from a file; there is nothing to draw."""

    def sums(self, rows: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
        """Scaled sums of feature rows, [U, W].

        Args:
            rows: int64 [F], rows of the table, token after token.
            offsets: int64 [U], where each token begins in ``rows``; no token is empty.
        """
        used, places = torch.unique(rows, return_inverse=True)
        values = dequantise_rows(self.table[used], self.scales[used])
        return bag_sums(values, places, offsets)


def bag_sums(values: torch.Tensor, rows: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
    """Sum of the rows of each token over the square root of their number, [U, W]."""
    sums = functional.embedding_bag(rows, values, offsets, mode="sum")
    ends = torch.cat([offsets[1:], offsets.new_tensor([len(rows)])])
    return sums / (ends - offsets).sqrt().unsqueeze(1)
