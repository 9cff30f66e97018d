"""From sums of feature rows to the vector of a text.

Shape legend: B texts, N tokens of all texts, U distinct tokens, W width of a row, V of a word, P of
a pair, D width of a vector.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional


class WordBagHead(nn.Module):
    """From sums of feature rows, one per distinct token, to the vectors of texts."""

    def __init__(self, config: Any) -> None:
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
