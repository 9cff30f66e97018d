"""From mined pairs to tables that training reads."""

from __future__ import annotations

import math
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_jobs.bootstrap.config import Filter
from beam_jobs.bootstrap.data import (
    MINED_SPEECH,
    MINED_TEXTS,
    _addresses,
    _min_margins,
    _threshold,
    write_task,
)
from beam_jobs.bootstrap.gold import HeldOutGold
from beam_jobs.evaluation import calibrate_task
from beam_jobs.execution.run import run
from beam_jobs.plan import Plan
from beam_jobs.progress import Progress
from beam_jobs.stage import STAGES
from beam_jobs.stages.pairs import Pairs
from encoders.train.data.config import Seed, Texts
from encoders.train.data.screen import Screen
from encoders.train.data.seeds import read_seed
from encoders.train.data.texts import read_texts
from mining.config import load_config
from mining.config.model import Config, Contamination
from mining.contract.schemas import PAIR, SEGMENT
from mining.filter import load_guard
from mining.io.dataset import Manifest
from mining.io.filesystem import Storage
from mining.io.parquet import write_part
from tests.end_to_end.conftest import World, make_world

NO_GOLD = HeldOutGold(ids=pa.array([], pa.string()), guard=load_guard((), Storage()), stretches={})


@pytest.fixture(scope="module")
def mined(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Plan]:
    """Texts of three languages, mined; 30 of 40 meanings are gold."""
    world = make_world(tmp_path_factory.mktemp("mined"))
    gold = (world.folder / "gold.tsv").read_text().splitlines()
    kept = [line for line in gold[1:] if int(line.split("\t")[0]) < 30]
    (world.folder / "gold.tsv").write_text("\n".join([gold[0], *kept]) + "\n")
    world.change(evaluate={"gold": str(world.folder / "gold.tsv")}, mining={"threshold": "none"})
    progress = Progress(quiet=True)
    plan = Plan(load_config(str(world.config)), progress)
    run(plan, STAGES, (), progress)
    return world, plan


def stage_of(plan: Plan) -> Pairs:
    (stage,) = plan.pairs()
    return stage


def test_training_reads_what_is_written(mined: tuple[World, Plan], tmp_path: Path) -> None:
    told = write_task(mined[1], "tt", Filter(min_margin=1.0), NO_GOLD, str(tmp_path))
    assert told.mined == told.kept + sum(told.rejected.values())
    assert told.kept > 0
    rows = [pq.read_table(path) for path in sorted((tmp_path / "rows/tt").glob("*.parquet"))]
    assert all(table.schema.equals(MINED_TEXTS, check_metadata=True) for table in rows)
    written = [row for table in rows for row in table.to_pylist()]
    refused: list[str] = []
    screen = Screen(Contamination(sets=()))
    pairs, count = read_texts(
        "mined", Texts(uri=str(tmp_path / "rows/tt")), screen,
        lambda *why: refused.append(why[0]), lambda *why: refused.append(why[0]),
    )  # fmt: skip
    assert (len(pairs), count, refused) == (told.kept, told.kept, [])
    assert pairs.source.texts.to_pylist() == [row["source"] for row in written]
    langs = [pairs.target.lang_names[lang] for lang in pairs.target.langs]
    assert langs == [row["target_lang"] for row in written]


def test_a_precision_is_found_on_the_gold(mined: tuple[World, Plan]) -> None:
    plan = mined[1]
    stage = stage_of(plan)
    wanted = (0.5, 0.7, 0.9)
    low, high, never = (_min_margins(plan, stage, Filter(precision=one)) for one in wanted)
    assert set(low) == {"deu-eng", "deu-fra", "eng-fra"}
    assert all((low[langs] or 0) < (high[langs] or 0) < math.inf for langs in low)
    found = {
        one.entry.key.langs: one.entry.threshold
        for one in calibrate_task(plan, "tt", [0.7]).thresholds
    }
    # what a language pair does not reach alone may be reached by all together
    assert found["eng-fra"] is None
    assert high == {langs: found[langs] or found["*-*"] for langs in low}
    assert set(never.values()) == {math.inf}


def test_speech_in_its_own_language_is_not_held_to_the_threshold_of_translations() -> None:
    found = {"deu-eng": 1.4, "*-*": 1.3, "=-=": 1.1}
    assert [_threshold(one, found) for one in ("deu-eng", "fra-eng", "deu-deu")] == [1.4, 1.3, 1.1]
    assert _threshold("deu-deu", {"*-*": 1.3}) == math.inf


def test_without_a_precision_the_margin_is_the_rules(mined: tuple[World, Plan]) -> None:
    stage = stage_of(mined[1])
    assert set(_min_margins(mined[1], stage, Filter(min_margin=1.1)).values()) == {1.1}
    assert set(_min_margins(mined[1], stage, Filter()).values()) == {None}


def test_recordings_of_two_corpora_are_found_where_each_is(tmp_path: Path) -> None:
    config = tmp_path / "run.yaml"
    talk = "{{modality: speech, lang: deu, uri: {0}/{1}/*.wav, audio_root: {0}/{1}}}"
    config.write_text(
        f"schema: 1\noutput: {tmp_path}/out\ncorpora:\n"
        f"  a: {talk.format(tmp_path, 'a')}\n  b: {talk.format(tmp_path, 'b')}\n"
        f"  t: {{uri: {tmp_path}/t.txt, lang: eng}}\n"
        "tasks: {st: {source: [a, b], target: t}}\n"
    )
    plan = Plan(load_config(str(config)), Progress(quiet=True))
    manifests = [_segments(plan.run.config, name) for name in ("a", "b")]
    pairs = pa.Table.from_pylist(
        [
            {name: row.get(name) for name in PAIR.names}
            for row in (
                {"src_segment_id": "only-b", "src_uri": "x.wav"},
                {"src_segment_id": "only-a", "src_uri": "x.wav"},
                {"src_segment_id": "both", "src_uri": "y.wav"},
                {"src_segment_id": "only-b", "src_uri": "/elsewhere/z.wav"},
            )
        ],
        schema=pa.schema([field.with_nullable(True) for field in PAIR]),
    )
    found = _addresses(plan, manifests, pairs, "src").to_pylist()
    assert found == [
        f"{tmp_path}/b/x.wav", f"{tmp_path}/a/x.wav", f"{tmp_path}/a/y.wav", "/elsewhere/z.wav",
    ]  # fmt: skip
    alone = _addresses(plan, manifests[1:], pairs.slice(0, 1), "src").to_pylist()
    assert alone == [f"{tmp_path}/b/x.wav"]


def _segments(config: Config, corpus: str) -> Manifest:
    rows = [
        {"segment_id": segment_id, "corpus": corpus, "modality": "speech", "lang": "deu",
         "length": 1, "occurrences": 1}
        for segment_id in (f"only-{corpus}", "both")
    ]  # fmt: skip
    table = pa.Table.from_pylist(
        [{name: row.get(name) for name in SEGMENT.names} for row in rows], schema=SEGMENT
    )
    folder = f"{config.output}/segments/{corpus}/h"
    part = write_part(folder, "part-0.parquet", table, SEGMENT, Storage())
    return Manifest(kind="segments", name=corpus, hash="h", parts=(part,))


def test_a_seed_reads_the_columns_of_mined_speech(tmp_path: Path) -> None:
    row = {
        "pair_id": "p", "audio": "/talks/a.wav", "lang": "deu", "transcript": "",
        "translation": "Two\tboats", "translation_lang": "eng", "margin_score": 1.25,
        "start_s": 1.0625, "end_s": 3.2000625,
    }  # fmt: skip
    table = pa.Table.from_pylist([row], schema=MINED_SPEECH)
    write_part(str(tmp_path / "rows"), "deu-eng.parquet", table, MINED_SPEECH, Storage())
    refused: list[str] = []
    (raw,) = read_seed(
        "mined", Seed(manifest=str(tmp_path / "rows")), lambda *why: refused.append(why[0])
    )
    (found,) = raw.to_pylist()
    assert not refused
    assert {name: found[name] for name in ("audio", "lang", "transcript", "translation")} == {
        name: row[name] for name in ("audio", "lang", "transcript", "translation")
    }
    assert (float(found["start_s"]), float(found["end_s"])) == (1.0625, 3.2000625)
    assert found["translation_lang"] == "eng"
    assert found["speaker"] == ""
