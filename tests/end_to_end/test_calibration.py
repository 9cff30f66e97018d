"""What calibration promises holds on the half of the sample that it did not see."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from tests.end_to_end.conftest import Outcome

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "examples" / "sample"
LANGS = ("cat", "deu", "eng", "est", "ita", "spa")
ROW = re.compile(
    r"^tt +(\S+) +(\S+|best F1) +\d\.\d+ +(\d\.\d+) \[(\d\.\d+),(\d\.\d+)\] +\d\.\d+ +(\d\.\d+)$"
)

Cli = Callable[..., Outcome]


def sample_with(folder: Path, distractors: int) -> Path:
    """The sample in some languages, with so many distractors a language."""
    rows = []
    gold = pq.read_table(SAMPLE / "gold.parquet").to_pylist()
    written = [row for row in gold if row["modality"] == "text" and row["lang"] in LANGS]
    rows += [(row["lang"], row["text"]) for row in written]
    with open(SAMPLE / "distractors.tsv", encoding="utf-8", newline="") as file:
        others = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
    for lang in LANGS:
        rows += [(lang, text) for code, text in others if code == lang][:distractors]
    lines = ["lang\ttext", *("\t".join(row) for row in rows)]
    (folder / "texts.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    config = {
        "schema": 1,
        "output": str(folder / "out"),
        "model": {"path": "builtin"},
        "corpora": {"texts": {"uri": str(folder / "texts.tsv"), "lang": {"column": "lang"}}},
        "tasks": {"tt": {"source": "texts", "target": "texts"}},
        "mining": {"threshold": "none"},
        "evaluate": {"gold": str(SAMPLE / "gold.parquet")},
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(config))
    return folder / "run.yaml"


@pytest.mark.usefixtures("no_beam")
def test_intervals_cover_the_precision_of_the_other_half(tmp_path: Path, mining: Cli) -> None:
    pooled, single = [], []
    for distractors in (50, 100):
        folder = tmp_path / str(distractors)
        folder.mkdir()
        config = sample_with(folder, distractors)
        done = mining("run", "--config", config)
        assert done.code == 0, done.err
        done = mining("calibrate", "--config", config)
        assert done.code == 0, done.err
        for match in filter(None, map(ROW.match, done.out.splitlines())):
            pair, _, _, low, high, judged = match.groups()
            covered = float(low) <= float(judged) <= float(high)
            (pooled if pair == "*-*" else single).append(covered)
    assert len(pooled) == 8
    assert len(single) > 80
    # Intervals of 95 %, judged on a half that is itself a draw, and all share their meanings: one of the
    # eight may miss, and one in ten of the others.
    assert sum(pooled) >= 7
    assert sum(single) >= 0.9 * len(single)
