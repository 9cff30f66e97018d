"""Word-by-word translations of English sentences: sentences for words that only dictionaries hold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from encoders.train.distill_corpus import Corpus, Ints, Ragged

_LONGEST = 4  # tokens of a translation
_KEPT = 0.3  # chance that a word without a translation stays English


class Glossary:
    """Translations of single English words, out of the rows that translate one word.

    Attributes:
        langs: int64 [R], language number of each row.
    """

    def __init__(self, corpus: Corpus) -> None:
        names = {lang: n for n, lang in enumerate(sorted({row.lang for row in corpus.rows}))}
        self.langs: Ints = np.array([names[row.lang] for row in corpus.rows])
        self._corpus = corpus
        self._size = len(corpus.features.offsets)
        sizes = np.diff(corpus.tokens.offsets)
        entry = (sizes[corpus.english] == 1) & (sizes[corpus.text] <= _LONGEST)
        rows = np.flatnonzero(entry & (sizes[corpus.text] > 0) & (corpus.text != corpus.english))
        word = corpus.tokens.values[corpus.tokens.offsets[corpus.english[rows]]]
        keys = self.langs[rows] * self._size + word
        order = np.argsort(keys, kind="stable")
        self._keys, self._texts = keys[order], corpus.text[rows][order]

    def translate(self, rows: Ints, rng: np.random.Generator) -> tuple[NDArray[np.int32], Ints]:
        """Glosses of the English side of rows: tokens end to end, and how many each row has."""
        words, starts = self._corpus.tokens.take(self._corpus.english[rows])
        sizes = np.diff(np.append(starts, len(words)))
        keys = np.repeat(self.langs[rows], sizes) * self._size + words
        low = np.searchsorted(self._keys, keys)
        count = np.searchsorted(self._keys, keys, side="right") - low
        chosen = low + (rng.random(len(keys)) * count).astype(np.int64)
        chosen = np.minimum(chosen, len(self._keys) - 1)
        found, begins = self._corpus.tokens.take(self._texts[chosen])
        lengths = np.diff(np.append(begins, len(found)))
        kept = np.where(rng.random(len(keys)) < _KEPT, 1, 0)
        lengths = np.where(count > 0, lengths, kept)
        pool = np.concatenate([found, words])
        begins = np.where(count > 0, begins, len(found) + np.arange(len(words)))
        at = np.cumsum(lengths) - lengths
        index = np.arange(lengths.sum()) + np.repeat(begins - at, lengths)
        owner = np.repeat(np.arange(len(rows)), sizes)
        return pool[index], np.bincount(owner, weights=lengths, minlength=len(rows)).astype(int)


def with_glosses(
    glossary: Glossary,
    tokens: Ragged,
    texts: Ints,
    rows: Ints,
    chosen: NDArray[np.bool_],
    rng: np.random.Generator,
) -> tuple[NDArray[np.int32], Ints]:
    """Tokens of texts and where each begins; ``chosen`` ones are glosses of their row's English.

    A gloss of fewer than two tokens is not used.
    """
    own, starts = tokens.take(texts)
    sizes = np.diff(np.append(starts, len(own)))
    glosses, counts = glossary.translate(rows[chosen], rng)
    at = np.cumsum(counts) - counts
    use = counts >= 2
    index = np.flatnonzero(chosen)[use]
    starts, sizes = starts.copy(), sizes.copy()
    starts[index] = len(own) + at[use]
    sizes[index] = counts[use]
    pool = np.concatenate([own, glosses])
    begins = np.cumsum(sizes) - sizes
    return pool[np.arange(sizes.sum()) + np.repeat(starts - begins, sizes)], begins
