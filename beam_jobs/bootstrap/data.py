"""From the pairs of a finished mining run to tables that a training run reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.bootstrap.config import Filter
from beam_jobs.bootstrap.filter import sift
from beam_jobs.bootstrap.gold import HeldOutGold
from beam_jobs.evaluation import calibrate_task
from beam_jobs.plan import Plan
from beam_jobs.stages.listing import audio_base, audio_uri
from beam_jobs.stages.pairs import Pairs
from mining.contract.schemas import PAIR, REJECT, SEGMENT, SPEECH
from mining.evaluate.gold import EVERY, SAME
from mining.io.dataset import Manifest, read_manifest
from mining.io.filesystem import Storage
from mining.io.parquet import read_part, write_part

_NEVER = float("inf")
_LOCAL = Storage()


def _schema(name: str, texts: Sequence[str]) -> pa.Schema:
    fields = [pa.field("pair_id", pa.string(), nullable=False)]
    fields += [pa.field(text, pa.string(), nullable=False) for text in texts]
    fields += [pa.field("margin_score", pa.float32(), nullable=False)]
    return pa.schema(fields, metadata={"mining.schema": name, "mining.schema_version": "1"})


# As a seed manifest names its columns by default; what is not said is empty.
MINED_SPEECH = _schema(
    "mined_speech", ("audio", "lang", "transcript", "translation", "translation_lang")
)
MINED_SPEECH = MINED_SPEECH.append(pa.field("start_s", pa.float64(), nullable=False)).append(
    pa.field("end_s", pa.float64(), nullable=False)
)
# As a table of text pairs does.
MINED_TEXTS = _schema("mined_texts", ("source", "target", "source_lang", "target_lang"))


@dataclass(frozen=True, kw_only=True)
class TaskData:
    """What a task gives to learn from.

    Attributes:
        mined: pairs of the task.
        kept: those that are learned from.
        rejected: the others, by reason.
    """

    mined: int
    kept: int
    rejected: dict[str, int]


def write_task(plan: Plan, task: str, rules: Filter, gold: HeldOutGold, folder: str) -> TaskData:
    """Sift the pairs of a task; write ``rows/<task>`` and ``rejects/<task>``, a file a language pair.

    Args:
        plan: of the mining run, whose pairs are there.
        task: speech against text in whichever order, or text against text.
        rules: which pairs are learned from.
        gold: what must not be.
        folder: of the round.

    Raises:
        MiningError: pairs or gold cannot be used.
    """
    stage = next(stage for stage in plan.pairs() if stage.subject == task)
    margins = _min_margins(plan, stage, rules)
    manifest = read_manifest(stage.folder, plan.run.storage)
    mined, kept, rejected = 0, 0, Counter[str]()
    for langs in stage.thresholds:
        pairs = pa.concat_tables(
            read_part(f"{stage.folder}/{part.path}", PAIR, plan.run.storage)
            for part in manifest.parts
            if part.path.startswith(f"{langs}/")
        )
        sifted = sift(pairs, rules, margins[langs], gold)
        mined += pairs.num_rows
        kept += sifted.kept.num_rows
        rejected.update(sifted.rejected["reason"].to_pylist())
        write_part(f"{folder}/rejects/{task}", f"{langs}.parquet", sifted.rejected, REJECT, _LOCAL)
        if SPEECH in (stage.src_modality, stage.tgt_modality):
            table, schema = _speech_rows(plan, stage, sifted.kept), MINED_SPEECH
        else:
            table, schema = _text_rows(sifted.kept), MINED_TEXTS
        write_part(f"{folder}/rows/{task}", f"{langs}.parquet", table, schema, _LOCAL)
    return TaskData(mined=mined, kept=kept, rejected=dict(sorted(rejected.items())))


def _min_margins(plan: Plan, stage: Pairs, rules: Filter) -> dict[str, float | None]:
    """The lowest margin score that is learned from, by language pair; None: no limit."""
    if rules.precision is None:
        return dict.fromkeys(stage.thresholds, rules.min_margin)
    found: dict[str, float] = {}
    for one in calibrate_task(plan, stage.subject, [rules.precision]).thresholds:
        if one.entry.threshold is not None:
            found[one.entry.key.langs] = one.entry.threshold
    return {langs: _threshold(langs, found) for langs in stage.thresholds}


def _threshold(langs: str, found: Mapping[str, float]) -> float:
    """That of a language pair, else the one pooled over its like; beyond reach if there is none."""
    pooled = SAME if len(set(langs.split("-"))) == 1 else EVERY
    return found.get(langs, found.get(f"{pooled}-{pooled}", _NEVER))


def _speech_rows(plan: Plan, stage: Pairs, pairs: pa.Table) -> pa.Table:
    """MINED_SPEECH rows: a text in the speech's own language is its transcript, else its translation."""
    heard, written = ("src", "tgt") if stage.src_modality == SPEECH else ("tgt", "src")
    corpora = stage.sources if heard == "src" else stage.targets
    lang, text = pairs[f"{heard}_lang"], pairs[f"{written}_text"]
    is_own = pc.equal(lang, pairs[f"{written}_lang"])
    columns = {
        "pair_id": pairs["pair_id"],
        "audio": _addresses(plan, corpora, pairs, heard),
        "lang": lang,
        "transcript": pc.if_else(is_own, text, ""),
        "translation": pc.if_else(is_own, "", text),
        "translation_lang": pairs[f"{written}_lang"],
        "margin_score": pairs["margin_score"],
        "start_s": pairs[f"{heard}_start_s"],
        "end_s": pairs[f"{heard}_end_s"],
    }
    return pa.table([columns[name] for name in MINED_SPEECH.names], names=MINED_SPEECH.names)


def _text_rows(pairs: pa.Table) -> pa.Table:
    names = {"source": "src_text", "target": "tgt_text", "source_lang": "src_lang"}
    names |= {"target_lang": "tgt_lang"}
    columns = [pairs[names.get(name, name)] for name in MINED_TEXTS.names]
    return pa.table(columns, names=MINED_TEXTS.names)


def _addresses(
    plan: Plan, corpora: Sequence[Manifest], pairs: pa.Table, side: str
) -> pa.StringArray:
    """Where the recording of each pair is: its address is relative to that of its corpus."""
    bases = {one.name: audio_base(plan.run.config.corpora[one.name]) for one in corpora}
    of_pair = [bases[corpora[0].name]] * pairs.num_rows
    if len(set(bases.values())) > 1:
        ids = pairs[f"{side}_segment_id"]
        owner: dict[str, str] = {}
        for manifest in corpora:
            for segment_id in _ids_among(plan, manifest, pc.unique(ids)):
                owner.setdefault(segment_id, bases[manifest.name])
        of_pair = [owner[segment_id] for segment_id in ids.to_pylist()]
    uris = pairs[f"{side}_uri"].to_pylist()
    found: list[Any] = [audio_uri(base, uri) for base, uri in zip(of_pair, uris, strict=True)]
    return pa.array(found, pa.string())


def _ids_among(plan: Plan, manifest: Manifest, wanted: pa.Array) -> list[str]:
    """Those of some segments that a corpus holds."""
    folder = plan.run.dataset("segments", manifest.name, manifest.hash)
    found: list[str] = []
    for part in manifest.parts:
        table = read_part(
            f"{folder}/{part.path}", SEGMENT, plan.run.storage, columns=["segment_id"]
        )
        here = table["segment_id"].filter(pc.is_in(table["segment_id"], value_set=wanted))
        found += here.to_pylist()
    return found
