"""Audio tokens of a job: k-means units, or letters."""

from __future__ import annotations

from pathlib import Path

from choose_layer import best_layer
from commands import script
from job import Job
from rows import TEACHER
from trainings import base, speech_seeds, written

import encoders
from encoders.train.letters_fit import fitted_letters
from encoders.train.units import fitted_units
from mining.threads import torch_threads

LEXICON = Path(encoders.__file__).parent / TEACHER / "audio_tokenizer/lexicon.parquet"
_LAYER_CLIPS = 240


def letters_of(job: Job) -> Path:
    """Letters read off the last layer of Whisper's encoder, and the words that they may be."""
    fit = {
        "encoder": str(job.whisper),
        "blocks": 6,
        "steps": job.size.letters,
        "warm_up": job.size.letters // 20,
        "shares": {"people": 0.5, "synthetic": 0.5},
        "lexicon": str(LEXICON),
    }
    model = {"start": str(job.backbone), "name": "whisper-letters", "fit_letters": fit}
    config = {**base(job, job.shared / "fit"), "model": model, "data": {"seeds": speech_seeds(job)}}
    training = written(job.shared / "letters.yaml", config)
    with torch_threads(job.threads):
        return fitted_letters(training, job.shared / "letters", job.device, print)


def units_of(job: Job) -> Path:
    """k-means units over the layer of Whisper's encoder that tells most of the letters."""
    layers = job.shared / "layers.tsv"
    if not layers.is_file():
        choose = str(Path(__file__).with_name("choose_layer.py"))
        script(choose, str(job.shared / "people.tsv"), str(job.whisper), str(layers), "--clips",
             str(_LAYER_CLIPS))  # fmt: skip
    fit = {
        "encoder": str(job.whisper),
        "layer": best_layer(layers),
        "units": job.size.units,
        "hours": job.size.fit_h,
    }
    config = {
        **base(job, job.shared / "fit"),
        "model": {"start": str(job.backbone), "fit": fit},
        "data": {"seeds": {"people": {"manifest": str(job.shared / "people.tsv"), "max_s": 12.0}}},
    }
    training = written(job.shared / "fit.yaml", config)
    return fitted_units(training, job.shared / "units", job.device, print)
