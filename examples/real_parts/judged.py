"""Recordings of people that no training has heard, and what finds them."""

from __future__ import annotations

from pathlib import Path

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
    config = yaml.safe_load((problem / "run.yaml").read_text(encoding="utf-8"))
    langs = [pair for pair in config["tasks"]["own"]["langs"] if _is_wanted(job, pair[:3])]
    for name, column in (("audio.tsv", 1), ("texts.tsv", 0)):
        _keep(problem / name, column, job)
    config["tasks"] = {"own": {**config["tasks"]["own"], "langs": langs}}
    config["model"] = {"path": str(model)}
    path = problem / "own.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), encoding="utf-8")
    mining("run", path)
    mining("evaluate", path, "--table", str(figures))
    return figures


def _keep(path: Path, column: int, job: Job) -> None:
    """Leave out the rows of other languages, which would be embedded as well."""
    header, *rows = path.read_text(encoding="utf-8").splitlines()
    kept = [row for row in rows if _is_wanted(job, row.split("\t")[column])]
    path.write_text("\n".join([header, *kept]) + "\n", encoding="utf-8")


def _is_wanted(job: Job, lang: str) -> bool:
    return not job.langs or lang in job.langs
