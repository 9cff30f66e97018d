"""Bootstrapping: train, mine with what was trained, judge, learn from what was mined, and again.

Round 0 is the seed's. Round r learns from the seed and from the pairs that the model of round r - 1
mined. Every step is finished or not, and a finished one is not done again: a killed run goes on where
it was. In the output: ``model/`` (the best round's), ``report.json``, ``seconds.json``,
``identity.json``, ``mined/`` (the mining output that all rounds share), and ``round-<r>/`` with the
rows that were mined for it, its training run, and ``judged.json``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beam_jobs.bootstrap.config import Bootstrap, decisive
from beam_jobs.bootstrap.data import write_task
from beam_jobs.bootstrap.gold import HeldOutGold, held_out_gold
from beam_jobs.bootstrap.setup import Setup, read_setup
from beam_jobs.bootstrap.stop import verdict
from beam_jobs.evaluation import judge
from beam_jobs.execution.run import run
from beam_jobs.plan import Plan
from beam_jobs.progress import Progress
from beam_jobs.stage import STAGES, storage_of
from encoders.dual.folder import written_whole
from encoders.train.config import decisive as decisive_training
from encoders.train.run import train
from encoders.train.starting import start_folder
from encoders.train.state import differing, flat, require_same
from mining.config.load import to_plain
from mining.contract.errors import ConfigError, InputError
from mining.io.dataset import read_json, write_json
from mining.io.filesystem import Storage, list_glob, read_bytes

_LOCAL = Storage()
_PAIR_FIGURES = ("f1", "best_f1")  # of the pairs; the others search the whole pools


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run ended with.

    Attributes:
        model: folder of the best round's model.
        report: what ``report.json`` holds.
        seconds: of each round, by step, over all runs that finished one of them.
        fresh: whether anything was done; False: it was finished before.
    """

    model: Path
    report: dict[str, Any]
    seconds: dict[str, dict[str, float]]
    fresh: bool


class Places:
    """Where a run keeps what."""

    def __init__(self, output: str) -> None:
        self.output = Path(output).expanduser().absolute()
        self.model = self.output / "model"
        self.report = self.output / "report.json"
        self.seconds = self.output / "seconds.json"
        self.identity = self.output / "identity.json"
        self.mined = self.output / "mined"
        self.cache = self.output / "cache"
        self.sentences = self.output / "gold.sentences.txt"

    def round(self, number: int) -> Path:
        """Folder of a round."""
        return self.output / f"round-{number}"

    def trained(self, number: int) -> Path:
        """The file that says that the training of a round is finished."""
        return self.round(number) / "train" / "_state" / "finished.json"

    def trained_model(self, number: int) -> Path:
        """The model that a round has trained, when that is finished."""
        return self.round(number) / "train" / "model"


def bootstrap(config: Bootstrap, progress: Progress) -> Outcome:
    """Run the rounds, or go on with those of a run that was stopped.

    ``rounds``, ``stop.min_gain`` and ``stop.patience`` may change between runs: finished rounds are
    taken as they are.

    Args:
        config: of the rounds.
        progress: takes lines for people.

    Raises:
        ConfigError: the configs do not go together, or the output holds other files.
        CheckpointError: the output holds rounds of other settings.
        MiningError: whatever mining and training raise; what is finished stays.
    """
    places, setup = Places(config.output), read_setup(config, progress.warn)
    _claim(places, setup)
    gold = held_out_gold(setup.gold, storage_of(setup.mining.execution), str(places.sentences))
    rounds = _Rounds(setup, places, gold, progress)
    report = rounds.all()
    source = rounds.models[report["best"]]
    told = read_json(str(places.report), _LOCAL) if places.report.is_file() else None
    if told != report or not places.model.is_dir():
        rounds.fresh = True
        with written_whole(places.model) as folder:
            shutil.copytree(source, folder, dirs_exist_ok=True)
        write_json(str(places.report), report, _LOCAL)
    return Outcome(model=places.model, report=report, seconds=rounds.seconds(), fresh=rounds.fresh)


def require_claimed(places: Places, setup: Setup) -> None:
    """The output must be one of rounds with these settings. Nothing is written.

    Another gold is none of its faults: it judges, and what is forgotten may have stood in it.

    Raises:
        ConfigError: if the folder is no such output, so that nothing in it is ours to remove.
    """
    found = read_json(str(places.identity), _LOCAL) if places.identity.is_file() else None
    if not isinstance(found, dict) or not {"gold", "stop.task"} <= set(found):
        raise ConfigError(
            f"{places.output}: must be an output of mining bootstrap, but holds no "
            f"{places.identity.name} of it; check output and --output; nothing was changed"
        )
    if told := differing({**found, "gold": None}, {**_settings(setup), "gold": None}):
        raise ConfigError(
            f"{places.identity}: must be of rounds with the same settings, but {told}; give the config "
            "and the --set of the run; nothing was changed"
        )


def _claim(places: Places, setup: Setup) -> None:
    """Write what the rounds are decided by, unless the folder belongs to something else."""
    gold = read_bytes(setup.gold, storage_of(setup.mining.execution))
    identity = {**_settings(setup), "gold": hashlib.sha256(gold).hexdigest()}
    if places.identity.is_file():
        if any(places.output.glob("round-*")):  # until then nothing was made by other settings
            require_same(places.identity, read_json(str(places.identity), _LOCAL), identity)
    elif list_glob(str(places.output), _LOCAL):
        raise ConfigError(
            f"{places.output}: must be empty or an output of this program, but holds other files; "
            "choose another --output"
        )
    write_json(str(places.identity), identity, _LOCAL)


def _settings(setup: Setup) -> dict[str, Any]:
    """What the rounds are decided by, beside the gold."""
    mining = to_plain(setup.mining)
    for name in ("output", "execution"):
        del mining[name]
    del mining["model"]["path"], mining["model"]["revision"]
    return {
        **flat(decisive(setup.config)),
        **flat(mining, "mining"),
        **flat(decisive_training(setup.training), "training"),
    }


class _Rounds:
    """The rounds of a run, each step done once.

    Attributes:
        models: folder of each round's model.
        fresh: whether anything was done.
    """

    def __init__(self, setup: Setup, places: Places, gold: HeldOutGold, progress: Progress) -> None:
        self._setup, self._places, self._gold, self._progress = setup, places, gold, progress
        self.models: list[Path] = []
        self.fresh = False

    def all(self) -> dict[str, Any]:
        """Run the rounds until the rule says stop.

        Returns:
            The report.
        """
        stop, most = self._setup.config.stop, self._setup.config.rounds
        told: list[dict[str, Any]] = []
        why = f"all {most} rounds are done"
        for number in range(most + 1):
            learned = None if number == 0 else self._learned(number)
            if learned is not None and not any(task["kept"] for task in learned.values()):
                why = f"round {number}: none of the mined pairs is left to learn from"
                why += "".join(f"; {task}: {_counts(one)}" for task, one in learned.items())
                break
            self.models.append(self._trained(number, learned))
            figure = self._judged(number)
            told.append({"round": number, "learned": learned, "figure": figure})
            self._progress.say(f"round {number}: {stop.task} {stop.figure} {figure['value']:.4f}")
            found = verdict([one["figure"]["value"] for one in told], stop)
            if found.is_over:
                why = (
                    f"{stop.figure} of {stop.task} has not risen by {stop.min_gain:g} since round "
                    f"{number - found.without_gain}"
                )
                break
        self._progress.say(f"over: {why}")
        best = verdict([one["figure"]["value"] for one in told], stop).best
        return {"schema": 1, "task": stop.task, "metric": stop.figure, "best": best, "over": why,
                "rounds": told}  # fmt: skip

    def _learned(self, number: int) -> dict[str, Any]:
        """The rows of a round, out of what the round before it mines; what became of the pairs."""
        folder = self._places.round(number)
        receipt = folder / "learned.json"
        if not receipt.is_file():
            with self._timed(number, "filter"):
                plan = self._mined(number - 1)
                rules = self._setup.config.filter
                found = {
                    task: write_task(plan, task, rules, self._gold, str(folder))
                    for task in self._setup.learned
                }
                tasks = {task: dataclasses.asdict(one) for task, one in found.items()}
                write_json(str(receipt), tasks, _LOCAL)
        learned: dict[str, Any] = read_json(str(receipt), _LOCAL)
        return learned

    def _trained(self, number: int, learned: dict[str, Any] | None) -> Path:
        """The model of a round."""
        setup, places = self._setup, self._places
        if number == 0 and setup.config.first == "start":
            return start_folder(setup.training.model)
        folder = places.round(number)
        kept = [task for task, one in (learned or {}).items() if one["kept"]]
        config = setup.training_with(
            {task: str(folder / "rows" / task) for task in kept},
            str(folder / "train"),
            (str(places.cache), str(places.sentences)),
            self.models[-1] if self.models else None,
        )
        if places.trained(
            number
        ).is_file():  # said by every finished round, it would hide what is not
            return train(config, _silent).model
        self._progress.say(
            f"round {number}: training on the seed and {', '.join(kept) or 'no more'}"
        )
        with self._timed(number, "train"):
            return train(config, self._progress.say).model

    def _mined(self, number: int) -> Plan:
        """The plan of a finished mining run with the model of a round."""
        model = str(self.models[number])
        if number == 0 and self._setup.config.first == "start":
            model = self._setup.training.model.start
        plan = Plan(self._setup.mining_with(model, str(self._places.mined)), self._progress)
        run(plan, STAGES, (), self._progress)
        return plan

    def _judged(self, number: int) -> dict[str, Any]:
        """The figure of a round's model, with its interval and its controls."""
        receipt = self._places.round(number) / "judged.json"
        if not receipt.is_file():
            stop = self._setup.config.stop
            self._progress.say(f"round {number}: mining")
            with self._timed(number, "mine"):
                plan = self._mined(number)
                found = judge(plan, stop.task, retrieval=stop.figure not in _PAIR_FIGURES)
                if found is None or stop.figure not in found.macro:
                    raise InputError(
                        f"{self._setup.gold}: must hold some language pair of task {stop.task}, by "
                        "which the rounds are judged, but holds none; add gold or name another task"
                    )
                values = dataclasses.asdict(found.macro[stop.figure])
                # what does not apply: no JSON, and unequal to itself
                told = {name: None if value != value else value for name, value in values.items()}
                write_json(str(receipt), told, _LOCAL)
        figure: dict[str, Any] = read_json(str(receipt), _LOCAL)
        return figure

    def seconds(self) -> dict[str, dict[str, float]]:
        """Of each round, by step."""
        path = self._places.seconds
        found: dict[str, dict[str, float]] = read_json(str(path), _LOCAL) if path.is_file() else {}
        return found

    @contextmanager
    def _timed(self, number: int, step: str) -> Iterator[None]:
        """Note how long a step took: no result, so it stands in no report."""
        self.fresh, began = True, time.monotonic()
        yield
        told = self.seconds()
        told.setdefault(str(number), {})[step] = round(time.monotonic() - began, 1)
        write_json(str(self._places.seconds), told, _LOCAL)


def _counts(task: dict[str, Any]) -> str:
    """``190 mined, below_threshold 150, benchmark_overlap 40``."""
    refused = [f"{reason} {count}" for reason, count in task["rejected"].items()]
    return ", ".join([f"{task['mined']} mined", *refused])


def _silent(line: str) -> None:
    """Progress of what is finished is no progress."""
