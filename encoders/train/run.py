"""A training run: data in, a model folder out; killed at any moment, it goes on from there.

In the output: ``model/``, ``metrics.jsonl``, ``report.json``, ``config.resolved.yaml``,
``tensorboard/``, and ``_state/`` with the states and the record that the run is finished.
"""

from __future__ import annotations

import dataclasses
import math
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from encoders.audio_tokens.load import load_audio_tokenizer
from encoders.load import describe_encoder, load_encoder, require_device
from encoders.train.config import Training, decisive
from encoders.train.data.load import Loaded, load_data
from encoders.train.data.speech import SpeechPairs
from encoders.train.data.texts import TextPairs
from encoders.train.figures import read_figures
from encoders.train.learner import Learner
from encoders.train.letters_fit import fitted_letters
from encoders.train.loop import Lesson, teach
from encoders.train.starting import (
    Surroundings,
    own_tokenizer,
    require_orthography_fits,
    start_folder,
    start_model,
)
from encoders.train.state import flat, load_state, require_same
from encoders.train.units import fitted_units
from mining.config import resolved_yaml
from mining.contract.errors import CapacityError, ConfigError
from mining.io.dataset import read_json, write_json
from mining.io.filesystem import Storage, write_atomic
from mining.threads import torch_threads

Say = Callable[[str], None]

_LOCAL = Storage()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run ended with.

    Attributes:
        model: folder of the trained model.
        report: what ``report.json`` holds.
        fresh: whether anything was done; False: it was finished before.
    """

    model: Path
    report: dict[str, Any]
    fresh: bool


class _Places:
    """Where a run keeps what."""

    def __init__(self, config: Training) -> None:
        if "://" in config.output:
            raise ConfigError(
                f"output: must be a local folder to train in, but is {config.output!r}; copy the "
                "model from there afterwards"
            )
        self.output = Path(config.output).expanduser().absolute()
        self.model = self.output / "model"
        self.report = self.output / "report.json"
        self.resolved = self.output / "config.resolved.yaml"
        self.states = self.output / "_state"
        self.finished = self.states / "finished.json"
        cache = config.work.cache
        self.cache = Path(cache).expanduser() if cache else self.output / "_cache"


def train(config: Training, say: Say) -> Outcome:
    """Train a model, or go on with a run that was stopped.

    The same config and data give the same weights, to the bit on one kind of CPU with one number of
    threads, however often the run was stopped.

    Args:
        config: of the run.
        say: takes lines of progress.

    Raises:
        ConfigError: settings do not go together.
        CheckpointError: the output holds a run with other settings, or the start cannot be used.
        InputError: the data cannot be used.
        CapacityError: device, memory, disk space or time are missing.
        MiningError: the loss is no longer finite; the batch is kept.
    """
    minutes = config.work.minutes
    until = math.inf if minutes is None else time.monotonic() + 60 * minutes
    places, identity = _Places(config), flat(decisive(config))
    if places.finished.is_file():
        require_same(places.finished, read_json(str(places.finished), _LOCAL)["identity"], identity)
        say(f"nothing to do: {places.model} is finished")
        return Outcome(
            model=places.model, report=read_json(str(places.report), _LOCAL), fresh=False
        )
    state = load_state(places.states, identity)
    device = require_device(config.work.device)
    write_atomic(str(places.resolved), resolved_yaml(config).encode("utf-8"), _LOCAL)
    try:
        with torch_threads(config.work.threads):
            lesson = _prepared(config, places, device, say)
            judged = teach(lesson, state, say, until=until)
    except (RuntimeError, MemoryError) as error:
        if not _is_out_of_memory(error):
            raise
        raise CapacityError(
            f"{device}: a step must fit in memory, but does not; lower optimiser.chunk (it is "
            f"{config.optimiser.chunk}) or model.max_tokens, with another output"
        ) from None
    report = {
        "schema": 1,
        "data": lesson.data.report,
        "trained": lesson.learner.parameters,
        "last_step": _last_step(places.output),
        "judged": [dataclasses.asdict(one) for one in judged],
    }
    lesson.model.save_pretrained(places.model)
    write_json(str(places.report), report, _LOCAL)
    write_json(str(places.finished), {"schema": 1, "identity": identity}, _LOCAL)
    for done in ("*step_*", "letters-state-*", "encoder-*"):
        for left in places.states.glob(done):
            shutil.rmtree(left, ignore_errors=True)
    for left in places.states.glob("spectra-*"):
        left.unlink()
    say(f"finished: {places.model}")
    return Outcome(model=places.model, report=report, fresh=True)


def _prepared(config: Training, places: _Places, device: str, say: Say) -> Lesson:
    """Model and data, ready for the first step."""
    start = start_folder(config.model)
    require_orthography_fits(start, config.model)
    hearing = own_tokenizer(start, config.model)
    if config.model.audio_tokenizer is not None:
        hearing = Path(config.model.audio_tokenizer).expanduser()
    elif config.model.fit is not None:
        hearing = fitted_units(config, places.states, device, say)
    elif config.model.fit_letters is not None:
        hearing = fitted_letters(config, places.states, device, say)
    data = _loaded(config, hearing, (places.cache, device), say)
    teacher, card = None, None
    if config.loss.teacher is not None:
        card = describe_encoder(config.loss.teacher.path)
        teacher = load_encoder(config.loss.teacher.path, device=device)
    around = Surroundings(languages=_languages(data), teacher=card, device=device)
    model = start_model(config, start, hearing, around)
    learner = Learner(model, config, teacher)
    trained = ", ".join(f"{part} {count:,}" for part, count in learner.parameters.items())
    total = sum(p.numel() for p in model.parameters())
    say(f"training {trained} of {total:,} numbers on {device}")
    return Lesson(
        config=config,
        output=places.output,
        states=places.states,
        identity=flat(decisive(config)),
        model=model,
        learner=learner,
        data=data,
    )


def _loaded(config: Training, hearing: Path | None, where: tuple[Path, str], say: Say) -> Loaded:
    """Pairs, with their speech as units."""
    cache, device = where
    tokenizer = None
    if hearing is not None:
        tokenizer = load_audio_tokenizer(hearing, device=device, threads=config.work.threads)
    return load_data(
        config.data, config.contamination, tokenizer, cache=cache, seed=config.seed, progress=say
    )


def _languages(data: Loaded) -> tuple[str, ...]:
    """Codes of the languages on either side of some pair."""
    found: set[str] = set()
    for source in data.sources:
        found.update(source.lang_names[number] for number in np.unique(source.langs))
        if isinstance(source, SpeechPairs | TextPairs):
            target = source.target
            found.update(target.lang_names[number] for number in np.unique(target.langs))
    return tuple(sorted(found))


def _last_step(output: Path) -> dict[str, float]:
    """Figures of the last step but its speed, which is no result."""
    steps = [line for line in read_figures(output) if line["kind"] == "step"]
    return {name: value for name, value in steps[-1].items() if name not in ("kind", "items_per_s")}


def _is_out_of_memory(error: BaseException) -> bool:
    known = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return known or "can't allocate memory" in str(error)
