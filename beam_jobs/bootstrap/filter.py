"""Which mined pairs are learned from. Law: pairs in = kept + rejected, each with one reason.

N pairs of one language pair.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from beam_jobs.bootstrap.config import Filter
from beam_jobs.bootstrap.gold import HeldOutGold
from mining.contract.schemas import REJECT, SPEECH

STAGE = "bootstrap"


@dataclass(frozen=True, kw_only=True, eq=False)
class Sifted:
    """What became of some pairs.

    Attributes:
        kept: PAIR rows, in their order.
        rejected: REJECT rows, in their order; ``row_id`` is the pair's.
    """

    kept: pa.Table
    rejected: pa.Table


class _Refusals:
    """The first reason of each pair, and its detail."""

    def __init__(self, rows: int) -> None:
        self.reasons = np.full(rows, "", dtype=object)
        self.details = np.full(rows, None, dtype=object)

    @property
    def left(self) -> NDArray[np.bool_]:
        """Pairs that nothing was said against: bool [N]."""
        return np.asarray(self.reasons == "", dtype=np.bool_)

    def add(self, refused: NDArray[np.bool_], reason: str, detail: str) -> None:
        """Refuse those that are still left."""
        new = refused & self.left
        self.reasons[new], self.details[new] = reason, detail


def sift(pairs: pa.Table, rules: Filter, min_margin: float | None, gold: HeldOutGold) -> Sifted:
    """Sort out the pairs of one language pair.

    Reasons, the first that holds: ``benchmark_overlap`` (of the gold), ``below_threshold``,
    ``not_mutual``, ``too_long`` and ``too_short`` (of the source, for its target), ``not_best`` (beyond
    ``max_pairs``). What length is usual, and which are the best, is said of those that are left by
    the rules before.

    Args:
        pairs: PAIR rows [N].
        rules: see :class:`Filter`.
        min_margin: lowest margin score; None: no limit. The rules' own is not looked at.
        gold: what must not be learned from.
    """
    refusals = _Refusals(pairs.num_rows)
    refusals.add(gold.touches(pairs), "benchmark_overlap", "a sentence or a stretch of the gold")
    margin = pairs["margin_score"].to_numpy()
    if min_margin is not None:
        refusals.add(margin < min_margin, "below_threshold", f"below {min_margin:g}")
    if rules.mutual_only:
        mutual = pairs["mutual"].combine_chunks().to_numpy(zero_copy_only=False)
        refusals.add(~mutual.astype(np.bool_), "not_mutual", "not each other's best")
    if rules.max_length_ratio is not None and refusals.left.any():
        limit, ratio = math.log(rules.max_length_ratio), log_length_ratios(pairs)
        unusual = ratio - np.median(ratio[refusals.left])
        said = f"by more than {rules.max_length_ratio:g} than is usual"
        refusals.add(unusual > limit, "too_long", said)
        refusals.add(unusual < -limit, "too_short", said)
    if rules.max_pairs is not None:
        names = np.array(pairs["pair_id"].to_pylist(), dtype=object)
        rows = np.flatnonzero(refusals.left)
        best = rows[np.lexsort((names[rows].astype(str), -margin[rows]))][: rules.max_pairs]
        worse = np.ones(pairs.num_rows, dtype=np.bool_)
        worse[best] = False
        refusals.add(worse, "not_best", f"{rules.max_pairs} others have a higher margin score")
    left = refusals.left
    return Sifted(kept=pairs.filter(pa.array(left)), rejected=_rejected(pairs, refusals, ~left))


def log_length_ratios(pairs: pa.Table) -> NDArray[np.float64]:
    """Logarithm of source over target, seconds of speech and characters of text: float64 [N]."""
    src, tgt = (_log_lengths(pairs, side) for side in ("src", "tgt"))
    found: NDArray[np.float64] = src - tgt
    return found


def _log_lengths(pairs: pa.Table, side: str) -> NDArray[np.float64]:
    seconds = pc.subtract(pairs[f"{side}_end_s"], pairs[f"{side}_start_s"])
    letters = pc.utf8_length(pairs[f"{side}_text"]).cast(pa.float64())
    spoken = pc.equal(pairs[f"{side}_modality"], SPEECH)
    lengths = pc.fill_null(pc.if_else(spoken, seconds, letters), 0.0).to_numpy()
    found: NDArray[np.float64] = np.log(np.maximum(lengths, 1e-3))  # what is empty is no NaN
    return found


def _rejected(pairs: pa.Table, refusals: _Refusals, refused: NDArray[np.bool_]) -> pa.Table:
    count = int(refused.sum())
    return pa.table(
        [
            pairs["pair_id"].filter(pa.array(refused)),
            pa.repeat(pa.scalar(STAGE), count),
            pa.array(refusals.reasons[refused].tolist(), pa.string()),
            pa.array(refusals.details[refused].tolist(), pa.string()),
        ],
        schema=REJECT,
    )
