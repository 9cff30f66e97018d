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

from encoders.wordbag.ears import Ears
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
        dim: D, of a vector.
        heard_rows: A, n-grams of what is heard; 0: it does not hear.
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
        heard_rows: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.rows = rows
        self.width = width
        self.word = word
        self.hidden = hidden
        self.pair = pair
        self.dim = dim
        self.heard_rows = heard_rows


class WordBagHead(nn.Module):
    """From sums of feature rows, one per distinct token, to the vectors of texts."""

    def __init__(self, config: WordBagConfig) -> None:
        super().__init__()
        width, word, pair = config.width, config.word, config.pair
        self.word_norm = nn.LayerNorm(width)
        self.word_direct = nn.Linear(width, word)
        self.word_in = nn.Linear(width, 2 * width)
        self.word_out = nn.Linear(2 * width, word, bias=False)
        self.gate = nn.Linear(width, 1)
        self.left = nn.Linear(width, pair)
        self.right = nn.Linear(width, pair, bias=False)
        self.bag_norm = nn.LayerNorm(word)
        self.pair_norm = nn.LayerNorm(pair)
        self.direct = nn.Linear(word, config.dim)
        self.hidden = nn.Linear(word + pair, config.hidden)
        self.out = nn.Linear(config.hidden, config.dim, bias=False)
        for start_at_zero in (self.word_out, self.gate, self.out):
            nn.init.zeros_(start_at_zero.weight)

    def words(self, sums: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """What each distinct token adds to a bag [U, V], and its left and right half [U, P]."""
        normed = self.word_norm(sums)
        deep = self.word_out(functional.gelu(self.word_in(normed)))
        gated = (self.word_direct(normed) + deep) * functional.softplus(self.gate(normed))
        return gated, self.left(normed), self.right(normed)

    def texts(self, bags: torch.Tensor, pairs: torch.Tensor) -> torch.Tensor:
        """Vectors [B, D], of any length, from summed words [B, V] and summed pairs [B, P]."""
        bag = self.bag_norm(bags)
        both = torch.cat([bag, self.pair_norm(pairs)], dim=1)
        vectors: torch.Tensor = self.direct(bag) + self.out(functional.gelu(self.hidden(both)))
        return vectors

    def forward(
        self, sums: torch.Tensor, tokens: torch.Tensor, offsets: torch.Tensor
    ) -> torch.Tensor:
        """Unit vectors [B, D] of texts.

        Args:
            sums: feature sums of distinct tokens, [U, W].
            tokens: int64 [N], rows of ``sums``, text after text.
            offsets: int64 [B], where each text begins in ``tokens``.
        """
        bags, pairs = self.pool(*self.words(sums), tokens, offsets)
        return functional.normalize(self.texts(bags, pairs).float(), dim=1)

    @staticmethod
    def pool(
        gated: torch.Tensor,
        left: torch.Tensor,
        right: torch.Tensor,
        tokens: torch.Tensor,
        offsets: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Sums over the words [B, V] and the neighbouring words [B, P] of each text."""
        # float(): training multiplies in bfloat16, but sums are float32
        bags = functional.embedding_bag(tokens, gated.float(), offsets, mode="sum")
        meets = functional.relu(left.float()[tokens] + right.float()[torch.roll(tokens, -1)])
        last = torch.cat([offsets[1:], offsets.new_tensor([len(tokens)])]) - 1
        within = torch.ones(len(tokens), 1)
        within[last] = 0.0  # the last token of a text has no neighbour
        places = torch.arange(len(tokens))
        pairs = functional.embedding_bag(places, meets * within, offsets, mode="sum")
        return bags, pairs


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
        self.ears = Ears(config) if config.heard_rows else None
        self.post_init()

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
