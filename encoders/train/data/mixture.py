"""Which pairs make up a batch: a pure function of the seed and the step.

B pairs of a batch, K kinds, G languages of a kind.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encoders.train.data.config import Data
from encoders.train.data.garble import garbled
from encoders.train.data.pairs import KINDS, Kind, PairSource, TrainingPair
from mining.contract.errors import InputError

_LOG = logging.getLogger(__name__)
_TRIES = 16  # draws for a place in the batch before a sentence may stand in it twice


@dataclass(frozen=True, eq=False)
class _Language:
    """Rows of one language, over all sources of a kind."""

    sources: tuple[PairSource, ...]
    rows: tuple[NDArray[np.int64], ...]
    ends: NDArray[np.int64]  # cumulative number of rows, one a source

    def pair(self, number: int) -> TrainingPair:
        place = int(np.searchsorted(self.ends, number, side="right"))
        before = int(self.ends[place - 1]) if place else 0
        return self.sources[place].pair(int(self.rows[place][number - before]))

    def __len__(self) -> int:
        return int(self.ends[-1])


@dataclass(frozen=True, eq=False)
class _Pool:
    """All pairs of a kind."""

    languages: tuple[_Language, ...]
    chances: NDArray[np.float64]  # cumulative, ends with 1

    def draw(self, random: np.random.Generator) -> TrainingPair:
        place = int(np.searchsorted(self.chances, random.random(), side="right"))
        language = self.languages[min(place, len(self.languages) - 1)]
        return language.pair(int(random.integers(len(language))))


class Mixture:
    """Draws batches.

    A batch holds each kind in the proportion of its weight: a whole number of pairs, the ideal one
    rounded down or up, and on average over the steps exactly the ideal one. Within a kind a
    language of n rows is drawn with n to the power ``data.language_power``, over all sources; within
    a language every row alike. Every place of a batch is drawn anew, so there is no epoch to remember.

    Args:
        sources: where pairs come from.
        data: weights, power, and how much clips are garbled.
        batch: B.
        seed: of the run.

    Raises:
        InputError: if no kind has both rows and a weight.
    """

    def __init__(self, sources: Sequence[PairSource], data: Data, batch: int, seed: int) -> None:
        weights: dict[Kind, float] = {kind: getattr(data, kind) for kind in KINDS}
        self._pools: list[_Pool] = []
        self._seed = seed % (1 << 64)
        self._garble = data.garble
        shares: list[float] = []
        for kind in KINDS:
            of_kind = [source for source in sources if source.kind == kind and len(source)]
            if of_kind and weights[kind] > 0:
                self._pools.append(_pool(of_kind, data.language_power))
                shares.append(weights[kind])
            elif weights[kind] > 0:
                _LOG.warning("data.%s: has a weight, but no pairs; it is left out", kind)
        if not self._pools:
            raise InputError(
                "data: must have pairs of a kind with a weight, but has none; see the counts of "
                "rejects, and the weights transcribe, translate and text"
            )
        self._ideal = np.round(np.array(shares) / sum(shares) * batch, 9)

    def batch(self, step: int) -> list[TrainingPair]:
        """The B pairs of a step, whatever was drawn before.

        No sentence stands in it twice, unless there are hardly others.

        Args:
            step: 0-based.
        """
        # counter-based: the stream of a step needs none of the others
        random = np.random.Generator(np.random.Philox(np.random.SeedSequence([self._seed, step])))
        pairs: list[TrainingPair] = []
        taken: set[int] = set()
        for pool, count in zip(self._pools, _counts(self._ideal, random), strict=True):
            for _ in range(count):
                pair = _fresh(pool, taken, random)
                taken.update((pair.source_key, pair.target_key))
                pairs.append(pair)
        return [garbled(pair, self._garble, random) for pair in pairs] if self._garble else pairs


def _counts(ideal: NDArray[np.float64], random: np.random.Generator) -> list[int]:
    """Whole numbers [K], each ``ideal`` rounded down or up, of the same sum, right on average.

    The places that are left by rounding down go to the remainders by systematic sampling; always
    giving them to the largest would never draw a kind whose share of a batch is small.
    """
    edges = np.concatenate([[0.0], np.cumsum(ideal)])
    edges[-1] = round(edges[-1])
    marks = np.floor(edges + random.random())
    return [int(count) for count in np.diff(marks)]


def _fresh(pool: _Pool, taken: set[int], random: np.random.Generator) -> TrainingPair:
    pair = pool.draw(random)
    for _ in range(_TRIES):
        if pair.source_key not in taken and pair.target_key not in taken:
            break
        pair = pool.draw(random)
    return pair


def _pool(sources: Sequence[PairSource], power: float) -> _Pool:
    parts: dict[str, list[tuple[PairSource, NDArray[np.int64]]]] = {}
    for source in sources:
        order = np.argsort(source.langs, kind="stable")
        edges = np.searchsorted(source.langs[order], np.arange(len(source.lang_names) + 1))
        for place, name in enumerate(source.lang_names):
            rows = order[edges[place] : edges[place + 1]]
            if len(rows):
                parts.setdefault(name, []).append((source, rows))
    languages = tuple(
        _Language(
            sources=tuple(source for source, _ in parts[name]),
            rows=tuple(rows for _, rows in parts[name]),
            ends=np.cumsum([len(rows) for _, rows in parts[name]]),
        )
        for name in sorted(parts)
    )
    mass = np.array([float(len(language)) ** power for language in languages])
    return _Pool(languages, np.cumsum(mass / mass.sum()))
