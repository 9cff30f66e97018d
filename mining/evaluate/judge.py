"""Judge language pairs: every figure with its 95 % interval and its two controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mining.contract.errors import InputError
from mining.evaluate.bitext import best_score, label_pairs, pr_curve
from mining.evaluate.bootstrap import bootstrap
from mining.evaluate.controls import (
    Lengths,
    length_pairs,
    length_ranks,
    log_lengths,
    random_pairs,
    random_ranks,
)
from mining.evaluate.gold import PairGold, PairKey
from mining.evaluate.retrieval import Pools, retrieve
from mining.evaluate.totals import (
    METRICS,
    QUERY_COLUMNS,
    TOTALS,
    control_figures,
    figures,
    pair_totals,
    query_totals,
    resampled_figures,
)


@dataclass(frozen=True, kw_only=True)
class JudgeSettings:
    """How figures are made.

    Attributes:
        k: neighbours of xsim's margin. 4 in LASER's xsim.
        margin: ratio, distance or absolute.
        resamples: of the bootstrap.
        seed: of the bootstrap and of the controls.
    """

    k: int = 4
    margin: str = "ratio"
    resamples: int = 1000
    seed: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Side:
    """All segments of one side of a language pair.

    Attributes:
        ids: string [N], segment ids.
        lengths: int64 [N], characters or samples.
        vectors: float [N, D], L2-normalised; None leaves the retrieval figures out.
    """

    ids: pa.StringArray
    lengths: NDArray[np.int64]
    vectors: NDArray[np.floating] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Trial:
    """One language pair to be judged.

    Attributes:
        pairs: mined pairs: columns src_segment_id, tgt_segment_id, margin_score.
        source: everything that could have been mined; so ``target``.
    """

    key: PairKey
    gold: PairGold
    pairs: pa.Table
    source: Side
    target: Side


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure as a share of 1; NaN where it does not apply.

    Attributes:
        low: lower bound of the 95 % interval over meanings; ``high`` the upper.
        length_only: the same figure if similarity were closeness in length.
        random: the same figure if similarity were chance.
    """

    value: float
    low: float
    high: float
    length_only: float
    random: float


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Figures of one language pair, by metric."""

    key: PairKey
    golds: int
    mined: int
    best_threshold: float
    figures: Mapping[str, Figure]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Figures of all language pairs, and their plain means."""

    pairs: tuple[Judged, ...]
    macro: Mapping[str, Figure]

    def to_table(self) -> pa.Table:
        """One row per language pair (the mean last, as ``macro``) and metric."""
        rows = [
            {
                "pair": name,
                "metric": metric,
                "value": figure.value,
                "low": figure.low,
                "high": figure.high,
                "length_only": figure.length_only,
                "random": figure.random,
                "golds": golds,
                "mined": mined,
                "best_threshold": threshold,
            }
            for name, figures, golds, mined, threshold in (
                *((j.key.name, j.figures, j.golds, j.mined, j.best_threshold) for j in self.pairs),
                ("macro", self.macro, None, None, None),
            )
            for metric, figure in figures.items()
        ]
        return pa.Table.from_pylist(rows, schema=_TABLE)


_TABLE = pa.schema(
    [
        ("pair", pa.string()),
        ("metric", pa.string()),
        ("value", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("length_only", pa.float64()),
        ("random", pa.float64()),
        ("golds", pa.int64()),
        ("mined", pa.int64()),
        ("best_threshold", pa.float64()),
    ]
)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Counted:
    """One trial as sums over meanings, from which every figure and every resample follows."""

    per_gold: NDArray[np.float64]  # [G, TOTALS]
    stray: NDArray[np.float64]  # [2], wrong pairs whose source has no meaning: all, at best
    best_threshold: float
    length_only: NDArray[np.float64]  # [len(METRICS)]
    random: NDArray[np.float64]


def evaluate(trials: Sequence[Trial], settings: JudgeSettings) -> Evaluation:
    """Judge language pairs.

    The bootstrap draws meanings by their names, so that languages which share meanings rise and
    fall together in the interval of the mean; wrong pairs of sources without a meaning are drawn by
    a Poisson law. The threshold of best F1 stays fixed.

    Raises:
        InputError: if there is nothing to judge, or a language pair has no gold.
    """
    if not trials:
        raise InputError("evaluate: there must be at least one language pair, but there is none")
    counted = [_count(trial, settings) for trial in trials]
    names = sorted({name for trial in trials for name in trial.gold.meanings})
    place = {name: unit for unit, name in enumerate(names)}
    units = [np.array([place[m] for m in trial.gold.meanings]) for trial in trials]
    rng = np.random.default_rng([settings.seed, 1])

    def statistic(weights: NDArray[np.float32]) -> NDArray[np.float64]:
        drawn = [
            resampled_figures(weights[:, unit], trial.per_gold, trial.stray, rng)
            for unit, trial in zip(units, counted, strict=True)
        ]
        return np.stack([*drawn, np.mean(drawn, axis=0)], axis=1)

    low, high = bootstrap(statistic, len(names), settings.resamples, rng)
    values = np.stack(
        [figures(c.per_gold.sum(axis=0), c.stray, np.array(len(c.per_gold))) for c in counted]
    )
    length, chance = (np.stack([getattr(c, n) for c in counted]) for n in ("length_only", "random"))
    table = np.stack([values, low[:-1], high[:-1], length, chance])
    macro = np.stack([values.mean(0), low[-1], high[-1], length.mean(0), chance.mean(0)])
    return Evaluation(
        pairs=tuple(
            Judged(
                key=trial.key,
                golds=len(trial.gold.meanings),
                mined=trial.pairs.num_rows,
                best_threshold=counts.best_threshold,
                figures=_named(table[:, row]),
            )
            for row, (trial, counts) in enumerate(zip(trials, counted, strict=True))
        ),
        macro=_named(macro),
    )


def _named(values: NDArray[np.float64]) -> dict[str, Figure]:
    return {
        metric: Figure(value=v, low=low, high=high, length_only=length, random=chance)
        for metric, (v, low, high, length, chance) in zip(METRICS, values.T.tolist(), strict=True)
        if not np.isnan(v)
    }


def _count(trial: Trial, settings: JudgeSettings) -> _Counted:
    golds = len(trial.gold.meanings)
    if not golds:
        raise InputError(
            f"evaluate: {trial.key.name} must have gold, but no meaning has both languages; add "
            "gold or leave the pair out"
        )
    src_gold = trial.gold.of_sources(trial.source.ids)
    tgt_gold = trial.gold.of_targets(trial.target.ids)
    labelled = label_pairs(trial.pairs, trial.gold)
    threshold = best_score(pr_curve(labelled)).threshold
    per_gold = np.zeros((golds, TOTALS))
    stray = np.zeros(2)
    for column, bar in enumerate((-np.inf, threshold)):
        found, wrong, stray[column] = pair_totals(labelled, bar)
        per_gold[:, 2 * column], per_gold[:, 2 * column + 1] = found, wrong
    src, tgt = log_lengths(trial.source.lengths, trial.target.lengths)
    lengths = Lengths(src=src, src_gold=src_gold, tgt=tgt, tgt_gold=tgt_gold, golds=golds)
    if trial.source.vectors is not None and trial.target.vectors is not None:
        pools = Pools(
            src_vectors=trial.source.vectors,
            src_gold=src_gold,
            tgt_vectors=trial.target.vectors,
            tgt_gold=tgt_gold,
        )
        result = retrieve(pools, settings.k, settings.margin)
        columns = query_totals(result.rank, result.error)
        np.add.at(per_gold[:, QUERY_COLUMNS], src_gold[src_gold >= 0], columns)
    rng = np.random.default_rng([settings.seed, 0])
    return _Counted(
        per_gold=per_gold,
        stray=stray,
        best_threshold=threshold,
        length_only=control_figures(length_pairs(lengths, rng), length_ranks(lengths, rng)),
        random=control_figures(random_pairs(lengths, rng), random_ranks(lengths, rng)),
    )
