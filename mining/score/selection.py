"""Which candidates become pairs, and why the others do not."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mining.contract.errors import InputError
from mining.contract.ids import pair_ids
from mining.contract.schemas import REJECT
from mining.score.one_to_one import one_to_one
from mining.score.settings import ScoreSettings

_KEPT = ""
_REASONS = np.array([_KEPT, "below_threshold", "above_score_max", "not_best", "not_mutual"])
_BELOW, _ABOVE, _NOT_BEST, _NOT_MUTUAL = 1, 2, 3, 4
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
    score = candidates["margin_score"].to_numpy()
    if np.any(score[1:] > score[:-1]):
        raise InputError("select: candidates must be best first, as score_candidates returns them")
    reason = _judge(candidates, score, settings)
    if settings.select == "max":
        open_rows = np.flatnonzero(reason == 0)
        pairs = candidates.select(["src_segment_id", "tgt_segment_id"]).take(pa.array(open_rows))
        taken = one_to_one(_codes(pairs["src_segment_id"]), _codes(pairs["tgt_segment_id"]))
        reason[open_rows[~taken]] = _NOT_BEST
    kept = candidates.filter(pa.array(reason == 0))
    rejected = candidates.filter(pa.array(reason != 0))
    return kept, _rejects(rejected, reason[reason != 0])


def _judge(
    candidates: pa.Table, score: NDArray[np.float32], settings: ScoreSettings
) -> NDArray[np.int8]:
    """Reason code of each candidate by itself, before one-to-one; 0: none."""
    src_best = candidates["src_best"].to_numpy()
    tgt_best = candidates["tgt_best"].to_numpy()
    either = src_best | tgt_best
    wanted = {
        "forward": src_best,
        "backward": tgt_best,
        "intersection": src_best & tgt_best,
        "max": either,
        "union": either,
        "all": np.ones_like(either),
    }[settings.select]
    reason = np.zeros(len(score), dtype=np.int8)
    wide = score.astype(np.float64)
    if settings.threshold is not None:
        low = wide <= settings.threshold if settings.strict else wide < settings.threshold
        reason[low] = _BELOW
    if settings.score_max is not None:
        reason[wide > settings.score_max] = _ABOVE
    reason[~wanted] = _NOT_BEST
    if settings.select == "intersection":
        reason[either & ~wanted] = _NOT_MUTUAL
    return reason


def _codes(ids: pa.ChunkedArray) -> NDArray[np.int64]:
    encoded = ids.dictionary_encode().unify_dictionaries()
    codes = [chunk.indices.to_numpy().astype(np.int64) for chunk in encoded.chunks]
    return np.concatenate([np.empty(0, np.int64), *codes])


def _rejects(rows: pa.Table, reason: NDArray[np.int8]) -> pa.Table:
    ids = rows.select(["src_segment_id", "tgt_segment_id"])
    names_of_pairs = (
        name
        for batch in ids.to_batches(max_chunksize=_BATCH_ROWS)  # bounds the Python strings alive
        for name in pair_ids(*(column.to_pylist() for column in batch.columns))
    )
    names = pa.DictionaryArray.from_arrays(pa.array(reason), pa.array(_REASONS))
    return pa.table(
        [
            pa.array(names_of_pairs, pa.string(), size=rows.num_rows),
            pa.repeat(pa.scalar(_STAGE, pa.string()), rows.num_rows),
            names.cast(pa.string()),
            pc.binary_join_element_wise(
                "margin_score", rows["margin_score"].cast(pa.string()), " "
            ),
        ],
        schema=REJECT,
    )
