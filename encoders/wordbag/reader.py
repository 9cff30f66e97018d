"""From texts, written or spelled by a recogniser, to vectors.

B items, U distinct known tokens, N tokens of all items, F features, V width of a word, P of a pair,
D of a vector.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from encoders.wordbag.ears import heard_grams
from encoders.wordbag.features import token_features, tokens_of
from encoders.wordbag.model import WordBagModel, in_blocks


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread for a while.

    Products are small here: threads gain little, and waste nearly all time waiting for each other
    when other processes hold the cores.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def vectors_of(model: WordBagModel, texts: Sequence[str], spoken: Sequence[bool]) -> torch.Tensor:
    """Vectors [B, D], not yet of unit length; zero where no feature is known.

    Sums run in the order of the text, and matrix products in blocks of a fixed shape, so an item has
    the same vector, bit for bit, whatever its neighbours (on one kind of processor and one version
    of torch).

    Args:
        model: with ears, where anything is spoken.
        texts: B texts; of speech the letters that were recognised.
        spoken: whether each is speech.
    """
    bags, pairs, known = _bags(model, texts)
    ears = model.ears
    heard = [row for row, is_speech in enumerate(spoken) if is_speech]
    if ears is not None and heard:
        grams, offsets = heard_grams([texts[row] for row in heard], model.config.heard_rows)
        sums = ears.heard(torch.from_numpy(grams), torch.from_numpy(offsets[:-1]))
        rows = torch.tensor(heard)
        changed = in_blocks(ears, bags[rows], pairs[rows], sums)
        bags, pairs = bags.index_copy(0, rows, changed[0]), pairs.index_copy(0, rows, changed[1])
        known = known.index_copy(0, rows, known[rows] | torch.from_numpy(np.diff(offsets) > 0))
    (found,) = in_blocks(model.head.texts, bags, pairs)
    return found.float() * known.unsqueeze(1)


def _bags(
    model: WordBagModel, texts: Sequence[str]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Summed words [B, V], summed pairs [B, P], and whether anything is known of an item [B]."""
    ids: dict[str, int] = {}
    tokens = [[ids.setdefault(word, len(ids)) for word in tokens_of(text)] for text in texts]
    rows, counts = _rows(model, list(ids))
    place = np.cumsum(counts > 0) - 1  # of a token among those with a known feature
    words = [[int(place[t]) for t in row if counts[t]] for row in tokens]
    kept = [row for row, found in enumerate(words) if found]
    config = model.config
    bags = torch.zeros(len(texts), config.word)
    pairs = torch.zeros(len(texts), config.pair)
    known = torch.zeros(len(texts), dtype=torch.bool)
    if not kept:
        return bags, pairs, known
    counts = counts[counts > 0]
    sums = model.sums(torch.from_numpy(rows), torch.from_numpy(np.cumsum(counts) - counts))
    sizes = np.array([len(words[row]) for row in kept])
    flat = torch.from_numpy(np.concatenate([words[row] for row in kept]))
    starts = torch.from_numpy(np.cumsum(sizes) - sizes)
    gated, left, right = in_blocks(model.head.words, sums)
    pooled = model.head.pool(gated, left, right, flat, starts)
    places = torch.tensor(kept)
    known[places] = True
    return bags.index_copy(0, places, pooled[0]), pairs.index_copy(0, places, pooled[1]), known


def _rows(model: WordBagModel, words: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Table rows of the known features of each word [F], and how many each has [U]."""
    keys = model.keys.numpy().view(np.uint32)
    hashes, offsets = token_features(words)
    place = np.minimum(np.searchsorted(keys, hashes), len(keys) - 1)
    known = keys[place] == hashes
    before = np.concatenate([[0], np.cumsum(known)])
    return place[known], np.diff(before[offsets])
