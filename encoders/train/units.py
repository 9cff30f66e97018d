"""Audio tokens fitted on a run's own speech."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from encoders.audio_tokens.kmeans_fit import KMeansFit, fit_kmeans_tokenizer
from encoders.train.config import FitUnits, Training
from encoders.train.data.fitting import heard, usable_rows
from encoders.train.data.rows import clip_numbers
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
    decided = {"fit": fit, "seeds": config.data.seeds, "seed": config.seed}
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
            _clips(config, fit),
            folder,
            seed=config.seed,
            device=device,
            threads=config.work.threads,
        )
        say(f"fitted {card.units} units at {card.rate_hz:g} Hz")
    return folder


def _clips(config: Training, fit: FitUnits) -> Iterator[Samples]:
    """Clips of all seeds in random order, until they last ``fit.hours``."""
    screen = Screen(config.contamination)
    rows = [usable_rows(name, seed, screen) for name, seed in config.data.seeds.items()]
    clips, _ = clip_numbers(pa.concat_tables(rows))
    order = np.random.default_rng(config.seed).permutation(clips.num_rows)
    longest_s = max(seed.max_s for seed in config.data.seeds.values())
    wanted = fit.hours * 3600 * SPEECH_RATE_HZ
    found = 0
    for _, samples in heard(clips.take(pa.array(order)), longest_s):
        yield samples
        found += len(samples)
        if found >= wanted:
            return
