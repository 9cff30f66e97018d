"""Choose thresholds for a wanted precision on one half of the gold; the other half judges them.

Every meaning, and every source segment without one, is hashed to a half; a pair belongs to the half
of its source. A threshold chosen where precision looked high enough looks better than it is, so its
precision is estimated by cross-fitting: chosen on four fifths, measured on the fifth. The interval
says what a fresh sample of the same size will show: quantiles of the beta-binomial predictive
distribution under Jeffreys' prior (Gelman et al. 2013, section 2.4), the lower from the lesser of
the cross-fitted and the plain precision, the upper from the greater. Language pairs that are pooled
share meanings, which are easy or hard in all of them: pairs then count for fewer, by the design effect
(Kish 1965, "Survey Sampling", section 5.4).

In simulations (24 populations: 60 and 120 gold pairs a half, one to four distractors a gold pair;
targets 0.8, 0.9, 0.95) it held the other half's precision in 94 to 99 % of the draws that found a
threshold. Where the target is all but out of reach, the few draws that still find one are misled:
below one draw in five it held in 69 to 94 %.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mining.contract.errors import InputError
from mining.evaluate.bitext import (
    Curve,
    Labelled,
    Score,
    best_score,
    label_pairs,
    pr_curve,
    score_at,
)
from mining.evaluate.bootstrap import LEVEL
from mining.evaluate.calibration import Conditions, Threshold
from mining.evaluate.gold import EVERY, SAME, PairGold, PairKey

MIN_MINED = 20  # a threshold that keeps fewer pairs than this shows nothing about its precision
_FOLDS, _REPEATS = 5, 2
_LEAST_FOUND = 0.5  # share of the folds in which there must be a threshold

CURVE = pa.schema(
    [
        ("pair", pa.string()),
        ("threshold", pa.float64()),
        ("mined", pa.int64()),
        ("right", pa.int64()),
        ("precision", pa.float64()),
        ("recall", pa.float64()),
        ("f1", pa.float64()),
    ]
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """Candidate pairs of one language pair, mined without a threshold, and their gold."""

    key: PairKey
    conditions: Conditions
    pairs: pa.Table
    gold: PairGold


@dataclass(frozen=True, kw_only=True)
class Calibrated:
    """A threshold and what the judged half shows at it (None if there is no threshold)."""

    entry: Threshold
    judged: Score | None

    @property
    def covered(self) -> bool | None:
        """Whether the interval holds the judged half's precision; None if it kept no pair."""
        if self.judged is None or not self.judged.mined:
            return None
        low, high = self.entry.low or 0.0, self.entry.high or 0.0
        return low <= self.judged.precision <= high


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """Thresholds of all language pairs, and the CURVE table of the calibration halves."""

    thresholds: tuple[Calibrated, ...]
    curves: pa.Table


@dataclass(frozen=True, kw_only=True, eq=False)
class _Half:
    """Labelled pairs of one half.

    Attributes:
        fold: int64 [N, _REPEATS], deals the pairs for cross-fitting.
        unit: int64 [N], equal for pairs whose source is the same meaning (or the same segment
            without one), in whatever language.
    """

    labelled: Labelled
    fold: NDArray[np.int64]
    unit: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Case:
    """One language pair, or several pooled, in two halves."""

    key: PairKey
    conditions: Conditions
    calibration: _Half
    judged: _Half


def calibrate(samples: Sequence[Sample], targets: Sequence[float | None]) -> Calibration:
    """Find thresholds for every language pair, and pooled over the language pairs.

    Languages with themselves (speech with its own transcript) are easier than translations, so they
    are pooled apart.

    Args:
        samples: one per language pair.
        targets: wanted precisions; None stands for the best F1.

    Raises:
        InputError: if there is no sample, or a language pair has no gold.
    """
    if not samples:
        raise InputError("calibrate: there must be at least one language pair, but there is none")
    cases = [_split(sample) for sample in samples]
    groups: dict[tuple[str, str, str, int], list[_Case]] = {}
    for case in cases:
        key, at = case.key, case.conditions
        alike = (key.src_modality, key.tgt_modality, at.margin, at.k)
        groups.setdefault(alike, []).append(case)
    for group in groups.values():
        same = [case for case in group if case.key.src_lang == case.key.tgt_lang]
        differ = [case for case in group if case.key.src_lang != case.key.tgt_lang]
        cases += [_pooled(some, name) for some, name in ((same, SAME), (differ, EVERY)) if some]
    return Calibration(
        thresholds=tuple(_calibrated(case, target) for case in cases for target in targets),
        curves=pa.concat_tables(_curve_table(case) for case in cases),
    )


def in_calibration_half(unit: str) -> bool:
    """Whether a meaning (or a source segment without one) belongs to the calibration half."""
    return bool(_digest(unit)[0] & 1)


def _digest(unit: str) -> bytes:
    return hashlib.blake2b(unit.encode(), digest_size=1 + 4 * _REPEATS, person=b"calib").digest()


def _split(sample: Sample) -> _Case:
    meanings = sample.gold.meanings
    if not meanings:
        raise InputError(
            f"calibrate: {sample.key.name} must have gold, but no meaning has both languages; add "
            "gold or leave the pair out"
        )
    labelled = label_pairs(sample.pairs, sample.gold)
    sources = sample.pairs["src_segment_id"].to_pylist()
    units = [
        meanings[meaning] if meaning >= 0 else source
        for meaning, source in zip(labelled.source_gold.tolist(), sources, strict=True)
    ]
    digests = b"".join(_digest(unit) for unit in units)
    parts = np.frombuffer(digests, dtype=np.uint8).reshape(len(units), 1 + 4 * _REPEATS)
    fold = np.ascontiguousarray(parts[:, 1:]).view("<u4").astype(np.int64) % _FOLDS
    unit = np.ascontiguousarray(parts[:, 1:9]).view("<i8").ravel().astype(np.int64)
    chosen = (parts[:, 0] & 1).astype(np.bool_)
    golds = sum(in_calibration_half(meaning) for meaning in meanings)
    return _Case(
        key=sample.key,
        conditions=sample.conditions,
        calibration=_Half(
            labelled=labelled.where(chosen, golds), fold=fold[chosen], unit=unit[chosen]
        ),
        judged=_Half(
            labelled=labelled.where(~chosen, len(meanings) - golds),
            fold=fold[~chosen],
            unit=unit[~chosen],
        ),
    )


def _pooled(cases: Sequence[_Case], lang: str) -> _Case:
    """Several language pairs as one, under one name for both and with the median pool sizes."""
    first = cases[0]
    return _Case(
        key=replace(first.key, src_lang=lang, tgt_lang=lang),
        conditions=replace(
            first.conditions,
            src_pool_size=int(np.median([case.conditions.src_pool_size for case in cases])),
            tgt_pool_size=int(np.median([case.conditions.tgt_pool_size for case in cases])),
        ),
        calibration=_joined([case.calibration for case in cases]),
        judged=_joined([case.judged for case in cases]),
    )


def _joined(halves: Sequence[_Half]) -> _Half:
    """Halves of several language pairs as one; equal numbers of theirs are not equal meanings."""
    ends = np.cumsum([half.labelled.source_gold.max(initial=-1) + 1 for half in halves])
    offsets = np.concatenate([[0], ends[:-1]]).astype(np.int64)
    moved = [
        [np.where(gold < 0, -1, gold + offset) for gold in (part.gold, part.source_gold)]
        for part, offset in zip((half.labelled for half in halves), offsets, strict=True)
    ]
    return _Half(
        labelled=Labelled(
            score=np.concatenate([half.labelled.score for half in halves]),
            gold=np.concatenate([gold for gold, _ in moved]),
            source_gold=np.concatenate([source for _, source in moved]),
            golds=sum(half.labelled.golds for half in halves),
        ),
        fold=np.concatenate([half.fold for half in halves]),
        unit=np.concatenate([half.unit for half in halves]),
    )


def _calibrated(case: _Case, target: float | None) -> Calibrated:
    curve = pr_curve(case.calibration.labelled)
    threshold = _choose(curve, target, MIN_MINED)
    estimate, found = _cross_fitted(case.calibration, target)
    entry = Threshold(
        key=case.key,
        conditions=case.conditions,
        target=target,
        threshold=None,
        golds=curve.golds,
    )
    if threshold is None or found < _LEAST_FOUND:
        best = float(curve.precision[curve.mined >= MIN_MINED].max(initial=0.0))
        reason = (
            f"no threshold that keeps {MIN_MINED} pairs reaches it (best precision: {best:.3f})"
            if threshold is None
            else "parts of the gold reach it by no threshold: it is not dependable"
        )
        return Calibrated(entry=replace(entry, reason=reason), judged=None)
    score = score_at(curve, threshold)
    count = _effective_count(case.calibration, threshold, score)
    low, _ = predictive_interval(min(estimate, score.precision), count)
    _, high = predictive_interval(max(estimate, score.precision), count)
    entry = replace(
        entry,
        threshold=threshold,
        precision=estimate,
        low=low,
        high=high,
        recall=score.recall,
        mined=score.mined,
    )
    return Calibrated(entry=entry, judged=score_at(pr_curve(case.judged.labelled), threshold))


def _choose(curve: Curve, target: float | None, least: int) -> float | None:
    """The lowest threshold that reaches the target and keeps at least ``least`` pairs."""
    if target is None:
        best = best_score(curve).threshold
        return best if math.isfinite(best) else None
    reached = np.flatnonzero((curve.precision >= target) & (curve.mined >= least))
    return float(curve.threshold[reached[-1]]) if len(reached) else None


def _cross_fitted(half: _Half, target: float | None) -> tuple[float, float]:
    """Precision at thresholds chosen without the pairs they are measured on.

    Returns:
        The precision over all folds, and the share of folds in which there was a threshold.
    """
    right = mined = found = 0
    least = round(MIN_MINED * (_FOLDS - 1) / _FOLDS)
    for repeat in range(_REPEATS):
        for fold in range(_FOLDS):
            held = half.fold[:, repeat] == fold
            threshold = _choose(
                pr_curve(half.labelled.where(~held, half.labelled.golds)), target, least
            )
            if threshold is None:
                continue
            score = score_at(pr_curve(half.labelled.where(held, half.labelled.golds)), threshold)
            right, mined, found = right + score.right, mined + score.mined, found + 1
    return right / max(mined, 1), found / (_FOLDS * _REPEATS)


def _effective_count(half: _Half, threshold: float, score: Score) -> int:
    """How many independent pairs the kept ones are worth: their number over the design effect.

    The design effect is the variance of the precision over units (a ratio estimator) against that of
    independent pairs.
    """
    kept = half.labelled.score >= threshold
    right = (half.labelled.gold[kept] >= 0).astype(np.float64)
    independent = score.precision * (1 - score.precision) * len(right)
    if independent == 0:
        return score.mined
    _, unit = np.unique(half.unit[kept], return_inverse=True)
    excess = np.bincount(unit, weights=right - score.precision)
    return max(1, round(score.mined / max(1.0, float(excess @ excess) / independent)))


def predictive_interval(precision: float, count: int) -> tuple[float, float]:
    """95 % interval of the precision of ``count`` fresh pairs, after ``count`` seen pairs.

    Args:
        precision: share of the seen pairs that are right.
        count: n, pairs seen and pairs to come.

    Returns:
        Quantiles of right pairs / n, right ~ BetaBinomial(n, p n + 1/2, (1 - p) n + 1/2).
    """
    alpha, beta = precision * count + 0.5, (1 - precision) * count + 0.5
    x = np.arange(count)
    # pmf(x + 1) / pmf(x)
    ratio = (count - x) * (x + alpha) / ((x + 1) * (count - x - 1 + beta))
    log_pmf = np.concatenate([[0.0], np.cumsum(np.log(ratio))])
    cdf = np.cumsum(np.exp(log_pmf - log_pmf.max()))
    tail = (1 - LEVEL) / 2
    low, high = np.searchsorted(cdf / cdf[-1], [tail, 1 - tail]) / max(count, 1)
    return float(low), float(high)


def _curve_table(case: _Case) -> pa.Table:
    curve = pr_curve(case.calibration.labelled)
    columns = [
        [case.key.name] * len(curve.mined),
        curve.threshold,
        curve.mined,
        curve.right,
        curve.precision,
        curve.recall,
        curve.f1,
    ]
    return pa.table(columns, schema=CURVE)
