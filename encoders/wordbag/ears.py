"""The rows of a word bag for what is heard: n-grams of letters, whatever the words are.

A recogniser's letters are read twice: as words, by the rows that text has, and as n-grams across
the words, by rows of their own, since it mishears where words end and how they are spelled.

B items, F n-grams, A rows, W width of a row, V of a word, P of a pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from encoders.wordbag.features import span_hashes
from encoders.wordbag.quantise import dequantise_rows, quantise_rows

# Of letters as they are, of their classes, and of the classes of consonants alone: what is mistaken
# most is which vowel, and voiced for unvoiced.
_ORDERS, _CLASS_ORDERS, _SKELETON_ORDERS = (3, 4, 5), (4, 5, 6), (3, 4, 5)
_CLASSES = str.maketrans("abcdefghijklmnopqrstuvwxyz", "ABSDAFGHAIGLMMABGRSDAFFSIS")
_SKELETONS = str.maketrans("abcdefghijklmnopqrstuvwxyz", ".bsd.fg..jglmm.bgrsd.ffs.s")


class Ears(nn.Module):
    """What speech adds to the bag of its words.

    Attributes:
        table: rows of n-grams, float32 [A, W].
    """

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(config.heard_rows, config.width))
        self.widen = nn.Linear(config.width, config.word, bias=False)
        self.trust = nn.Parameter(torch.ones(config.word))
        self.pair_trust = nn.Parameter(torch.ones(config.pair))

    def heard(self, grams: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
        """Sums of n-gram rows [B, W].

        Args:
            grams: int64 [F], rows of n-grams, item after item.
            offsets: int64 [B], where each item begins in ``grams``.
        """
        return functional.embedding_bag(grams, self.table, offsets, mode="sum")

    def forward(
        self, bags: torch.Tensor, pairs: torch.Tensor, heard: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Bags [B, V] and pairs [B, P] with what is heard in them [B, W]."""
        return bags * self.trust + self.widen(heard), pairs * self.pair_trust


def heard_grams(spelled: Sequence[str], rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the n-grams of letters of each text, spaces left out.

    Args:
        spelled: B texts of the recogniser's letters.
        rows: A.

    Returns:
        int64 [F] in 0 ... A - 1, and offsets int64 [B + 1].
    """
    joined = [text.replace(" ", "") for text in spelled]
    found, owners = [], []
    for views, orders in (
        ([f"<{text}>" for text in joined], _ORDERS),
        ([f"<{text.translate(_CLASSES)}>" for text in joined], _CLASS_ORDERS),
        ([f"({text.translate(_SKELETONS).replace('.', '')})" for text in joined], _SKELETON_ORDERS),
    ):
        hashes, owner = span_hashes(views, orders)
        found.append(hashes)
        owners.append(owner)
    owner = np.concatenate(owners)
    order = np.argsort(owner, kind="stable")
    counts = np.bincount(owner, minlength=len(joined))
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return (np.concatenate(found)[order] % np.uint32(rows)).astype(np.int64), offsets


def packed_rows(table: torch.Tensor) -> dict[str, torch.Tensor]:
    """Rows in 4 bits: ``codes`` uint8 [A, W / 2] and ``scales`` float16 [A]."""
    codes, scales = quantise_rows(table)
    return {"codes": codes, "scales": scales}


def unpacked_rows(packed: dict[str, torch.Tensor]) -> torch.Tensor:
    """Rows float32 [A, W] of :func:`packed_rows`."""
    return dequantise_rows(packed["codes"], packed["scales"])
