"""What a word bag makes of speech: letters that a recogniser spelled, some of them wrong.

They are read as words, by the rows that text has; as n-grams across the words, by the same rows,
since it mishears where words end; and as n-grams of sounds, by a few rows of their own, for scripts
whose rows know nothing of Latin letters. Which words can be trusted is learned: the network behind
the rows begins as a copy of the text's.

B items, U distinct words, F n-grams, A rows, W width of a row, V of a word, P of a pair, D of a
vector.
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
from encoders.wordbag.head import WordBagHead
from encoders.wordbag.quantise import dequantise_rows, quantise_rows

# Of letters as they are, and of classes of them: what is mistaken most is which vowel, and voiced
# for unvoiced.
_ORDERS, _CLASS_ORDERS = (3, 4), (4, 5)
_CLASSES = str.maketrans("abcdefghijklmnopqrstuvwxyz", "ABSDAFGHAIGLMMABGRSDAFFSIS")


class Ears(nn.Module):
    """The network that reads what is heard.

    Attributes:
        head: as of text.
        doubt: by how much a word weighs more if all of its n-grams are known, before the softplus.
        table: rows of n-grams of sounds, float32 [A, W].
    """

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.head = WordBagHead(config)
        self.doubt = nn.Parameter(torch.zeros(()))
        self.table = nn.Parameter(torch.zeros(config.heard_rows, config.width))
        self.across = nn.Linear(config.width, config.word, bias=False)
        self.widen = nn.Linear(config.width, config.word, bias=False)
        nn.init.zeros_(self.across.weight)

    def words(
        self, sums: torch.Tensor, known: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """What each word adds to a bag [U, V], and its left and right half [U, P].

        Args:
            sums: of feature rows, [U, W].
            known: share of a word's features that have a row, [U, 1].
        """
        return self.head.words(sums, self.doubt * (known - 1))

    def texts(
        self, bags: torch.Tensor, pairs: torch.Tensor, across: torch.Tensor, heard: torch.Tensor
    ) -> torch.Tensor:
        """Vectors [B, D], of any length.

        Args:
            bags: summed words [B, V].
            pairs: summed pairs [B, P].
            across: sums of the text's rows for n-grams across words, [B, W].
            heard: sums of the ears' own rows, [B, W].
        """
        return self.head.texts(bags + self.across(across) + self.widen(heard), pairs)

    def heard(self, grams: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
        """Sums of own rows over the square root of their number, [B, W].

        Args:
            grams: int64 [F], rows of n-grams, item after item.
            offsets: int64 [B + 1], where each item begins in ``grams``, and the end.
        """
        sums = functional.embedding_bag(grams, self.table, offsets[:-1], mode="sum")
        return sums / offsets.diff().clamp_min(1).sqrt().unsqueeze(1)


def heard_grams(joined: Sequence[str], rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Own rows of the n-grams of each text.

    Args:
        joined: letters of B items, without spaces.
        rows: A.

    Returns:
        int64 [F] in 0 ... A - 1, and offsets int64 [B + 1].
    """
    found, owners = [], []
    for views, orders in (
        ([f"<{text}>" for text in joined], _ORDERS),
        ([f"<{text.translate(_CLASSES)}>" for text in joined], _CLASS_ORDERS),
    ):
        hashes, owner = span_hashes(views, orders)
        found.append(hashes)
        owners.append(owner)
    hashes, offsets = by_owner(np.concatenate(found), np.concatenate(owners), len(joined))
    return (hashes % np.uint32(rows)).astype(np.int64), offsets


def across_hashes(joined: Sequence[str]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Hashes of the n-grams that text has rows for, of letters without spaces.

    Returns:
        uint32 [F], and offsets int64 [B + 1].
    """
    hashes, owner = span_hashes(joined, (4, 5))
    return by_owner(hashes, owner, len(joined))


def by_owner(
    hashes: NDArray[np.uint32], owner: NDArray[np.int64], owners: int
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Hashes [F] sorted by whose they are, and offsets int64 [B + 1]."""
    order = np.argsort(owner, kind="stable")
    counts = np.bincount(owner, minlength=owners)
    return hashes[order], np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def packed_rows(table: torch.Tensor) -> dict[str, torch.Tensor]:
    """Rows in 4 bits: ``codes`` uint8 [A, W / 2] and ``scales`` float16 [A]."""
    codes, scales = quantise_rows(table)
    return {"codes": codes, "scales": scales}


def unpacked_rows(packed: dict[str, torch.Tensor]) -> torch.Tensor:
    """Rows float32 [A, W] of :func:`packed_rows`."""
    return dequantise_rows(packed["codes"], packed["scales"])
