"""Which candidates become pairs where segments of speech overlap: no second of it is used twice.

C candidates, R of them at hand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mining.score.candidates import Candidates, candidates_of
from mining.score.intervals import schedule
from mining.score.one_to_one import is_first, one_to_one
from mining.score.selection import KEPT, NOT_BEST, OVERLAP, judge, split
from mining.score.settings import ScoreSettings
from mining.score.spans import Spans

Ints = NDArray[np.int64]

_MAX_ROUNDS = 32  # a chain that settles one pair a round would take a round for each
_MAX_EXCESS = 1024.0  # with the scale below 2^62 at most
_SCALE = 2.0**42


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What became of all candidates of a language pair.

    Attributes:
        kept: CANDIDATE rows, best first.
        rejected: REJECT rows.
        candidates: how many were scored.
    """

    kept: pa.Table
    rejected: pa.Table
    candidates: int


@dataclass(frozen=True, kw_only=True)
class _Side:
    """Segments of one side of the candidates.

    Attributes:
        code: int64 [C], one a segment; a position in ``spans``.
        spans: None: text.
    """

    code: Ints
    spans: Spans | None


@dataclass(frozen=True, kw_only=True)
class _Verdicts:
    """int8 [C] reason of each candidate, and int64 [C] row it overlaps (-1: none)."""

    reason: NDArray[np.int8]
    rival: Ints


def select_spans(
    candidates: pa.Table,
    settings: ScoreSettings,
    src_spans: Spans | None = None,
    tgt_spans: Spans | None = None,
) -> tuple[pa.Table, pa.Table]:
    """Split candidates into pairs and rejects, such that no kept segments of a side overlap.

    As :func:`mining.score.select`, with one more rule. Of the candidates fit by themselves:

    1. On the source side, then on the target side, the segments of speech are chosen that do not
       overlap and have the greatest total weight (:func:`mining.score.intervals.schedule`), each
       with the weight of its best pair. All pairs of a segment stay or go together. Each side's
       choice is exact for what the side before left, not for both together.
    2. ``max`` then takes those left one to one, best first.
    3. What is neither refused by a pair taken (the same source or target under ``max``:
       ``not_best``; overlapping speech: ``overlap``) gets another round among its likes: a text
       whose segment lost to a better one may still have another.

    So every refusal has a pair that is kept for its reason, whatever the order of time. After 32
    rounds, which real data do not need, the rest is ``not_best``.

    Args:
        candidates: as :func:`score_candidates` returns them, or some of those rows in that order.
        settings: select, threshold, strict and score_max are used here.
        src_spans: of all sources, if they are speech.
        tgt_spans: of all targets. Without spans of either side the result is that of ``select``.

    Returns:
        The kept rows in their order (best first), and one REJECT row for each other candidate; the
        detail of an ``overlap`` names the pair it lost to.

    Raises:
        InputError: if the candidates are not best first, or a segment has no span.
    """
    return _select(Candidates.of(candidates), settings, src_spans, tgt_spans)


def select_neighbors(
    forward: pa.Table,
    backward: pa.Table,
    settings: ScoreSettings,
    src_spans: Spans | None = None,
    tgt_spans: Spans | None = None,
) -> Selection:
    """From the neighbours of both directions to pairs and rejects.

    The tables are those of :func:`select_spans` of :func:`score_candidates`, made without writing out
    the candidates between them, which takes most of the time.

    Arguments and errors as for :func:`score_candidates`; all of ``settings`` is used.
    """
    found = candidates_of(forward, backward, settings, src_spans, tgt_spans)
    kept, rejected = _select(found, settings, src_spans, tgt_spans)
    return Selection(kept=kept, rejected=rejected, candidates=len(found.scored))


def _select(
    candidates: Candidates,
    settings: ScoreSettings,
    src_spans: Spans | None,
    tgt_spans: Spans | None,
) -> tuple[pa.Table, pa.Table]:
    scored = candidates.scored
    verdicts = _Verdicts(
        reason=judge(scored, settings),
        rival=np.full(len(scored), -1, dtype=np.int64),
    )
    sides = (
        _side(scored.src, candidates.src_ids, src_spans),
        _side(scored.tgt, candidates.tgt_ids, tgt_spans),
    )
    single = settings.select == "max"
    rows = np.flatnonzero(verdicts.reason == KEPT)
    weight = _weights(scored.margin_score, rows, settings)
    for _ in range(_MAX_ROUNDS if rows.size else 0):
        won = rows
        for side in sides:
            won = _scheduled(won, weight, side)
        if single:
            won = won[one_to_one(*(side.code[won] for side in sides))]
        rows = np.setdiff1d(rows, won, assume_unique=True)
        if single:
            used = [np.isin(side.code[rows], side.code[won]) for side in sides]
            verdicts.reason[rows[used[0] | used[1]]] = NOT_BEST
            rows = rows[~(used[0] | used[1])]
        for side in sides:
            rows = _apart_from(won, rows, side, verdicts)
        if not rows.size:
            break
    verdicts.reason[rows] = NOT_BEST
    return split(candidates, verdicts.reason, verdicts.rival)


def _weights(score: NDArray[np.float32], rows: Ints, settings: ScoreSettings) -> Ints:
    """What a pair counts where speech overlaps: by how much it is better than neighbours, squared.

    Sums of raw scores favour two fragments over the sentence (1.05 + 1.05 > 1.4), so a score counts
    from the one of a pair that is no nearer than its neighbours: 1 for a ratio, 0 for a distance.
    That is a property of the margin, not of the pairs at hand, so a threshold takes pairs away and
    leaves the others as they were chosen. A cosine has no such score: there the lowest at hand
    stands for it. Squared, two fragments need more than 0.7 of the sentence's excess
    each. Not times the duration: that favours runs which go on beyond the sentence. On simulated
    recordings the powers 1 to 3 differ little in F1; on read chapters 1 is the worst.

    Returns:
        int64 [C] of at most 2^62, so that sums are exact.
    """
    lowest = float(score[rows].min()) if rows.size else 0.0
    neutral = {"ratio": 1.0, "distance": 0.0}.get(settings.margin, lowest)
    excess = np.clip(score.astype(np.float64) - neutral, 0.0, _MAX_EXCESS)
    return np.rint(excess**2 * _SCALE).astype(np.int64)


def _side(code: Ints, names: pa.Array, spans: Spans | None) -> _Side:
    return _Side(code=code, spans=None if spans is None else spans.take(names))


def _scheduled(rows: Ints, weight: Ints, side: _Side) -> Ints:
    """Of rows, best first, those whose segments are the best choice without overlap."""
    if side.spans is None:
        return rows
    code = side.code[rows]
    speech = side.spans.is_speech
    best = rows[is_first(code) & speech[code]]
    at = side.code[best]
    chosen = ~speech
    chosen[at] = schedule(
        side.spans.start[at], side.spans.end[at], weight[best], side.spans.group[at]
    )
    return rows[chosen[code]]


def _apart_from(won: Ints, rows: Ints, side: _Side, verdicts: _Verdicts) -> Ints:
    """Rows that no segment of a pair won overlaps; the others are judged."""
    if side.spans is None:
        return rows
    speech = side.spans.is_speech[side.code[won]]
    best = won[is_first(side.code[won]) & speech]
    row_of = np.full(len(side.spans.group), -1, dtype=np.int64)
    row_of[side.code[best]] = best
    found = side.spans.found_in(side.code[rows], side.code[best])
    lost = (found >= 0) & (found != side.code[rows])  # a segment may stand in several pairs
    verdicts.reason[rows[lost]] = OVERLAP
    verdicts.rival[rows[lost]] = row_of[found[lost]]
    left: Ints = rows[~lost]
    return left
