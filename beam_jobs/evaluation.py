"""Join a run's datasets for judging: pairs, pools and gold of each language pair."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.pairs import Pairs
from beam_jobs.plan import Plan
from beam_jobs.tasks import pool_sizes
from mining.config.model import Evaluate
from mining.contract.errors import ConfigError, DatasetError
from mining.contract.schemas import PAIR, SEGMENT
from mining.contract.vectors import unpack
from mining.evaluate.calibration import Conditions
from mining.evaluate.gold import PairGold, PairKey, pair_gold, read_gold
from mining.evaluate.judge import Evaluation, JudgeSettings, Side, Trial, evaluate
from mining.evaluate.thresholds import Calibration, Sample, calibrate
from mining.io.dataset import MANIFEST, Manifest, read_manifest
from mining.io.filesystem import exists
from mining.io.parquet import read_part
from mining.io.pools import read_pool
from mining.score import score_candidates, select


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
    manifest = read_manifest(stage.folder, plan.run.storage)
    trials = []
    for key, gold in _golds(plan, stage):
        source = _side(plan, stage.sources, key.src_lang, retrieval)
        target = _side(plan, stage.targets, key.tgt_lang, retrieval)
        absent = len(gold.meanings) - _findable(gold, source, target)
        if absent:
            plan.progress.warn(
                f"{key.name}: {absent} of {len(gold.meanings)} gold meanings are not in the corpora on "
                "both sides; they count as missed"
            )
        parts = [p.path for p in manifest.parts if p.path.startswith(f"{key.name}/")]
        tables = [read_part(f"{stage.folder}/{p}", PAIR, plan.run.storage) for p in parts]
        trials.append(
            Trial(
                key=key,
                gold=gold,
                pairs=pa.concat_tables(tables),
                source=source,
                target=target,
            )
        )
    if not trials:
        return None
    settings = JudgeSettings(
        k=stage.settings.k,
        margin=stage.settings.margin,
        resamples=_evaluate_config(plan).resamples,
    )
    return evaluate(trials, settings)


def calibrate_task(plan: Plan, task: str, targets: Sequence[float | None]) -> Calibration:
    """Thresholds for wanted precisions, from everything that the task's selection offers."""
    stage = _pairs_stage(plan, task)
    embeddings = plan.embeddings()
    pools = [
        [embeddings[side.name].manifest for side in sides]
        for sides in (stage.sources, stage.targets)
    ]
    samples = []
    for key, gold in _golds(plan, stage):
        candidates = score_candidates(*stage.neighbor_tables(key.name), stage.settings)
        kept, _ = select(candidates, replace(stage.settings, threshold=None, score_max=None))
        src_rows, tgt_rows = pool_sizes((key.src_lang, key.tgt_lang), *pools)
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


def _golds(plan: Plan, stage: Pairs) -> Iterator[tuple[PairKey, PairGold]]:
    """Language pairs of a task that have gold."""
    config = _evaluate_config(plan)
    table = read_gold(config.gold, plan.run.storage)
    for name in stage.thresholds:
        src, tgt = name.split("-")
        key = PairKey(src_lang=src, tgt_lang=tgt)
        gold = pair_gold(table, key)
        if gold.meanings:
            yield key, gold


def _findable(gold: PairGold, source: Side, target: Side) -> int:
    """Meanings that have a segment on both sides."""
    found = np.intersect1d(gold.of_sources(source.ids), gold.of_targets(target.ids))
    return int(np.count_nonzero(found >= 0))


def _side(plan: Plan, manifests: Sequence[Manifest], lang: str, vectors: bool) -> Side:
    """All embedded segments of one language, sorted by id."""
    embeddings = plan.embeddings()
    pool = read_pool([embeddings[m.name] for m in manifests], lang, None, plan.run.storage)
    lengths = pa.concat_tables(
        read_part(
            f"{plan.run.dataset('segments', manifest.name, manifest.hash)}/{part.path}",
            SEGMENT, plan.run.storage, columns=["segment_id", "length"], lang=lang,
        )
        for manifest in manifests
        for part in manifest.parts
        if lang in part.langs
    )  # fmt: skip
    place = pc.index_in(pool["segment_id"], lengths["segment_id"].combine_chunks())
    dim = embeddings[manifests[0].name].manifest.attributes["dim"]
    return Side(
        ids=pool["segment_id"].combine_chunks(),
        lengths=lengths["length"].take(place).to_numpy(),
        vectors=unpack(pool["vector"], dim) if vectors else None,
    )
