"""The spoken world with a training config and a config of rounds; half of it is gold."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from mining.contract.schemas import REJECT, checked
from tests.end_to_end.speech_world import SpeechWorld

GOLD = ("eng/harbour.flac", "deu/harbour.opus")
LEARNED = ("eng/kitchen.wav", "deu/kitchen.mp3")


@dataclass(frozen=True)
class Rounds:
    """A spoken world, of whose recordings two are gold, a training config and a config of rounds."""

    world: SpeechWorld
    training: Path
    config: Path
    output: Path

    def change(self, path: Path, **values: Any) -> None:
        """Replace top-level keys of a config."""
        told = yaml.safe_load(path.read_text())
        path.write_text(yaml.safe_dump(told | values))

    def report(self, output: Path | None = None) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(((output or self.output) / "report.json").read_text())
        return found

    def rows(self, number: int, task: str) -> pa.Table:
        """What a round learns from beside the seed."""
        parts = sorted((self.output / f"round-{number}" / "rows" / task).glob("*.parquet"))
        return pa.concat_tables([pq.read_table(path) for path in parts])

    def rejects(self, number: int, task: str) -> pa.Table:
        parts = sorted((self.output / f"round-{number}" / "rejects" / task).glob("*.parquet"))
        for path in parts:
            checked(pq.read_table(path), REJECT, str(path))
        return pa.concat_tables([pq.read_table(path) for path in parts])


def make_rounds(world: SpeechWorld, seed: Path) -> Rounds:
    """Two recordings and what they say are gold; the seed holds a sentence of it, in capitals."""
    folder = world.folder
    lines = (folder / "gold.tsv").read_text().splitlines()
    rows = [line.split("\t") for line in lines[1:]]
    held = {row[0] for row in rows if row[4] in GOLD}
    gold = [row for row in rows if row[0] in held and row[4] not in LEARNED]
    (folder / "gold.tsv").write_text("\n".join([lines[0], *map("\t".join, gold)]) + "\n")
    world.speak_only([(name, name[:3]) for name in (*GOLD, *LEARNED)])
    world.change_corpus("talks", speech={"max_joined": 1})
    world.change(partitions=1, recogniser=None, evaluate={"gold": str(folder / "gold.tsv")})
    sentence = next(row[2] for row in gold if row[1] == "eng" and row[2])
    pairs = (seed / "pairs.tsv").read_text() + f"Das Boot\t{sentence.upper()}\tdeu\teng\n"
    (folder / "planted.tsv").write_text(pairs)
    told = yaml.safe_load((seed / "base.yaml").read_text())
    told["data"] |= {"held_out": 0, "texts": {"pairs": {"uri": str(folder / "planted.tsv")}}}
    (folder / "training.yaml").write_text(yaml.safe_dump(told))
    told = {
        "schema": 1,
        "output": str(folder / "rounds"),
        "mining": str(world.config),
        "training": str(folder / "training.yaml"),
        "rounds": 1,
        "filter": {"tasks": ["st", "tt"], "max_pairs": 20},
        "stop": {"task": "st", "figure": "recall_at_5", "min_gain": 0.0, "patience": 9},
    }
    (folder / "rounds.yaml").write_text(yaml.safe_dump(told))
    return Rounds(
        world=world,
        training=folder / "training.yaml",
        config=folder / "rounds.yaml",
        output=folder / "rounds",
    )
