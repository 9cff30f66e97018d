"""Audio tokens fitted on a run's own speech."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from encoders.audio_tokens.kmeans_fit import KMeansFit, fit_kmeans_tokenizer
from encoders.audio_tokens.layer_states import WINDOW_S
from encoders.audio_tokens.writing import model_folder
from encoders.checkpoint import content_digest
from encoders.train.config import Training
from encoders.train.data.fitting import shuffled_clips
from encoders.train.data.screen import Screen
from mining.config import stage_hash
from mining.contract.errors import ConfigError
from mining.contract.speech import SPEECH_RATE_HZ, Samples

Say = Callable[[str], None]


def fitted_units(config: Training, states: Path, device: str, say: Say) -> Path:
    """The folder of k-means units as ``model.fit`` says, fitted unless an earlier run did it.

    Args:
        config: of the run; ``model.fit`` is given.
        states: folder that the tokenizer's is in.
        device: ``cpu`` or ``cuda``.
        say: takes lines of progress.

    Raises:
        ConfigError: there is no speech to fit on.
        CheckpointError: the encoder cannot be loaded.
        InputError: there are fewer frames than units.
    """
    fit = config.model.fit
    if fit is None or not config.data.seeds:
        raise ConfigError("model.fit: must have speech to fit on, but data.seeds is empty")
    source = content_digest(model_folder(fit.encoder, fit.revision))
    decided = {
        "fit": fit,
        "encoder": [source, WINDOW_S],
        "seeds": config.data.seeds,
        "contamination": config.contamination,
        "seed": config.seed,
    }
    folder = states / f"units-{stage_hash('units', decided)}"
    if not folder.is_dir():
        say(f"fitting {fit.units} units of {fit.encoder} on up to {fit.hours:g} h of speech")
        settings = KMeansFit(
            encoder=fit.encoder,
            revision=fit.revision,
            name=config.model.name,
            layer=fit.layer,
            units=fit.units,
            rate_hz=fit.rate_hz,
        )
        states.mkdir(parents=True, exist_ok=True)
        card = fit_kmeans_tokenizer(
            settings,
            _lasting(
                shuffled_clips(config.data.seeds, Screen(config.contamination), config.seed),
                fit.hours,
            ),
            folder,
            seed=config.seed,
            device=device,
            threads=config.work.threads,
        )
        say(f"fitted {card.units} units at {card.rate_hz:g} Hz")
    return folder


def _lasting(clips: Iterator[Samples], hours: float) -> Iterator[Samples]:
    """The first clips, until they last so long."""
    wanted, found = hours * 3600 * SPEECH_RATE_HZ, 0
    for samples in clips:
        yield samples
        found += len(samples)
        if found >= wanted:
            return
