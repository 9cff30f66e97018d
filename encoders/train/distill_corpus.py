"""Training rows as arrays: texts as token ids, tokens as feature rows, and how often each is drawn.

Shape legend: R rows, X distinct texts, N tokens of all texts, T distinct tokens, F their features,
K features of the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encoders.train.distill_data import Row
from encoders.wordbag.features import token_features, tokens_of

Ints = NDArray[np.int64]

# How often a source is drawn within a language, times the square root of its rows: sentences of
# many kinds of words before lists of names. Sources not named here are dictionaries.
SOURCE_WEIGHTS = {
    "flores": 8.0, "story_game": 4.0, "office_help": 2.0, "desktop_guide": 2.5,
    "wiki_interface": 1.5, "office_interface": 1.0, "cldr_names": 0.7, "map_tags": 0.7,
    "words": 2.0, "salads": 1.5, "iso-codes_4.15.0-1_all.deb": 0.5,
    "libgweather-4-common_4.2.0-2_all.deb": 1.0,
}  # fmt: skip
DICTIONARY_WEIGHT = 3.0
# Languages that share little of their spelling, or have little text.
LANGUAGE_WEIGHTS = {
    "ara": 1.6, "jpn": 1.6, "zho": 1.6, "tam": 1.6, "mon": 1.5, "fas": 1.6, "lav": 1.3, "est": 1.3,
    "tur": 1.3, "rus": 1.3, "slv": 1.1, "eng": 1.0,
}  # fmt: skip
_WHOLE_SHARE = 0.5  # of the table, for whole words and windows; the rest is n-grams


@dataclass(frozen=True, kw_only=True)
class Ragged:
    """Lists of numbers end to end: list i is ``values[offsets[i]:offsets[i + 1]]``."""

    values: NDArray[np.int32]
    offsets: Ints

    def take(self, index: Ints) -> tuple[NDArray[np.int32], Ints]:
        """The chosen lists end to end, and where each begins."""
        begin, size = self.offsets[index], self.offsets[index + 1] - self.offsets[index]
        starts = np.cumsum(size) - size
        at = np.arange(size.sum()) + np.repeat(begin - starts, size)
        return self.values[at], starts

    def keep(self, mask: NDArray[np.bool_]) -> Ragged:
        """Without the values where ``mask`` [N] is false."""
        kept = np.concatenate([[0], np.cumsum(mask)])
        return Ragged(values=self.values[mask], offsets=kept[self.offsets])


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """What training draws from.

    Attributes:
        rows: the R rows.
        text, english: int64 [R], text ids of both sides.
        chance: float64 [R], how likely a row is drawn; sums to 1.
        tokens: of the X texts.
        features: table rows of the T distinct tokens.
        whole: bool, for each value of ``features``: a whole word or window, no n-gram.
        keys: uint32 [K], sorted hashes of the table's features.
    """

    rows: Sequence[Row]
    text: Ints
    english: Ints
    chance: NDArray[np.float64]
    tokens: Ragged
    features: Ragged
    keys: NDArray[np.uint32]


def build_corpus(rows: Sequence[Row], table_rows: int) -> Corpus:
    """Tokenise, choose the features of the table, and drop all others.

    Args:
        rows: training rows.
        table_rows: K, most features in the table.
    """
    ids: dict[str, int] = {}
    text = np.array([ids.setdefault(row.text, len(ids)) for row in rows])
    english = np.array([ids.setdefault(row.english, len(ids)) for row in rows])
    tokens, names = _tokenise(list(ids))
    chance = _chances(rows)
    hashes, offsets = token_features(names)
    mass = np.bincount(text, weights=chance, minlength=len(ids))
    mass += np.bincount(english, weights=chance, minlength=len(ids))
    sizes = np.diff(tokens.offsets)
    token_mass = np.bincount(tokens.values, np.repeat(mass, sizes), minlength=len(names))
    whole = _whole_mask(names, offsets)
    keys = _choose(hashes, np.repeat(token_mass, np.diff(offsets)), whole, table_rows)
    place = np.minimum(np.searchsorted(keys, hashes), len(keys) - 1)
    features = Ragged(values=place.astype(np.int32), offsets=offsets).keep(keys[place] == hashes)
    known = np.diff(features.offsets) > 0
    tokens = tokens.keep(known[tokens.values])
    usable = (np.diff(tokens.offsets)[text] > 0) & (np.diff(tokens.offsets)[english] > 0)
    chance = np.where(usable, chance, 0.0)
    return Corpus(
        rows=rows,
        text=text,
        english=english,
        chance=chance / chance.sum(),
        tokens=tokens,
        features=features,
        keys=keys,
    )


def _tokenise(texts: Sequence[str]) -> tuple[Ragged, list[str]]:
    ids: dict[str, int] = {}
    values: list[int] = []
    sizes = np.zeros(len(texts), dtype=np.int64)
    for index, text in enumerate(texts):
        tokens = tokens_of(text)
        sizes[index] = len(tokens)
        values.extend(ids.setdefault(token, len(ids)) for token in tokens)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    return Ragged(values=np.array(values, dtype=np.int32), offsets=offsets), list(ids)


def _chances(rows: Sequence[Row]) -> NDArray[np.float64]:
    """Language by its weight; in it, source by its weight times the square root of its rows."""
    groups: dict[tuple[str, str], int] = {}
    group = np.array([groups.setdefault((row.lang, row.source), len(groups)) for row in rows])
    counts = np.bincount(group)
    weight = np.array(
        [SOURCE_WEIGHTS.get(source, DICTIONARY_WEIGHT) for _, source in groups]
    ) * np.sqrt(counts)
    langs = [lang for lang, _ in groups]
    for lang in set(langs):
        mine = np.array([other == lang for other in langs])
        weight[mine] *= LANGUAGE_WEIGHTS.get(lang, 1.0) / weight[mine].sum()
    chance = (weight / counts)[group]
    scaled: NDArray[np.float64] = chance / chance.sum()
    return scaled


def _whole_mask(names: Sequence[str], offsets: Ints) -> NDArray[np.bool_]:
    """Which features are whole words or windows rather than n-grams [F]."""
    mask = np.zeros(offsets[-1], dtype=bool)
    for index, name in enumerate(names):
        begin, end = offsets[index], offsets[index + 1]
        spellings = 1  # the last features of a token are its whole spellings
        if name[0] >= "\u3041" and end - begin <= 3:
            spellings = end - begin
        elif not name.isascii():
            spellings = 2
        mask[max(begin, end - spellings) : end] = True
    return mask


def _choose(
    hashes: NDArray[np.uint32],
    mass: NDArray[np.float64],
    whole: NDArray[np.bool_],
    table_rows: int,
) -> NDArray[np.uint32]:
    """The most useful features, sorted.

    Whole words compete by how often they are drawn; n-grams by the summed square roots of that over
    their words, so that one frequent word does not buy rows for all of its parts.
    """
    chosen: NDArray[np.uint32] = np.zeros(0, dtype=np.uint32)
    for mask, score, share in (
        (whole, mass, int(_WHOLE_SHARE * table_rows)),
        (~whole, np.sqrt(mass), table_rows),
    ):
        unique, inverse = np.unique(hashes[mask], return_inverse=True)
        total = np.bincount(inverse, weights=score[mask])
        total[np.isin(unique, chosen)] = 0.0
        best = np.argsort(-total, kind="stable")[: share - len(chosen)]
        chosen = np.union1d(chosen, unique[best[total[best] > 0]])
    return chosen
