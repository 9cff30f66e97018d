"""What bootstrapping rounds are told: every field, its range, and where its default comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mining.config.binding import setting
from mining.config.load import load_as, to_plain
from mining.config.yaml_nodes import parse_yaml


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which mined pairs are learned from; a rule that is not given refuses nothing.

    Attributes:
        tasks: of the mining config: speech against text, or text against text. Not given: all those
            of speech against text.
        min_margin: lowest margin score.
        precision: lowest margin score that has this precision on the gold, found anew each round
            as ``mining calibrate`` does, by language pair; a language pair that does not reach it is
            not learned from.
        mutual_only: whether each must be the other's best candidate.
        max_length_ratio: how many times longer or shorter one side may be, against the other, than
            is usual for the language pair: the median of what is mined. Speech is measured in
            seconds, text in characters.
        max_pairs: of a task's language pair; those of the highest margin score are kept.
    """

    tasks: tuple[str, ...] | None = None
    min_margin: float | None = None
    precision: float | None = setting(default=None, low=0.01, high=0.999)
    mutual_only: bool = False
    max_length_ratio: float | None = setting(default=None, low=1.0)
    max_pairs: int | None = setting(default=None, low=1)

    def __post_init__(self) -> None:
        if self.min_margin is not None and self.precision is not None:
            raise ValueError("min_margin and precision must not both be given")
        if self.tasks == ():
            raise ValueError("tasks must name at least one, or be left out")


@dataclass(frozen=True, kw_only=True)
class Stop:
    """When there are no more rounds.

    Attributes:
        task: of the mining config, that is judged on the gold.
        figure: of the task, the mean over its language pairs. ``f1`` is that of the pairs as they are
            mined, ``best_f1`` that at the threshold which suits the gold best.
        min_gain: what the figure must rise by, above what it was when it last did.
        patience: rounds in a row that may pass without such a rise, the last of them included.
    """

    task: str
    figure: Literal["f1", "best_f1", "recall_at_1", "recall_at_5", "mrr"] = "f1"
    min_gain: float = setting(default=0.005, low=0.0, high=1.0)
    patience: int = setting(default=1, low=1)


@dataclass(frozen=True, kw_only=True)
class Bootstrap:
    """A whole run: train, mine, judge; then learn from what was mined, mine with the new model, ...

    Attributes:
        schema: version of this format.
        output: local folder; ``output`` of the two configs is not used.
        mining: a mining run's YAML file. Its ``evaluate.gold`` judges the rounds: its sentences, also
            those that are nearly the same, are learned from neither in what is mined nor in the seed,
            and what is mined shares no moment with its recordings; to keep those out of the seed is
            the user's part. ``model`` keeps all settings but the path: that of the newest model.
        training: a training run's YAML file: the seed and the start. Nothing is held out beside the
            gold, so that every round learns from the same seed.
        stop: see :class:`Stop`.
        rounds: of mining and learning from it, at most; round 0 learns from the seed alone.
        first: ``trained``: round 0 is the training config as it is; ``start``: round 0 is the
            model that the training config starts from, which must be a dual encoder.
        learn_from: ``start``: every round starts from the training config's start (Gomez et al. 2024
            train once, on all data); ``newest``: from the model of the round before.
        seed_copies: how often the seed's rows are drawn for each time that a mined row of the same
            language is.
        filter: see :class:`Filter`.
    """

    schema: Literal[1]
    output: str
    mining: str
    training: str
    stop: Stop
    rounds: int = setting(default=3, low=1)
    first: Literal["trained", "start"] = "trained"
    learn_from: Literal["start", "newest"] = "start"
    seed_copies: int = setting(default=1, low=1, high=100)
    filter: Filter = field(default_factory=Filter)

    def __post_init__(self) -> None:
        if not self.output:
            raise ValueError("output must name a folder, but is empty")
        if "://" in self.output:
            raise ValueError(f"output must be a local folder to train in, but is {self.output!r}")


def load_bootstrap(
    path: str, overrides: Sequence[str] = (), output: str | None = None
) -> Bootstrap:
    """Read, override and check the config of bootstrapping rounds.

    Args:
        path: a YAML file.
        overrides: ``a.b=c`` settings; c is read as YAML.
        output: replaces the config's ``output``.

    Raises:
        ConfigError: naming every fault with its file, line and key.
    """
    return load_as(Bootstrap, path, overrides, output)


def is_bootstrap(path: str) -> bool:
    """Whether a YAML file is a config of rounds: only that names one for training."""
    try:
        root = parse_yaml(Path(path).read_text(encoding="utf-8"), path, [])
    except (OSError, UnicodeDecodeError):  # whoever reads it next says so
        return False
    return isinstance(root.value, dict) and "training" in root.value


def decisive(config: Bootstrap) -> dict[str, Any]:
    """The settings that decide what a round is: not how many there are, nor where they lie."""
    plain: dict[str, Any] = to_plain(config)
    for name in ("output", "mining", "training", "rounds"):
        del plain[name]
    for name in ("min_gain", "patience"):
        del plain["stop"][name]
    return plain
