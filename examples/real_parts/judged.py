"""Recordings of people that no training has heard, and what finds them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from commands import mining, script
from job import Job


def judged(job: Job, folder: Path, recogniser: Path | None, model: Path | str) -> Path:
    """Figures of the held-out clips among texts of their own language that are as long."""
    figures = folder / "figures.parquet"
    if figures.is_file():
        return figures
    problem = folder / "judged"
    maker = Path(__file__).parents[1] / "evaluation/speech.py"
    hears = [] if recogniser is None else ["--recogniser", str(recogniser)]
    script(str(maker), "held_out", str(job.data), str(problem), *hears)
    config = own_task(problem, job.langs)
    config["model"] = {"path": str(model)}
    path = problem / "own.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), encoding="utf-8")
    mining("run", path)
    mining("evaluate", path, "--table", str(figures))
    return figures


def own_task(problem: Path, langs: frozenset[str]) -> dict[str, Any]:
    """The config of a problem for the task ``own`` alone; rows of other languages are left out.

    Args:
        problem: folder that ``examples/evaluation/speech.py`` wrote; its tables are cut.
        langs: codes; none: all.
    """
    config: dict[str, Any] = yaml.safe_load((problem / "run.yaml").read_text(encoding="utf-8"))
    own = config["tasks"]["own"]
    pairs = [pair for pair in own["langs"] if not langs or pair[:3] in langs]
    config["tasks"] = {"own": {**own, "langs": pairs}}
    for name, column in (("audio.tsv", 1), ("texts.tsv", 0)):
        _keep(problem / name, column, langs)
    return config


def _keep(path: Path, column: int, langs: frozenset[str]) -> None:
    """Leave out the rows of other languages, which would be embedded as well."""
    header, *rows = path.read_text(encoding="utf-8").splitlines()
    kept = [row for row in rows if not langs or row.split("\t")[column] in langs]
    path.write_text("\n".join([header, *kept]) + "\n", encoding="utf-8")
