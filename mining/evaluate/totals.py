"""The sums over meanings from which every figure, and every resample of it, follows.

Shapes: G meanings, b resamples, TOTALS columns: meanings right and pairs wrong, the same at the
threshold of best F1, then queries, errors, hits at 1, hits at 5, reciprocal ranks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mining.evaluate.bitext import Labelled, Score

METRICS = (
    *("precision", "recall", "f1"),  # of all pairs given
    *("best_precision", "best_recall", "best_f1"),  # at the threshold of best F1
    *("xsim", "recall_at_1", "recall_at_5", "mrr"),
)
TOTALS = 9
QUERY_COLUMNS = slice(4, TOTALS)


def pair_totals(
    labelled: Labelled, threshold: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Per meaning: is it found; wrong pairs of its sources; and wrong pairs of all other sources.

    Returns:
        float64 [G] of 0 and 1, float64 [G], and a count.
    """
    kept = labelled.score >= threshold
    found = np.zeros(labelled.golds)
    found[labelled.gold[kept & (labelled.gold >= 0)]] = 1
    wrong = kept & (labelled.gold < 0)
    source = labelled.source_gold[wrong]
    per_gold = np.bincount(source[source >= 0], minlength=labelled.golds).astype(np.float64)
    return found, per_gold, float((source < 0).sum())


def query_totals(rank: NDArray[np.float64], error: NDArray[np.bool_]) -> NDArray[np.float64]:
    """What each query adds to QUERY_COLUMNS: float64 [Q, 5]."""
    return np.stack([np.ones(len(rank)), error, rank <= 1, rank <= 5, 1 / rank], axis=1)


def figures(
    totals: NDArray[np.float64], stray: NDArray[np.float64], golds: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Every metric from sums.

    Args:
        totals: float64 [..., TOTALS].
        stray: float64 [..., 2], wrong pairs whose source has no meaning: of all, at best F1.
        golds: float64 [...], meanings to find.

    Returns:
        float64 [..., len(METRICS)]; retrieval is NaN where there was no query, precision 0 where
        there was no pair.
    """
    out = []
    for column in (0, 1):
        right = totals[..., 2 * column]
        mined = right + totals[..., 2 * column + 1] + stray[..., column]
        out += [right / np.maximum(mined, 1), right / np.maximum(golds, 1)]
        out.append(2 * right / np.maximum(mined + golds, 1))
    queries = totals[..., 4]
    with np.errstate(invalid="ignore", divide="ignore"):
        out += [totals[..., column] / queries for column in range(5, TOTALS)]
    return np.stack(out, axis=-1)


def resampled_figures(
    weights: NDArray[np.float32],
    per_gold: NDArray[np.float64],
    stray: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Every metric of b resamples: weights float32 [b, G] -> float64 [b, len(METRICS)]."""
    totals = weights.astype(np.float64) @ per_gold
    # The pairs at best F1 are among all pairs: draw the rest apart.
    at_best = rng.poisson(stray[1], len(weights))
    others = rng.poisson(stray[0] - stray[1], len(weights))
    drawn = np.stack([at_best + others, at_best], axis=1).astype(np.float64)
    return figures(totals, drawn, weights.sum(axis=1, dtype=np.float64))


def control_figures(pairs: Score, rank: NDArray[np.float64]) -> NDArray[np.float64]:
    """Every metric of a control, whose pairs are those of its best F1: float64 [len(METRICS)]."""
    score = [pairs.precision, pairs.recall, pairs.f1]
    if not len(rank):
        return np.array([*score, *score, *[np.nan] * 4])
    _, *retrieval = query_totals(rank, rank > 1).mean(axis=0).tolist()
    return np.array([*score, *score, *retrieval])
