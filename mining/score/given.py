"""Margin scores of pairs that somebody else made, which need not be neighbours.

P pairs, S sources, T targets.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mining.score.arrays import Nearest, score_arrays
from mining.score.margins import Scored, margin_score, means
from mining.score.settings import ScoreSettings

Ints = NDArray[np.int64]


def score_given(
    pairs: tuple[Ints, Ints],
    similarity: NDArray[np.float32],
    forward: Nearest,
    backward: Nearest,
    settings: ScoreSettings,
) -> Scored:
    """Score given pairs among the neighbours of their rows.

    The arithmetic is that of :func:`mining.score.score_arrays`; a pair that is a candidate there gets
    the same figures. One that is none has ranks 0 and is nobody's best.

    Args:
        pairs: int64 [P] each, rows of sources and of targets; a pair may stand twice.
        similarity: float32 [P], of each pair.
        forward: S sources search T targets.
        backward: T targets search S sources.
        settings: k, margin and best are used here.

    Returns:
        P rows, in the order of ``pairs``.

    Raises:
        InputError: as :func:`mining.score.score_arrays`.
    """
    src, tgt = pairs
    found = score_arrays(forward, backward, settings)
    src_mean = means(forward.neighbors(settings.k), len(forward.index))
    tgt_mean = means(backward.neighbors(settings.k), len(backward.index))
    average = (src_mean[src] + tgt_mean[tgt]) / 2.0
    score = margin_score(similarity.astype(np.float64), average, settings.margin)
    at, known = _places(pairs, found, len(backward.index))
    return Scored(
        src=src,
        tgt=tgt,
        similarity=similarity,
        margin_score=score.astype(np.float32),
        src_best=found.src_best[at] & known,
        tgt_best=found.tgt_best[at] & known,
        forward_rank=np.where(known, found.forward_rank[at], np.int16(0)),
        backward_rank=np.where(known, found.backward_rank[at], np.int16(0)),
        src_mean=src_mean.astype(np.float32)[src],
        tgt_mean=tgt_mean.astype(np.float32)[tgt],
    )


def _places(
    pairs: tuple[Ints, Ints], found: Scored, targets: int
) -> tuple[Ints, NDArray[np.bool_]]:
    """Where each pair stands among the candidates, int64 [P], and whether it does, bool [P]."""
    keys, wanted = found.src * targets + found.tgt, pairs[0] * targets + pairs[1]
    order = np.argsort(keys)
    before = np.minimum(np.searchsorted(keys[order], wanted), len(keys) - 1)
    at = order[before]
    return at, np.asarray(keys[at] == wanted, dtype=np.bool_)
