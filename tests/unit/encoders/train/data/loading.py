"""What tests of loading look at: the row law, pairs by kind, tables on disk."""

from __future__ import annotations

from pathlib import Path

from encoders.train.data.config import Data
from encoders.train.data.load import Loaded
from encoders.train.data.pairs import TrainingPair

PLANTED = "The quick brown committee decided on Tuesday to postpone the long awaited vote."


def check_law(data: Data, found: Loaded) -> None:
    """Every row is kept or a reject, and the list of rejects has them all."""
    total = 0
    for group in ("seeds", "texts"):
        for figures in found.report[group].values():
            refused = sum(figures["rejected"].values())
            assert figures["rows"] == figures["kept"] + refused
            total += refused
    listed = found.rejects.read_text(encoding="utf-8").splitlines()
    assert listed[0].split("\t") == ["row_id", "stage", "reason", "detail"]
    assert len(listed) - 1 == total == sum(found.report["rejected"].values())
    assert all(len(line.split("\t")) == 4 for line in listed)


def pairs(found: Loaded, kind: str) -> list[TrainingPair]:
    return [s.pair(row) for s in found.sources if s.kind == kind for row in range(len(s))]


def table(path: Path, columns: str, *rows: str) -> str:
    path.write_text("\n".join([columns, *rows]).replace("|", "\t") + "\n", encoding="utf-8")
    return str(path)


def rejects(found: Loaded) -> dict[str, str]:
    lines = found.rejects.read_text(encoding="utf-8").splitlines()[1:]
    rows = [line.split("\t") for line in lines]
    return {row[0].rpartition("#")[2]: row[2] for row in rows}
