"""Precision, recall and F1 of scored pairs, and the threshold that makes F1 best.

The rule of the BUCC shared task (Zweigenbaum et al. 2018): pairs are sorted by score, the prefix
with the best F1 is kept, and the threshold is the midpoint to the next score.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mining.evaluate.gold import PairGold


@dataclass(frozen=True, kw_only=True, eq=False)
class Labelled:
    """N scored pairs and what they are worth.

    Attributes:
        score: float64 [N].
        gold: int64 [N], the meaning that the pair has right, -1 for a wrong pair.
        source_gold: int64 [N], the meaning of the pair's source, -1 if it has none.
        golds: G, how many meanings there are to find.
    """

    score: NDArray[np.float64]
    gold: NDArray[np.int64]
    source_gold: NDArray[np.int64]
    golds: int

    def where(self, kept: NDArray[np.bool_], golds: int) -> Labelled:
        """The pairs marked in bool [N], against ``golds`` meanings."""
        return Labelled(
            score=self.score[kept],
            gold=self.gold[kept],
            source_gold=self.source_gold[kept],
            golds=golds,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """P prefixes of the pairs by falling score; pairs of equal score are never parted.

    A meaning found again through another of its sentences counts neither for nor against.

    Attributes:
        lowest: float64 [P], the lowest score in the prefix.
        threshold: float64 [P], midpoint to the next score; the last is the lowest score itself.
        mined: int64 [P], pairs in the prefix, without such repetitions.
        right: int64 [P], meanings found.
        golds: meanings to find.
    """

    lowest: NDArray[np.float64]
    threshold: NDArray[np.float64]
    mined: NDArray[np.int64]
    right: NDArray[np.int64]
    golds: int

    @property
    def precision(self) -> NDArray[np.float64]:
        """Float64 [P]: right / mined."""
        return self.right / np.maximum(self.mined, 1)

    @property
    def recall(self) -> NDArray[np.float64]:
        """Float64 [P]: right / golds."""
        return self.right / max(self.golds, 1)

    @property
    def f1(self) -> NDArray[np.float64]:
        """Float64 [P]: 2 right / (mined + golds), the harmonic mean of precision and recall."""
        return 2 * self.right / np.maximum(self.mined + self.golds, 1)


@dataclass(frozen=True, kw_only=True)
class Score:
    """Precision, recall and F1 of the pairs whose score is at least ``threshold``."""

    threshold: float
    mined: int
    right: int
    golds: int
    precision: float
    recall: float
    f1: float


def label_pairs(pairs: pa.Table, gold: PairGold) -> Labelled:
    """Judge pairs (columns src_segment_id, tgt_segment_id, margin_score) against gold.

    A pair whose segments the gold does not know is wrong, as in BUCC: on a corpus whose gold is
    incomplete the precision is a lower bound.
    """
    source = gold.of_sources(pairs["src_segment_id"])
    target = gold.of_targets(pairs["tgt_segment_id"])
    return Labelled(
        score=pairs["margin_score"].to_numpy().astype(np.float64),
        gold=np.where(source == target, source, -1),
        source_gold=source,
        golds=len(gold.meanings),
    )


def precision_recall_f1(pairs: pa.Table, gold: PairGold, threshold: float | None = None) -> Score:
    """Judge pairs at a threshold, or at the one that makes F1 best (the BUCC rule)."""
    curve = pr_curve(label_pairs(pairs, gold))
    return best_score(curve) if threshold is None else score_at(curve, threshold)


def pr_curve(labelled: Labelled) -> Curve:
    """Every prefix of the pairs by falling score."""
    order = np.argsort(-labelled.score, kind="stable")
    score, gold = labelled.score[order], labelled.gold[order]
    fresh = first_of_each(gold)
    last = np.flatnonzero(np.append(score[1:] != score[:-1], True)[: len(score)])
    following = score[np.minimum(last + 1, len(score) - 1)]
    return Curve(
        lowest=score[last],
        threshold=(score[last] + following) / 2,
        mined=np.cumsum(fresh | (gold < 0), dtype=np.int64)[last],
        right=np.cumsum(fresh, dtype=np.int64)[last],
        golds=labelled.golds,
    )


def first_of_each(gold: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether a value that is not -1 stands for the first time: bool [N]."""
    fresh = np.zeros(len(gold), dtype=np.bool_)
    values, first = np.unique(gold, return_index=True)
    fresh[first[values >= 0]] = True
    return fresh


def best_score(curve: Curve) -> Score:
    """The prefix of best F1; the shortest of equals. Keeps nothing if no pair is right."""
    if not len(curve.mined) or not curve.right[-1]:
        return score_at(curve, math.inf)
    index = int(np.argmax(curve.f1))
    return _score(curve, index, float(curve.threshold[index]))


def score_at(curve: Curve, threshold: float) -> Score:
    """The pairs whose score is at least ``threshold``."""
    return _score(curve, int(np.count_nonzero(curve.lowest >= threshold)) - 1, threshold)


def _score(curve: Curve, index: int, threshold: float) -> Score:
    """The prefix ``index`` (-1: nothing is kept)."""
    kept = index >= 0
    return Score(
        threshold=threshold,
        mined=int(curve.mined[index]) if kept else 0,
        right=int(curve.right[index]) if kept else 0,
        golds=curve.golds,
        precision=float(curve.precision[index]) if kept else 0.0,
        recall=float(curve.recall[index]) if kept else 0.0,
        f1=float(curve.f1[index]) if kept else 0.0,
    )
