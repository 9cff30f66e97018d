"""The steps of a training run, with what is written on the way: figures, judgements, states."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from encoders.dual.items import Item, Spoken
from encoders.dual.model import DualEncoder
from encoders.train.broken import save_batch
from encoders.train.config import Training
from encoders.train.data.load import Loaded
from encoders.train.data.mixture import Mixture
from encoders.train.data.pairs import TrainingPair
from encoders.train.figures import Figures, Line
from encoders.train.judge import Judgement, judge
from encoders.train.learner import Learner, NotFiniteError, StepFigures
from encoders.train.state import State, save_state
from mining.contract.errors import CapacityError, CheckpointError, InputError, MiningError

Say = Callable[[str], None]

_LINE_SECONDS = 10.0
_FEWEST_PAIRS = 2  # one alone has no negatives


@dataclass(frozen=True, kw_only=True, eq=False)
class Lesson:
    """Everything that the steps need.

    Attributes:
        config: of the run.
        output: folder.
        states: folder.
        identity: of the states, see :func:`encoders.train.state.save_state`.
    """

    config: Training
    output: Path
    states: Path
    identity: dict[str, object]
    model: DualEncoder
    learner: Learner
    data: Loaded

    @property
    def rows(self) -> dict[str, int]:
        """Pairs by source, by which other data are known."""
        return {f"{source.name} {source.kind}": len(source) for source in self.data.sources}


@dataclass
class _Count:
    """What was learned from so far."""

    step: int = 0
    audio_h: float = 0.0
    unusable: int = 0
    judged: list[Judgement] = field(default_factory=list)


def teach(
    lesson: Lesson, state: State | None, say: Say, *, until: float = math.inf
) -> list[Judgement]:
    """Do all steps that are still to be done, and judge the model.

    Args:
        lesson: model, data and settings.
        state: to go on from; None: the beginning.
        say: takes lines of progress.
        until: by ``time.monotonic()``; the first step that ends later is the last one.

    Raises:
        CapacityError: there was no time for all steps; the state is kept.
        CheckpointError: the state is of other data, or another model.
        MiningError: the loss is no longer finite; the batch is kept.
        InputError: hardly any pair of a batch can be embedded.
    """
    count = _Count()
    if state is not None:
        _require_same_data(lesson, state)
        lesson.learner.restore(state.tensors)
        facts = state.facts
        judged = [Judgement(**values) for values in facts["judged"]]
        count = _Count(state.step, facts["audio_h"], facts["unusable"], judged)
        say(f"going on after step {count.step}")
    told, work = lesson.config.optimiser, lesson.config.work
    mixture = Mixture(lesson.data.sources, lesson.config.data, told.batch, lesson.config.seed)
    said = time.monotonic()
    with Figures(lesson.output, count.step, tensorboard=work.tensorboard) as figures:
        while count.step < told.steps:
            found = _step(lesson, mixture, count, figures)
            is_last = count.step == told.steps
            if time.monotonic() - said > _LINE_SECONDS or is_last:
                said = time.monotonic()
                say(f"step {count.step} of {told.steps}: loss {found.loss:.4f}")
            if is_last or (work.evaluate_every and count.step % work.evaluate_every == 0):
                _judge(lesson, count, figures, say)
            is_late = time.monotonic() > until and not is_last
            if is_last or is_late or count.step % work.checkpoint_every == 0:
                _save(lesson, count)
            if is_late:
                raise CapacityError(
                    f"work.minutes: {told.steps} steps must end within {work.minutes:g}, but "
                    f"{count.step} did; the state is kept: the same command goes on"
                )
    if count.unusable:
        say(f"{count.unusable} pairs were left out of their batches: nothing of them to embed")
    return count.judged


def _step(lesson: Lesson, mixture: Mixture, count: _Count, figures: Figures) -> StepFigures:
    began = time.perf_counter()
    drawn = mixture.batch(count.step)
    pairs = [pair for pair in drawn if not _fault(lesson.model, pair)]
    count.unusable += len(drawn) - len(pairs)
    if len(pairs) < _FEWEST_PAIRS:
        raise InputError(
            f"step {count.step}: at least {_FEWEST_PAIRS} pairs must have something to embed, but "
            f"{len(pairs)} of {len(drawn)} have; the first {_fault(lesson.model, drawn[0])}: check "
            "the audio tokenizer"
        )
    try:
        found = lesson.learner.step(count.step, pairs)
    except NotFiniteError as error:
        path = save_batch(lesson.output / f"nan_step_{count.step}", pairs, error.losses)
        raise MiningError(
            f"step {count.step}: the {error.what} must be finite, but is not; its batch is kept in "
            f"{path}: lower optimiser.rate or raise optimiser.warm_up, with another output"
        ) from None
    count.step += 1
    count.audio_h += _hours(lesson.model, pairs)
    seconds = time.perf_counter() - began
    values = dataclasses.asdict(found)
    values |= {"items_per_s": 2 * len(pairs) / seconds, "audio_h": count.audio_h}
    figures.write(Line(step=count.step, kind="step", values=values))
    return found


def _fault(model: DualEncoder, pair: TrainingPair) -> str:
    return model.fault(pair.source) or model.fault(pair.target)


def _hours(model: DualEncoder, pairs: Sequence[TrainingPair]) -> float:
    """Speech in a batch."""
    if model.units is None:
        return 0.0
    return sum(_frames(pair.source) for pair in pairs) / model.units.rate_hz / 3600


def _frames(item: Item) -> int:
    return sum(map(len, item.regions)) if isinstance(item, Spoken) else 0


def _judge(lesson: Lesson, count: _Count, figures: Figures, say: Say) -> None:
    batch = 2 * min(lesson.config.optimiser.chunk, lesson.config.optimiser.batch)
    count.judged = judge(lesson.model, lesson.data.held_out, batch=batch)
    if count.judged:
        values = {
            f"{one.name}/{name}": value
            for one in count.judged
            for name, value in (("recall", one.recall), ("by_length", one.by_length))
        }
        figures.write(Line(step=count.step, kind="judge", values=values))
        say(f"step {count.step}: R@1 {_means(count.judged)}")


def _means(judged: Sequence[Judgement]) -> str:
    """R@1 of each task, averaged over languages."""
    tasks: dict[str, list[float]] = {}
    for one in judged:
        tasks.setdefault(one.task, []).append(one.recall)
    return ", ".join(f"{task} {sum(some) / len(some):.3f}" for task, some in tasks.items())


def _save(lesson: Lesson, count: _Count) -> None:
    facts = {
        "audio_h": count.audio_h,
        "unusable": count.unusable,
        "judged": [dataclasses.asdict(one) for one in count.judged],
        "rows": lesson.rows,
    }
    state = State(step=count.step, tensors=lesson.learner.tensors(), facts=facts)
    save_state(lesson.states, state, lesson.identity)


def _require_same_data(lesson: Lesson, state: State) -> None:
    if state.facts["rows"] != lesson.rows:
        raise CheckpointError(
            f"{lesson.states}: must be of a run on the same data, but that had "
            f"{state.facts['rows']} pairs and there are {lesson.rows}; give another output"
        )
