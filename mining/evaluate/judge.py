"""Judge language pairs: every figure with its 95 % interval and its controls."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mining.contract.errors import InputError
from mining.contract.schemas import SPEECH
from mining.evaluate.bitext import Labelled, best_score, label_pairs, pr_curve
from mining.evaluate.bootstrap import bootstrap
from mining.evaluate.boundary import Boundary, boundaries, hit_errors_ms, pooled
from mining.evaluate.controls import (
    Lengths,
    length_pairs,
    length_ranks,
    log_lengths,
    random_pairs,
    random_ranks,
    shuffled_rows,
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
        lengths: int64 [N], characters of text, milliseconds of speech (samples would depend on the
            rate).
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
        low: lower bound of the 95 % interval over meanings, or speakers; ``high`` the upper.
        length_only: the same figure if similarity were closeness in length.
        random: the same figure if similarity were chance.
        shuffled: the same figure of the same mining with the vectors of the audio dealt out to other
            segments; None where no side is speech.
    """

    value: float
    low: float
    high: float
    length_only: float
    random: float
    shuffled: float | None = None


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Figures of one language pair, by metric; ``boundaries`` of its speech, if it has gold times."""

    key: PairKey
    golds: int
    mined: int
    best_threshold: float
    figures: Mapping[str, Figure]
    boundaries: tuple[Boundary, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Figures of all language pairs, and their plain means; ``boundaries`` of all hits together."""

    pairs: tuple[Judged, ...]
    macro: Mapping[str, Figure]
    boundaries: tuple[Boundary, ...] = ()

    def to_table(self) -> pa.Table:
        """One row per language pair (the mean last, as ``macro``) and metric.

        Boundaries of speech follow, those of all hits together as ``pooled``.
        """
        rows = [
            {
                "pair": name,
                "metric": metric,
                "value": figure.value,
                "low": figure.low,
                "high": figure.high,
                "length_only": figure.length_only,
                "random": figure.random,
                "shuffled": figure.shuffled,
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
        rows += [
            {"pair": name, "metric": metric, "value": value}
            for name, sides in (
                *((judged.key.name, judged.boundaries) for judged in self.pairs),
                ("pooled", self.boundaries),
            )
            for side in sides
            for metric, value in side.metrics().items()
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
        ("shuffled", pa.float64()),
        ("golds", pa.int64()),
        ("mined", pa.int64()),
        ("best_threshold", pa.float64()),
    ]
)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Sums:
    """Pairs and queries as sums over meanings, from which every figure and every resample follows."""

    per_gold: NDArray[np.float64]  # [G, TOTALS]
    stray: NDArray[np.float64]  # [2], wrong pairs whose source has no meaning: all, at best
    best_threshold: float

    @property
    def figures(self) -> NDArray[np.float64]:
        """Every metric: float64 [len(METRICS)]."""
        return figures(self.per_gold.sum(axis=0), self.stray, np.array(len(self.per_gold)))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Counted:
    """What is kept of one trial."""

    key: PairKey
    mined: int
    units: tuple[tuple[str, str], ...]  # [G]
    sums: _Sums
    length_only: NDArray[np.float64]  # [len(METRICS)]
    random: NDArray[np.float64]
    shuffled: NDArray[np.float64]  # NaN where no side is speech
    errors_ms: Mapping[str, NDArray[np.float64]]


def evaluate(trials: Iterable[Trial], settings: JudgeSettings) -> Evaluation:
    """Judge language pairs.

    The bootstrap draws meanings by their names, so that languages which share meanings rise and
    fall together in the interval of the mean. Where the gold names the speaker of a source, it draws
    speakers, all meanings of one together (the cluster bootstrap: Field and Welsh 2007). Wrong pairs
    of sources without a meaning are drawn by a Poisson law. The threshold of best F1 stays fixed.

    Args:
        trials: taken one by one, so that only one need be in memory.
        settings: how figures are made.

    Raises:
        InputError: if there is nothing to judge, or a language pair has no gold.
    """
    counted = [_count(trial, settings) for trial in trials]
    if not counted:
        raise InputError("evaluate: there must be at least one language pair, but there is none")
    names = sorted({name for trial in counted for name in trial.units})
    place = {name: unit for unit, name in enumerate(names)}
    units = [np.array([place[name] for name in trial.units]) for trial in counted]
    rng = np.random.default_rng([settings.seed, 1])

    def statistic(weights: NDArray[np.float32]) -> NDArray[np.float64]:
        drawn = [
            resampled_figures(weights[:, unit], trial.sums.per_gold, trial.sums.stray, rng)
            for unit, trial in zip(units, counted, strict=True)
        ]
        # a language whose only speakers are not drawn has no figure in that draw
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Mean of empty slice")
            return np.stack([*drawn, np.nanmean(drawn, axis=0)], axis=1)

    low, high = bootstrap(statistic, len(names), settings.resamples, rng)
    for row, unit in enumerate(units):
        if len(set(unit.tolist())) == 1 < len(unit):  # one speaker says nothing of others
            low[row] = high[row] = np.nan
    values = np.stack([trial.sums.figures for trial in counted])
    controls = np.stack([[c.length_only, c.random, c.shuffled] for c in counted])
    table = np.stack([values, low[:-1], high[:-1], *controls.swapaxes(0, 1)])
    macro = np.stack([values.mean(0), low[-1], high[-1], *controls.mean(0)])
    return Evaluation(
        pairs=tuple(
            Judged(
                key=trial.key,
                golds=len(trial.units),
                mined=trial.mined,
                best_threshold=trial.sums.best_threshold,
                figures=_named(table[:, row]),
                boundaries=boundaries(trial.errors_ms),
            )
            for row, trial in enumerate(counted)
        ),
        macro=_named(macro),
        boundaries=boundaries(pooled([trial.errors_ms for trial in counted])),
    )


def _named(values: NDArray[np.float64]) -> dict[str, Figure]:
    return {
        metric: Figure(
            value=v,
            low=low,
            high=high,
            length_only=length,
            random=chance,
            shuffled=None if np.isnan(shuffled) else shuffled,
        )
        for metric, (v, low, high, length, chance, shuffled) in zip(
            METRICS, values.T.tolist(), strict=True
        )
        if not np.isnan(v)
    }


def _count(trial: Trial, settings: JudgeSettings) -> _Counted:
    golds = len(trial.gold.meanings)
    if not golds:
        raise InputError(
            f"evaluate: {trial.key.name} must have gold, but no meaning has both languages; add "
            "gold or leave the pair out"
        )
    asked = trial.gold.queries(trial.source.ids)
    src_gold = trial.gold.of_sources(trial.source.ids)
    tgt_gold = trial.gold.of_targets(trial.target.ids)
    labelled = label_pairs(trial.pairs, trial.gold)
    src, tgt = log_lengths(trial.source.lengths, trial.target.lengths)
    lengths = Lengths(src=src, src_gold=src_gold, tgt=tgt, tgt_gold=tgt_gold, golds=golds)
    ranked = replace(lengths, src_gold=asked)
    rng = np.random.default_rng([settings.seed, 0])
    return _Counted(
        key=trial.key,
        mined=trial.pairs.num_rows,
        units=trial.gold.units,
        sums=_sums(labelled, _pools(trial, asked, tgt_gold), settings),
        length_only=control_figures(length_pairs(lengths, rng), length_ranks(ranked, rng)),
        random=control_figures(random_pairs(lengths, rng), random_ranks(ranked, rng)),
        shuffled=_shuffled(trial, settings),
        errors_ms=hit_errors_ms(labelled, trial.pairs, trial.gold),
    )


def _shuffled(trial: Trial, settings: JudgeSettings) -> NDArray[np.float64]:
    """The figures with the vectors of one side's speech dealt out to other segments of its pool.

    Of speech on both sides the source is dealt out, which is enough. Nothing is mined again: what a
    vector found is now said of the segment that was given it.
    """
    if SPEECH not in (trial.key.src_modality, trial.key.tgt_modality):
        return np.full(len(METRICS), np.nan)
    gold, rng = trial.gold, np.random.default_rng([settings.seed, 2])
    asked, src_gold = gold.queries(trial.source.ids), gold.of_sources(trial.source.ids)
    tgt_gold = gold.of_targets(trial.target.ids)
    if trial.key.src_modality == SPEECH:
        to = shuffled_rows(len(src_gold), rng)
        asked, src_gold = asked[to], src_gold[to]
    else:
        tgt_gold = tgt_gold[shuffled_rows(len(tgt_gold), rng)]
    source = _meanings(trial.pairs["src_segment_id"], trial.source.ids, src_gold)
    target = _meanings(trial.pairs["tgt_segment_id"], trial.target.ids, tgt_gold)
    labelled = replace(
        label_pairs(trial.pairs, gold),
        gold=np.where(source == target, source, -1),
        source_gold=source,
    )
    return _sums(labelled, _pools(trial, asked, tgt_gold), settings).figures


def _meanings(
    ids: pa.ChunkedArray, pool: pa.StringArray, meaning: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Meaning of each segment, -1 where it has none or is not in the pool: int64 [N]."""
    row = pc.fill_null(pc.index_in(ids, value_set=pool), -1).to_numpy()
    found: NDArray[np.int64] = np.append(meaning, -1)[row]  # -1 takes the last
    return found


def _pools(trial: Trial, asked: NDArray[np.int64], tgt_gold: NDArray[np.int64]) -> Pools | None:
    if trial.source.vectors is None or trial.target.vectors is None:
        return None
    return Pools(
        src_vectors=trial.source.vectors,
        src_gold=asked,
        tgt_vectors=trial.target.vectors,
        tgt_gold=tgt_gold,
    )


def _sums(labelled: Labelled, pools: Pools | None, settings: JudgeSettings) -> _Sums:
    threshold = best_score(pr_curve(labelled)).threshold
    per_gold = np.zeros((labelled.golds, TOTALS))
    stray = np.zeros(2)
    for column, bar in enumerate((-np.inf, threshold)):
        found, wrong, stray[column] = pair_totals(labelled, bar)
        per_gold[:, 2 * column], per_gold[:, 2 * column + 1] = found, wrong
    if pools is not None:
        result = retrieve(pools, settings.k, settings.margin)
        columns = query_totals(result.rank, result.error)
        np.add.at(per_gold[:, QUERY_COLUMNS], pools.src_gold[pools.src_gold >= 0], columns)
    return _Sums(per_gold=per_gold, stray=stray, best_threshold=threshold)
