"""Which candidates become pairs, and why the others do not."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mining.contract.errors import InputError
from mining.contract.ids import pair_ids
from mining.contract.schemas import REJECT
from mining.score.candidates import Candidates
from mining.score.margins import Scored
from mining.score.one_to_one import one_to_one
from mining.score.settings import ScoreSettings

_REASONS = np.array(["", "below_threshold", "above_score_max", "not_best", "not_mutual", "overlap"])
KEPT, _BELOW, _ABOVE, NOT_BEST, _NOT_MUTUAL, OVERLAP = range(6)  # places in it
_STAGE = "pairs"
_BATCH_ROWS = 65536


def select(candidates: pa.Table, settings: ScoreSettings) -> tuple[pa.Table, pa.Table]:
    """Split candidates into pairs and rejects.

    A candidate is first held against the strategy (``not_best``; ``not_mutual`` if it is the best
    of one side where both are wanted), then against ``score_max`` and ``threshold``. Of those left,
    ``max`` refuses as ``not_best`` each whose source or target stands in a better pair. So
    ``below_threshold`` counts those that only the threshold refuses (for ``max``: before
    one-to-one).

    Args:
        candidates: as :func:`score_candidates` returns them, or some of those rows in that order.
            What is best was decided among all of them.
        settings: select, threshold, strict and score_max are used here.

    Returns:
        The kept rows in their order (best first), and one REJECT row for each other candidate with
        ``row_id`` = pair id.

    Raises:
        InputError: if the candidates are not best first.
    """
    coded = Candidates.of(candidates)
    return split(coded, _reasons(coded.scored, settings))


def chosen(scored: Scored, settings: ScoreSettings) -> NDArray[np.int64]:
    """Positions of the candidates that :func:`select` keeps, int64, ascending."""
    return np.flatnonzero(_reasons(scored, settings) == KEPT)


def _reasons(scored: Scored, settings: ScoreSettings) -> NDArray[np.int8]:
    reason = judge(scored, settings)
    if settings.select == "max":
        open_rows = np.flatnonzero(reason == KEPT)
        taken = one_to_one(scored.src[open_rows], scored.tgt[open_rows])
        reason[open_rows[~taken]] = NOT_BEST
    return reason


def judge(scored: Scored, settings: ScoreSettings) -> NDArray[np.int8]:
    """Reason code of each candidate by itself, before one-to-one; ``KEPT``: none.

    Raises:
        InputError: if the candidates are not best first.
    """
    score = scored.margin_score
    if np.any(score[1:] > score[:-1]):
        raise InputError("select: candidates must be best first, as score_candidates returns them")
    src_best, tgt_best = scored.src_best, scored.tgt_best
    either = src_best | tgt_best
    wanted = {
        "forward": src_best,
        "backward": tgt_best,
        "intersection": src_best & tgt_best,
        "max": either,
        "union": either,
        "all": np.ones_like(either),
    }[settings.select]
    reason = np.full(len(score), KEPT, dtype=np.int8)
    wide = score.astype(np.float64)
    if settings.threshold is not None:
        low = wide <= settings.threshold if settings.strict else wide < settings.threshold
        reason[low] = _BELOW
    if settings.score_max is not None:
        reason[wide > settings.score_max] = _ABOVE
    reason[~wanted] = NOT_BEST
    if settings.select == "intersection":
        reason[either & ~wanted] = _NOT_MUTUAL
    return reason


def split(
    candidates: Candidates, reason: NDArray[np.int8], rival: NDArray[np.int64] | None = None
) -> tuple[pa.Table, pa.Table]:
    """Kept rows, and a REJECT row for each other one.

    Args:
        candidates: C rows.
        reason: int8 [C], codes of reasons.
        rival: int64 [C], the row that a row lost to, which its detail then names; -1: none.
    """
    lost = np.flatnonzero(reason != KEPT)
    rows = candidates.take(lost)
    detail = pc.binary_join_element_wise(
        "margin_score", pa.array(rows.scored.margin_score).cast(pa.string()), " "
    )
    if rival is not None:
        beaten = np.flatnonzero(rival[lost] >= 0)
        names = _pair_ids(candidates.take(rival[lost][beaten]))
        longer = pc.binary_join_element_wise(detail.take(pa.array(beaten)), names, ", overlaps ")
        detail = pc.replace_with_mask(detail, pa.array(rival[lost] >= 0), longer)
    reasons = pa.DictionaryArray.from_arrays(pa.array(reason[lost]), pa.array(_REASONS))
    rejected = pa.table(
        [
            _pair_ids(rows),
            pa.repeat(pa.scalar(_STAGE, pa.string()), len(lost)),
            reasons.cast(pa.string()),
            detail,
        ],
        schema=REJECT,
    )
    return candidates.take(np.flatnonzero(reason == KEPT)).table(), rejected


def _pair_ids(rows: Candidates) -> pa.Array:
    src, tgt = rows.scored.src, rows.scored.tgt
    names = (
        name
        for start in range(0, len(src), _BATCH_ROWS)  # bounds the Python strings alive
        for name in pair_ids(
            rows.src_ids.take(pa.array(src[start : start + _BATCH_ROWS])).to_pylist(),
            rows.tgt_ids.take(pa.array(tgt[start : start + _BATCH_ROWS])).to_pylist(),
        )
    )
    return pa.array(names, pa.string(), size=len(src))
