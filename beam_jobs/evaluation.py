"""Join a run's datasets for judging: pairs, pools and gold of each language pair."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.plan import Plan
from beam_jobs.progress import one_of_each_kind
from beam_jobs.stages.neighbors import pools_of
from beam_jobs.stages.pairs import Pairs
from mining.config.model import Evaluate
from mining.contract.errors import ConfigError, DatasetError, InputError
from mining.contract.schemas import PAIR, SEGMENT, SPEECH
from mining.contract.vectors import unpack
from mining.evaluate.calibration import Conditions
from mining.evaluate.gold import PairGold, PairKey, pair_gold, population, read_gold
from mining.evaluate.judge import Evaluation, JudgeSettings, Side, Trial, evaluate
from mining.evaluate.locate import MIN_IOU, PLACE_COLUMNS, locate_speech
from mining.evaluate.thresholds import Calibration, Sample, calibrate
from mining.io.dataset import MANIFEST, Manifest, read_manifest
from mining.io.filesystem import exists
from mining.io.parquet import read_part
from mining.io.pools import Dataset, read_pool
from mining.score import select_neighbors


def judge(plan: Plan, task: str, retrieval: bool) -> Evaluation | None:
    """Judge the pairs of one task against the config's gold.

    Args:
        plan: the run's.
        task: name of the task; its pairs must be mined.
        retrieval: also search every gold source in its whole pool.

    Returns:
        The figures; None if the gold holds none of the task's language pairs.

    Raises:
        ConfigError: if the config names no gold.
        DatasetError: if the pairs are not mined.
    """
    stage = _pairs_stage(plan, task)
    if not stage.is_done():
        others = exists(f"{stage.folder}/{MANIFEST}", plan.run.storage)
        raise DatasetError(
            f"{stage.folder}: holds pairs of other settings; repeat the --set of that run, or run "
            "mining pairs with these"
            if others
            else f"pairs of {task}: must be mined first; run mining pairs"
        )
    gold = read_gold(_evaluate_config(plan).gold, plan.run.storage)
    keys = _keys(stage, gold)
    if not keys:
        return None
    settings = JudgeSettings(
        k=stage.settings.k,
        margin=stage.settings.margin,
        resamples=_evaluate_config(plan).resamples,
    )
    absent: list[tuple[str, str]] = []
    # once, since finding them asks storage for the manifests of all stages
    embeddings = plan.embeddings()

    def side(manifests: Sequence[Manifest], lang: str, modality: str) -> Side:
        return _side(
            plan, [embeddings[m.name] for m in manifests], manifests, (lang, modality), retrieval
        )

    found = evaluate((_trial(plan, stage, gold, key, side, absent) for key in keys), settings)
    for warning in one_of_each_kind(absent):
        plan.progress.warn(warning)
    return found


def calibrate_task(plan: Plan, task: str, targets: Sequence[float | None]) -> Calibration:
    """Thresholds for wanted precisions, from everything that the task's selection offers."""
    stage = _pairs_stage(plan, task)
    embeddings = plan.embeddings()
    pools = [
        [embeddings[side.name].manifest for side in sides]
        for sides in (stage.sources, stage.targets)
    ]
    samples = []
    table = read_gold(_evaluate_config(plan).gold, plan.run.storage)
    for key in _keys(stage, table):
        gold = _located(plan, stage, table, key)
        spans = (
            stage.spans(stage.sources, key.src_lang),
            stage.spans(stage.targets, key.tgt_lang),
        )
        settings = replace(stage.settings, threshold=None, score_max=None)
        kept = select_neighbors(*stage.neighbor_tables(key.langs), settings, *spans).kept
        src_rows, tgt_rows = pools_of(stage.neighbors, (key.src_lang, key.tgt_lang), *pools)
        conditions = Conditions(
            margin=stage.settings.margin,
            k=stage.settings.k,
            src_pool_size=src_rows,
            tgt_pool_size=tgt_rows,
        )
        samples.append(Sample(key=key, conditions=conditions, pairs=kept, gold=gold))
    return calibrate(samples, targets)


def _pairs_stage(plan: Plan, task: str) -> Pairs:
    stages = {stage.subject: stage for stage in plan.pairs()}
    if task not in stages:
        raise ConfigError(f"task {task!r}: must be one of {', '.join(stages)}")
    return stages[task]


def _evaluate_config(plan: Plan) -> Evaluate:
    found = plan.run.config.evaluate
    if found is None:
        raise ConfigError("evaluate.gold: must name a gold file, but is not set")
    return found


def _keys(stage: Pairs, gold: pa.Table) -> list[PairKey]:
    """Language pairs of a task that have gold."""
    keys = []
    for name in stage.thresholds:
        src, tgt = name.split("-")
        key = PairKey(
            src_modality=stage.src_modality,
            tgt_modality=stage.tgt_modality,
            src_lang=src,
            tgt_lang=tgt,
        )
        if pair_gold(gold, key).meanings:
            keys.append(key)
    return keys


def _trial(
    plan: Plan,
    stage: Pairs,
    table: pa.Table,
    key: PairKey,
    side: Callable[[Sequence[Manifest], str, str], Side],
    warnings: list[tuple[str, str]],
) -> Trial:
    """Everything of one language pair; ``warnings`` gets what to say of gold that cannot be found."""
    source = side(stage.sources, key.src_lang, key.src_modality)
    target = side(stage.targets, key.tgt_lang, key.tgt_modality)
    gold = _located(plan, stage, table, key, (source.ids, target.ids))
    absent = len(gold.meanings) - _findable(gold, source, target)
    if absent:
        unmatched = (
            f" (of speech: no segment with an IoU of {MIN_IOU:g})"
            if SPEECH in (key.src_modality, key.tgt_modality)
            else ""
        )
        fault = (
            f"{key.name}: {absent} of {len(gold.meanings)} gold meanings are not in the corpora on "
            f"both sides{unmatched}; they count as missed"
        )
        warnings.append((key.name, fault))
    manifest = read_manifest(stage.folder, plan.run.storage)
    parts = [p.path for p in manifest.parts if p.path.startswith(f"{key.langs}/")]
    columns = ["src_segment_id", "tgt_segment_id", "margin_score"]
    tables = [
        read_part(f"{stage.folder}/{p}", PAIR, plan.run.storage, columns=columns) for p in parts
    ]
    return Trial(key=key, gold=gold, pairs=pa.concat_tables(tables), source=source, target=target)


def _located(
    plan: Plan,
    stage: Pairs,
    gold: pa.Table,
    key: PairKey,
    pools: tuple[pa.Array, pa.Array] | None = None,
) -> PairGold:
    """Gold of one language pair, its speech located among the segments of the side that it is on.

    Args:
        plan: the run's.
        stage: the task's pairs.
        gold: GOLD table as read.
        key: the language pair.
        pools: ids of the segments that are embedded, both sides; None: all segments.
    """
    source = population(gold, key.src_modality, key.src_lang)
    target = population(gold, key.tgt_modality, key.tgt_lang)
    if key.src_modality == SPEECH:
        places = _places(plan, stage.sources, key.src_lang, source)
        source = locate_speech(source, _of_pool(places, pools and pools[0]))
    if key.tgt_modality == SPEECH:
        places = _places(plan, stage.targets, key.tgt_lang, target)
        target = locate_speech(target, _of_pool(places, pools and pools[1]))
    return pair_gold(source, key, target)


def _of_pool(places: pa.Table, pool: pa.Array | None) -> pa.Table:
    return places if pool is None else places.filter(pc.is_in(places["segment_id"], pool))


def _places(plan: Plan, manifests: Sequence[Manifest], lang: str, gold: pa.Table) -> pa.Table:
    """PLACE_COLUMNS of one language's segments in the recordings that the gold names.

    Raises:
        InputError: if it names none that is there: its addresses are of another kind.
    """
    wanted = pc.unique(gold["source_uri"].drop_null())
    seen: list[str] = []

    def keep(table: pa.Table) -> pa.Table:
        if not seen:
            seen.extend(table["source_uri"].slice(0, 1).to_pylist())
        return table.filter(pc.is_in(table["source_uri"], value_set=wanted))

    places = _segments(plan, manifests, lang, PLACE_COLUMNS, keep)
    if len(wanted) and seen and not places.num_rows:
        raise InputError(
            f"evaluate.gold: source_uri must name recordings as the pairs do, such as {seen[0]!r}, but "
            f"of {lang} it names none that is there, such as {wanted[0].as_py()!r}; correct the gold"
        )
    return places


def _segments(
    plan: Plan,
    manifests: Sequence[Manifest],
    lang: str,
    columns: Sequence[str],
    keep: Callable[[pa.Table], pa.Table] | None = None,
) -> pa.Table:
    """Columns of one language's segments, all corpora one after the other."""
    return pa.concat_tables(
        read_part(
            f"{plan.run.dataset('segments', manifest.name, manifest.hash)}/{part.path}",
            SEGMENT, plan.run.storage, columns=columns, lang=lang, keep=keep,
        )
        for manifest in manifests
        for part in manifest.parts
        if lang in part.langs
    )  # fmt: skip


def _findable(gold: PairGold, source: Side, target: Side) -> int:
    """Meanings that have a segment on both sides."""
    found = np.intersect1d(gold.of_sources(source.ids), gold.of_targets(target.ids))
    return int(np.count_nonzero(found >= 0))


def _side(
    plan: Plan,
    embeddings: Sequence[Dataset],
    manifests: Sequence[Manifest],
    what: tuple[str, str],
    vectors: bool,
) -> Side:
    """All embedded segments of one language, sorted by id.

    Args:
        plan: the run's.
        embeddings: of the side's corpora.
        manifests: their segments.
        what: language and modality.
        vectors: whether those are wanted, too.
    """
    lang, modality = what
    pool = read_pool(embeddings, lang, plan.run.storage)
    measures = ["num_samples", "sample_rate_hz"] if modality == SPEECH else ["length"]
    segments = _segments(plan, manifests, lang, ["segment_id", *measures])
    place = pc.index_in(pool["segment_id"], segments["segment_id"].combine_chunks())
    measured = [segments[name].take(place).to_numpy() for name in measures]
    lengths = measured[0]
    if modality == SPEECH:
        samples, rate_hz = measured
        lengths = samples * 1000 // rate_hz
    dim = embeddings[0].manifest.attributes["dim"]
    return Side(
        ids=pool["segment_id"].combine_chunks(),
        lengths=lengths,
        vectors=unpack(pool["vector"], dim) if vectors else None,
    )
