"""Whatever a run decided of a pair, ``mining explain`` says the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from beam_jobs.explain.explain import explain
from beam_jobs.plan import Plan
from beam_jobs.progress import Silence
from mining.config import load_config
from mining.contract.ids import pair_id
from tests.end_to_end.conftest import Outcome
from tests.end_to_end.speech_world import PIECES

if TYPE_CHECKING:
    from tests.end_to_end.speech_world import SpeechWorld

Cli = Callable[..., Outcome]


def outcomes(output: Path, task: str) -> dict[str, str]:
    """Verdict of every candidate, by pair id."""
    mined = sorted((output / "pairs" / task).rglob("*.parquet"))
    refused = sorted((output / "rejects/pairs" / task).rglob("*.parquet"))
    found = {one: "mined" for path in mined for one in pq.read_table(path)["pair_id"].to_pylist()}
    for path in refused:
        for row in pq.read_table(path).to_pylist():
            found[row["row_id"]] = row["reason"]
    return found


SETTINGS = [
    ("max", "ratio", "null"),
    ("intersection", "distance", "null"),
    ("union", "ratio", "stopes"),
]


@pytest.mark.parametrize(("select", "margin", "preset"), SETTINGS)
def test_every_pair_of_a_run_is_explained_as_the_run_decided(
    tmp_path: Path, no_beam: None, mining: Cli, select: str, margin: str, preset: str
) -> None:
    rng = np.random.default_rng(3)
    rows, vectors = [], []
    for lang, size in (("deu", 13), ("eng", 17)):
        for number in range(size):
            rows.append(f"{lang}{number}\t{lang}\t{lang} sentence {number}")
            vectors.append(np.random.default_rng(number).normal(size=6) + rng.normal(size=6))
    (tmp_path / "texts.tsv").write_text("\n".join(["id\tlang\ttext", *rows]) + "\n")
    np.save(tmp_path / "vectors.npy", np.asarray(vectors, np.float32))
    (tmp_path / "vectors.ids").write_text("".join(f"{row.split(chr(9))[0]}\n" for row in rows))
    corpus = {"uri": str(tmp_path / "texts.tsv"), "lang": {"column": "lang"}}
    config = {
        "schema": 1,
        "output": str(tmp_path / "out"),
        "model": {"path": str(tmp_path / "vectors.npy")},
        "contamination": {"sets": []},
        "corpora": {"texts": corpus | {"columns": {"text": "text", "id": "id"}}},
        "tasks": {"tt": {"source": "texts", "target": "texts"}},
        "execution": {"tile_rows": 16},
    }
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(config))
    threshold = 1.1 if margin == "ratio" else 0.1
    changes = [f"mining.{key}={value}" for key, value in (
        ("k", 3), ("select", select), ("margin", margin), ("preset", preset), ("threshold", threshold)
    )]  # fmt: skip
    sets = [word for change in changes for word in ("--set", change)]
    assert mining("run", "--config", path, *sets).code == 0
    decided = outcomes(tmp_path / "out", "tt")
    plan = Plan(load_config(str(path), changes), Silence())
    seen = {}
    for src in rows[:13]:
        for tgt in rows[13:]:
            (found,) = explain(plan, "tt", src.split("\t")[2], tgt.split("\t")[2])
            assert found.pair_id is not None
            seen[found.pair_id] = found.verdict
    assert len(seen) == 13 * 17
    expected = {one: decided.get(one, "not among the nearest") for one in seen}
    assert seen == expected
    assert set(decided) <= set(seen)
    assert len(set(decided.values())) > 2


def test_speech_is_explained_as_the_run_decided(
    speech: SpeechWorld, no_beam: None, mining: Cli
) -> None:
    import soundfile

    soundfile.write(speech.audio / "silence.wav", np.zeros(48000, np.float32), 16000)
    speech.speak_only(
        [(name, name[:3]) for name in PIECES] + [("silence.wav", "deu"), ("gone.wav", "deu")]
    )
    assert mining("run", "--config", speech.config).code == 0
    decided = outcomes(speech.output, "ss") | outcomes(speech.output, "st")
    rows = speech.table("segments", "talks").to_pylist()
    segments = {row["segment_id"]: row for row in rows if row["text"]}
    plan = Plan(load_config(str(speech.config)), Silence())
    overlaps = 0
    for task in ("ss", "st"):
        names = sorted((speech.output / "neighbors" / task).rglob("*deu-eng*.parquet"))
        rows = pa.concat_tables([pq.read_table(name) for name in names]).to_pylist()
        pairs = {
            (row["query_id"], row["index_id"])
            if row["direction"] == "forward"
            else (row["index_id"], row["query_id"])
            for row in rows
        }
        ordered = sorted(pairs)
        lost = [pair for pair in ordered if decided.get(pair_id(*pair)) == "overlap"]
        for src, tgt in [*ordered[:: max(1, len(ordered) // 15)], *lost[:5]]:
            (found,) = explain(plan, task, src, tgt)
            assert found.verdict == decided[pair_id(src, tgt)]
            if found.verdict == "overlap":
                overlaps += 1
                assert any(label == "lost to" for label, _ in found.lines)
    assert overlaps
    # by a stretch of its recording, a segment is found again
    src = next(row for row in segments.values() if row["lang"] == "deu")
    rate = src["sample_rate_hz"]
    stretch = (
        f"{src['source_uri']}@{src['start_sample'] / rate:.2f}-"
        f"{(src['start_sample'] + src['num_samples']) / rate:.2f}"
    )
    tgt = next(row for row in segments.values() if row["lang"] == "eng")
    by_place = explain(plan, "ss", stretch, tgt["segment_id"])
    by_id = explain(plan, "ss", src["segment_id"], tgt["segment_id"])
    assert by_place[0].verdict == by_id[0].verdict
    (whole,) = explain(plan, "ss", src["source_uri"], tgt["segment_id"])
    assert whole.verdict == "source names several segments"
    for name, verdict in (
        ("silence.wav", "source rejected in prepare: no_speech"),
        ("gone.wav", "source rejected in prepare: missing_audio"),
        ("deu/nowhere.wav", "source not in the corpus"),
    ):
        (lost,) = explain(plan, "ss", name, tgt["segment_id"])
        assert lost.verdict == verdict
    # what was said is put on the list of an evaluation set: refused where it is recognised
    (speech.folder / "held_out.txt").write_text(f"{src['text']}\n")
    change = f"contamination.sets=[{speech.folder / 'held_out.txt'}]"
    for stage in ("prepare", "transcribe"):
        assert mining(stage, "--config", speech.config, "--set", change).code == 0
    again = Plan(load_config(str(speech.config), [change]), Silence())
    (refused,) = explain(again, "ss", src["segment_id"], tgt["segment_id"])
    assert refused.verdict.startswith("source rejected in transcribe: benchmark_overlap")
