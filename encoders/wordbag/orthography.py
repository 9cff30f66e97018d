"""How a text is spelled, as a vector: which Latin letters, and pairs of them, stand where in it.

A weak recogniser gets few words right, and one that is wrong says nothing of what is meant; but of
its letters a good part are right, and in their order. A letter's place is relative to the whole and
soft, so that letters that were left out or put in shift the rest only a little. Letters of all
scripts are romanised as the small recogniser's are.

Shape legend: B texts, N letters of all texts, P places, F features, D width.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from encoders.audio_tokens.letters import letters

_LETTERS = 26
_BLOCK = 256  # texts whose features are held at once, and rows of the matrix product
# Places and their spread, of letters and of pairs: nearest by these features alone found 0.51 and
# 0.55 of held-out clips of people among 2,000 sentences as long, both together 0.61; with one place
# for a whole text pairs find 0.24.
_OF_LETTERS = (24, 0.035)
_OF_PAIRS = (8, 0.08)
FEATURES = _LETTERS * _OF_LETTERS[0] + _LETTERS**2 * _OF_PAIRS[0]


class Orthography(nn.Module):
    """A linear map of where letters stand; as it is drawn, it keeps similarities roughly.

    Args:
        width: D.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.map = nn.Linear(FEATURES, width)
        nn.init.normal_(self.map.weight, std=FEATURES**-0.5)
        nn.init.zeros_(self.map.bias)

    def forward(self, texts: Sequence[str]) -> torch.Tensor:
        """Unit vectors [B, D]; zero of a text without letters.

        A text's vector is the same, bit for bit, whatever its neighbours.
        """
        blocks = []
        for start in range(0, len(texts), _BLOCK):
            found = torch.from_numpy(letter_places(texts[start : start + _BLOCK]))
            rows = self.map(functional.pad(found, (0, 0, 0, _BLOCK - len(found))))[: len(found)]
            blocks.append(
                functional.normalize(rows.float(), dim=1) * found.any(dim=1, keepdim=True)
            )
        return torch.cat(blocks)


def letter_places(texts: Sequence[str]) -> NDArray[np.float32]:
    """Features [B, F] of texts: those of letters and those of pairs each of unit length, or zero."""
    spelled = [letters(text).replace(" ", "").encode("ascii") for text in texts]
    sizes = np.array([len(one) for one in spelled], dtype=np.int64)
    codes = np.frombuffer(b"".join(spelled), dtype=np.uint8).astype(np.int64) - ord("a")
    owner = np.repeat(np.arange(len(texts)), sizes)
    place = np.arange(len(codes)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    relative = (place + 0.5) / sizes[owner]
    single = _soft_counts(owner, codes, relative, (len(texts), _LETTERS), _OF_LETTERS)
    first = np.flatnonzero(place[:-1] + 1 < sizes[owner[:-1]]) if len(codes) else place
    pairs = codes[first] * _LETTERS + codes[first + 1]
    between = (place[first] + 1) / sizes[owner[first]]
    both = _soft_counts(owner[first], pairs, between, (len(texts), _LETTERS**2), _OF_PAIRS)
    return np.concatenate([single, both], axis=1).astype(np.float32)


def _soft_counts(
    owner: NDArray[np.int64],
    kinds: NDArray[np.int64],
    relative: NDArray[np.float64],
    shape: tuple[int, int],
    places: tuple[int, float],
) -> NDArray[np.float64]:
    """How much of each kind is near each place, of unit length: [B, P x kinds]."""
    count, spread = places
    texts, many = shape
    found = np.zeros((texts, count, many))
    for number in range(count):
        near = np.exp(-(((relative - (number + 0.5) / count) / spread) ** 2) / 2)
        sums = np.bincount(owner * many + kinds, weights=near, minlength=texts * many)
        found[:, number] = sums.reshape(texts, many)
    flat = found.reshape(texts, -1)
    unit: NDArray[np.float64] = flat / np.maximum(
        np.linalg.norm(flat, axis=1, keepdims=True), 1e-12
    )
    return unit
