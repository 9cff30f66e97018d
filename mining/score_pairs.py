"""Margin scores of a corpus of pairs, from the vectors of its sentences."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mining.knn import exact_similarity, search_arrays
from mining.score import Nearest, Scored, ScoreSettings, score_given

Ints = NDArray[np.int64]
Stored = NDArray[np.float16]


def score_pairs(
    x: Stored,
    y: Stored,
    pairs: tuple[Ints, Ints],
    settings: ScoreSettings,
    *,
    threads: int | None = None,
) -> Scored:
    """Score given pairs of rows of ``x`` and ``y`` among the neighbours that both have in each other.

    Memory: both arrays as given, their vectors once more for the sources of the pairs, and a tile.

    Args:
        x: float16 [S, D], distinct source sentences as :func:`mining.contract.vectors.to_stored` gives
            them. A sentence that stands twice would crowd its own neighbourhood.
        y: float16 [T, D], distinct target sentences.
        pairs: int64 [P] each, rows of ``x`` and of ``y``; at least one.
        settings: k, margin and best are used here.
        threads: of the search; None: one a core.

    Returns:
        P rows, in the order of ``pairs``; ranks are 0 beyond k.
    """
    forward, backward = (
        Nearest(index=found.row, similarity=found.similarity)
        for found in search_arrays(x, y, settings.k, threads=threads)
    )
    similarity = exact_similarity(x[pairs[0]], y, pairs[1][:, None])[:, 0]
    return score_given(pairs, similarity, forward, backward, settings)
