"""The two configs behind a run of bootstrapping rounds, checked against each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from beam_jobs.bootstrap.config import Bootstrap
from beam_jobs.stages.tasks import modality_of
from encoders.dual.config import AUDIO_TOKENIZER_FOLDER
from encoders.train.config import Model, Training, load_training
from encoders.train.data.config import Data, Seed, Texts
from encoders.train.starting import goes_on, own_tokenizer, start_folder
from mining.config import Config, load_config
from mining.config.model import NONE
from mining.contract.errors import ConfigError
from mining.contract.schemas import SPEECH


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What the rounds are made of.

    Attributes:
        config: of the rounds.
        mining: of every round's mining, with only the tasks that are judged or learned from; its
            output and its model's path are still to be replaced.
        training: of the seed, nothing held out, with copies of the seed's rows.
        learned: tasks that are learned from.
        gold: address of the gold.
    """

    config: Bootstrap
    mining: Config
    training: Training
    learned: tuple[str, ...]
    gold: str

    def hears(self, task: str) -> bool:
        """Whether a task has speech on some side."""
        return _hears(self.mining, task)

    def mining_with(self, model: str, output: str) -> Config:
        """The mining run of a round.

        Args:
            model: folder or name of the round's model.
            output: folder, which all rounds share: datasets are named by what decides them, so what
                does not depend on the model is made once.
        """
        hub_only = self.training.model.revision if model == self.training.model.start else None
        ref = replace(self.mining.model, path=model, revision=hub_only)
        return replace(self.mining, output=output, model=ref)

    def training_with(
        self, mined: Mapping[str, str], output: str, places: tuple[str, str], newest: Path | None
    ) -> Training:
        """The training run of a round.

        Args:
            mined: folder of the rows to learn from beside the seed's, by task.
            output: folder of this run.
            places: cache of tokenised speech; file of the gold's sentences.
            newest: model of the round before; None: this is round 0.
        """
        cache, sentences = places
        config, data = self.training, self.training.data
        seeds, texts = dict(data.seeds), dict(data.texts)
        for task, folder in mined.items():
            if self.hears(task):
                seeds[_free(f"mined.{task}", seeds)] = Seed(manifest=folder)
            else:
                texts[_free(f"mined.{task}", texts)] = Texts(uri=folder)
        sets = (*config.contamination.sets, sentences)
        return replace(
            config,
            output=output,
            model=self._start(newest),
            data=replace(data, seeds=seeds, texts=texts),
            contamination=replace(config.contamination, sets=sets),
            work=replace(config.work, cache=config.work.cache or cache),
        )

    def _start(self, newest: Path | None) -> Model:
        model = self.training.model
        if newest is None:
            return model
        if self.config.learn_from == "newest":
            # what decides its weights stands in its folder
            return replace(
                model, start=str(newest), revision=None, audio_tokenizer=None, fit=None,
                fit_letters=None, tie=None, pooling=None, dim=None,
            )  # fmt: skip
        if model.fit is not None or model.fit_letters is not None:
            # fitted once: other units each round could not be compared, and would be heard anew
            fitted = str(newest / AUDIO_TOKENIZER_FOLDER)
            return replace(model, fit=None, fit_letters=None, audio_tokenizer=fitted)
        return model


def read_setup(config: Bootstrap, warn: Callable[[str], None]) -> Setup:
    """Read the configs of mining and training, and check that they go together.

    Args:
        config: of the rounds.
        warn: takes lines for people.

    Raises:
        ConfigError: naming every fault.
        CheckpointError: the training's start cannot be used.
    """
    mining, training = load_config(config.mining), load_training(config.training)
    learned = config.filter.tasks
    if learned is None:
        learned = tuple(name for name in mining.tasks if _kind(mining, name) == "speech-text")
    faults = list(_faults(config, mining, learned))
    if faults:
        raise ConfigError("\n".join(faults))
    setup = Setup(
        config=config,
        mining=replace(
            mining,
            tasks={
                name: task
                for name, task in mining.tasks.items()
                if name in (config.stop.task, *learned)
            },
        ),
        training=replace(training, data=_copied(training.data, config.seed_copies)),
        learned=learned,
        gold=mining.evaluate.gold if mining.evaluate is not None else "",
    )
    _require_usable_start(setup)
    if training.data.held_out:
        warn(
            f"{config.training}: data.held_out: the gold judges the rounds, so nothing of the seed is "
            "held out beside it"
        )
    return setup


def _faults(config: Bootstrap, mining: Config, learned: tuple[str, ...]) -> Iterator[str]:
    """What is wrong with the mining config, one line each."""
    where, known = config.mining, ", ".join(mining.tasks)
    if mining.evaluate is None:
        yield (
            f"{where}: evaluate.gold: must name held-out gold, by which rounds are judged, but is not "
            "set"
        )
    if config.stop.task not in mining.tasks:
        yield f"stop.task: must be a task of {where} ({known}), but is {config.stop.task!r}"
    if not learned:
        yield (
            f"{where}: tasks: one must be speech against text, to learn from, but none is; add one, or "
            "name tasks of text in filter.tasks"
        )
    for task in learned:
        if task not in mining.tasks:
            yield f"filter.tasks: must be tasks of {where} ({known}), but {task!r} is none"
        elif _kind(mining, task) == "speech-speech":
            yield (
                f"filter.tasks: must have text on one side, which speech is trained with, but {task} is "
                "speech against speech; leave it out"
            )
    used = dict.fromkeys(
        corpus
        for task in (config.stop.task, *learned)
        if task in mining.tasks
        for corpus in (*mining.tasks[task].sources, *mining.tasks[task].targets)
    )
    for name in used:
        yield from _faults_of_corpus(mining, name, where)
    told = mining.mining
    by_preset = told.threshold is None and told.target_precision is None and told.preset
    if told.threshold in (None, "model") and not by_preset and told.calibration is None:
        yield (
            f"{where}: mining.threshold: must be a number or {NONE}, since a model that is trained here "
            "brings no calibration, but is not set"
        )


def _faults_of_corpus(mining: Config, name: str, where: str) -> Iterator[str]:
    corpus = mining.corpora[name]
    if corpus.model is not None:
        yield (
            f"{where}: corpora.{name}.model: must be left out, since the model that is trained embeds "
            f"every corpus, but is {corpus.model.path!r}"
        )
    recogniser = mining.recogniser_of(name)
    if recogniser is not None:
        yield (
            f"{where}: corpora.{name}: must have no recogniser, since the model that is trained is to "
            f"hear it, but has {recogniser.path!r}; leave it out"
        )
    if corpus.modality == SPEECH and corpus.speech.channel != "mix":
        yield (
            f"{where}: corpora.{name}.speech.channel: must be mix, which is what training hears, but is "
            f"{corpus.speech.channel!r}"
        )


def _require_usable_start(setup: Setup) -> None:
    model = setup.training.model
    folder = start_folder(model)
    if setup.config.first == "start" and not goes_on(folder, model):
        raise ConfigError(
            f"{setup.config.training}: model.start: must be a dual encoder to go on from where first is "
            f"start, since round 0 mines with it, but {model.start!r} is none; set first: trained"
        )
    own = own_tokenizer(folder, model)
    given = (model.audio_tokenizer, model.fit, model.fit_letters)
    if own is None and all(one is None for one in given):
        spoken = [task for task in setup.mining.tasks if setup.hears(task)]
        if spoken:
            raise ConfigError(
                f"{setup.config.training}: model: must hear for task {spoken[0]}, but has no audio "
                "tokenizer; give model.audio_tokenizer or a fit, or mine text only"
            )


def _hears(mining: Config, task: str) -> bool:
    return SPEECH in _kind(mining, task).split("-")


def _kind(mining: Config, task: str) -> str:
    """``speech-text``, ``text-text`` or ``speech-speech``, in whichever order the sides are."""
    sides = (mining.tasks[task].sources, mining.tasks[task].targets)
    return "-".join(sorted(modality_of(mining, side) for side in sides))


def _copied(data: Data, copies: int) -> Data:
    """The seed's rows ``copies`` times, and none held out: the gold judges."""
    seeds, texts = dict(data.seeds), dict(data.texts)
    for number in range(2, copies + 1):
        for name, seed in data.seeds.items():
            seeds[_free(f"{name}.{number}", seeds)] = seed
        for name, pairs in data.texts.items():
            texts[_free(f"{name}.{number}", texts)] = pairs
    return replace(data, seeds=seeds, texts=texts, held_out=0)


def _free(name: str, taken: Mapping[str, object]) -> str:
    while name in taken:
        name += "_"
    return name
