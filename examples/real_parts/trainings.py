"""Configs of the trainings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from job import Job
from rows import TEACHER
from sizes import Phase

from encoders.load import describe_encoder
from encoders.train.config import Training, load_training

_SEED = 0


def speech_seeds(job: Job, max_s: float = 12.0) -> dict[str, dict[str, Any]]:
    """Seeds with speech; longer clips are left out."""
    names = ("people", "synthetic")
    return {name: {"manifest": str(job.shared / f"{name}.tsv"), "max_s": max_s} for name in names}


def phase_training(job: Job, phase: Phase, start: Path, tokens: Path | None) -> Training:
    """The config of a phase, written and read."""
    spelled = {
        "audio_tokenizer": str(tokens),
        "tie": "spelling",
        "dim": describe_encoder(TEACHER).dim,
        "max_tokens": 256,
    }
    size = job.size
    config = {
        **base(job, job.own / phase.name),
        "model": {
            "start": str(start),
            "name": job.own.name,
            **(spelled if tokens is not None else {}),
            "train": ["projection", "lora"]
            if job.tokens == "letters"
            else ["audio", "projection", "lora"],
            "lora": {"rank": 16},
        },
        "data": {
            "seeds": speech_seeds(job, phase.max_s),
            "texts": {"parallel": {"uri": str(job.shared / "texts.tsv.gz")}},
            "transcribe": 0.75,
            "translate": 0.1,
            "text": 0.15,
        },
        "loss": {"margin": 0.1, "teacher": {"path": TEACHER, "weight": 2.0}},
        "optimiser": {
            "steps": phase.steps,
            "batch": size.batch,
            "chunk": size.chunk,
            "rate": phase.rate,
            "audio_rate": 10 * phase.rate,
            "warm_up": phase.steps // 20,
            "precision": "bfloat16",
        },
    }
    return written(job.own / f"{phase.name}.yaml", config)


def base(job: Job, output: Path) -> dict[str, Any]:
    """What all trainings have in common."""
    work = {
        "device": job.device,
        "threads": job.threads,
        "checkpoint_every": 50,
        "tensorboard": False,
        "cache": str(job.shared / "cache"),
    }
    return {"schema": 1, "output": str(output), "seed": _SEED, "work": work}


def written(path: Path, config: dict[str, Any]) -> Training:
    """A config as it was written to a file and read again."""
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return load_training(str(path))
