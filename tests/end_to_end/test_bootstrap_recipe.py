"""The recipe of builtin's ears in small: what it learns from some recordings is true of others."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml

from tests.end_to_end.conftest import Outcome

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "examples" / "sample"


def stated_interval() -> tuple[float, float]:
    """What builtin's card says of the recipe."""
    card = (ROOT / "encoders/builtin/README.md").read_text("utf-8")
    found = re.search(r"bootstrap\.yaml.*?R@1\s+[0-9.]+ \[([0-9.]+), ([0-9.]+)\]", card, re.DOTALL)
    assert found is not None
    return float(found[1]), float(found[2])


def sentence(row: str) -> tuple[str, str]:
    """Language and text of a row of the sample's spoken gold."""
    fields = row.split("\t")
    return fields[1], fields[3]


@pytest.mark.slow
def test_the_recipe_lands_in_the_interval_of_the_card(mining, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(ROOT)
    header, *rows = (SAMPLE / "speech_gold.tsv").read_text("utf-8").splitlines()
    judged = {sentence(row) for row in rows if "/kitchen.opus" in row}
    learned = [row for row in rows if "/harbour.opus" in row and sentence(row) not in judged]
    (tmp_path / "learned.tsv").write_text("\n".join([header, *learned]) + "\n", "utf-8")
    trained: Outcome = mining(
        "train", "--config", "configs/bootstrap.yaml", "--output", tmp_path / "trained",
        "--set", f"data.seeds.sample.manifest={tmp_path / 'learned.tsv'}",
    )  # fmt: skip
    assert trained.code == 0, trained.err
    langs = sorted({row.split("\t")[1] for row in learned})
    config = yaml.safe_load((ROOT / "configs/sample.yaml").read_text("utf-8"))
    config["output"] = str(tmp_path / "mined")
    config["model"] = {"path": str(tmp_path / "trained/model")}
    config["corpora"]["talks"]["uri"] = "examples/sample/audio/{lang}/kitchen.opus"
    config["tasks"] = {
        "own": {"source": "talks", "target": "texts", "langs": [f"{one}-{one}" for one in langs]}
    }
    config["mining"] = {"threshold": "none"}
    config["evaluate"] = {"gold": str(tmp_path / "gold.parquet")}
    gold = pq.read_table(SAMPLE / "gold.parquet")
    learned_gold = pc.fill_null(pc.match_substring(gold["source_uri"], "harbour"), False)
    pq.write_table(gold.filter(pc.invert(learned_gold)), tmp_path / "gold.parquet")
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config), "utf-8")
    mined = mining("run", "--config", tmp_path / "run.yaml")
    assert mined.code == 0, mined.err
    table = tmp_path / "figures.parquet"
    judged = mining("evaluate", "--config", tmp_path / "run.yaml", "--table", table)
    assert judged.code == 0, judged.err
    (found,) = [
        row for row in pq.read_table(table).to_pylist()
        if (row["pair"], row["metric"]) == ("macro", "recall_at_1")
    ]  # fmt: skip
    low, high = stated_interval()
    assert low <= found["value"] <= high
    assert max(found["length_only"], found["shuffled"]) < low
