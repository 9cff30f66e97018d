"""From texts, written or heard, to vectors.

B items, U distinct known tokens, N tokens of all items, F features, W width of a row, V of a word, P
of a pair, D of a vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from encoders.wordbag.features import token_features, tokens_of
from encoders.wordbag.model import WordBagModel, in_blocks


def vectors_of(model: WordBagModel, texts: Sequence[str], spoken: Sequence[bool]) -> torch.Tensor:
    """Vectors [B, D], not yet of unit length; zero where no feature is known.

    Sums run in the order of the text, and matrix products in blocks of a fixed shape, so an item has
    the same vector, bit for bit, whatever its neighbours (on one kind of processor and one version
    of torch).

    Args:
        model: with ears, where anything is spoken.
        texts: B texts; of speech the words that it was taken for.
        spoken: whether each is speech.
    """
    found = torch.zeros(len(texts), model.config.dim)
    for is_speech, head in ((False, model.head), (True, model.ears)):
        rows = [row for row, one in enumerate(spoken) if one == is_speech]
        if rows:
            if head is None:
                raise ValueError("texts: must be written ones for a word bag without ears")
            words = _read(model, [texts[row] for row in rows])
            bags, pairs = _pooled(words, in_blocks(head.words, words.sums), model)
            (vectors,) = in_blocks(head.texts, bags, pairs)
            vectors = vectors.float() * words.any_known.unsqueeze(1)
            found = found.index_copy(0, torch.tensor(rows), vectors)
    return found


@dataclass(frozen=True, kw_only=True, eq=False)
class _Words:
    """The words of B items.

    Attributes:
        sums: of the feature rows of each distinct known token, [U, W].
        flat: int64 [N], rows of ``sums``, item after item.
        starts: int64, where each item of ``kept`` begins in ``flat``.
        kept: int64, items of which a token is known.
        any_known: whether one is [B].
    """

    sums: torch.Tensor
    flat: torch.Tensor
    starts: torch.Tensor
    kept: torch.Tensor
    any_known: torch.Tensor


def _read(model: WordBagModel, texts: Sequence[str]) -> _Words:
    ids: dict[str, int] = {}
    tokens = [[ids.setdefault(word, len(ids)) for word in tokens_of(text)] for text in texts]
    hashes, offsets = token_features(list(ids))
    rows, counts = _known_rows(model, hashes, offsets)
    is_known = counts > 0
    place = np.cumsum(is_known) - 1  # of a token among those with a known feature
    words = [[int(place[t]) for t in row if counts[t]] for row in tokens]
    kept = [row for row, found in enumerate(words) if found]
    starts = (np.cumsum(counts) - counts)[is_known]
    sums = torch.zeros(0, model.config.width)
    if len(rows):
        sums = model.sums(torch.from_numpy(rows), torch.from_numpy(starts))
    sizes = np.array([len(words[row]) for row in kept], dtype=np.int64)
    flat = np.concatenate([np.zeros(0, np.int64), *(np.array(words[row]) for row in kept)])
    any_known = torch.zeros(len(texts), dtype=torch.bool)
    any_known[kept] = True
    return _Words(
        sums=sums,
        flat=torch.from_numpy(flat.astype(np.int64)),
        starts=torch.from_numpy(np.cumsum(sizes) - sizes),
        kept=torch.tensor(kept, dtype=torch.int64),
        any_known=any_known,
    )


def _pooled(
    words: _Words, parts: tuple[torch.Tensor, ...], model: WordBagModel
) -> tuple[torch.Tensor, torch.Tensor]:
    """Summed words [B, V] and summed pairs [B, P]."""
    bags = torch.zeros(len(words.any_known), model.config.word)
    pairs = torch.zeros(len(words.any_known), model.config.pair)
    if not len(words.kept):
        return bags, pairs
    gated, left, right = parts
    pooled = model.head.pool(gated, left, right, words.flat, words.starts)
    return bags.index_copy(0, words.kept, pooled[0]), pairs.index_copy(0, words.kept, pooled[1])


def _known_rows(
    model: WordBagModel, hashes: NDArray[np.uint32], offsets: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Table rows of the known features [F], and how many each owner has."""
    keys = model.keys.numpy().view(np.uint32)
    place = np.minimum(np.searchsorted(keys, hashes), len(keys) - 1)
    known = keys[place] == hashes
    before = np.concatenate([[0], np.cumsum(known)])
    return place[known], np.diff(before[offsets])
