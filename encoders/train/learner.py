"""One step of training, and everything that must be kept to go on from it.

Shape legend: B pairs of a batch, N = 2 B items, D width of a vector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from encoders.dual.items import Item
from encoders.dual.model import DualEncoder
from encoders.texts import embed_texts
from encoders.train.config import Training
from encoders.train.data.pairs import TrainingPair
from encoders.train.descent import (
    LogitScale,
    make_optimiser,
    rate_factor,
    set_rate,
    trained_parameters,
)
from encoders.train.generators import Generators
from encoders.train.gradcache import Rows, backward, chunks_by_length, split_by_length
from encoders.train.losses import Targets, Terms, same_sentences, training_loss
from mining.contract.encoder import Encoder
from mining.contract.errors import CapacityError, CheckpointError

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


class NotFiniteError(Exception):
    """The loss or its gradient is not a finite number.

    Attributes:
        what: ``loss`` or ``gradient``.
        losses: softmax loss of each pair, float32 [B].
    """

    def __init__(self, what: str, losses: NDArray[np.float32]) -> None:
        super().__init__(f"the {what} is not finite")
        self.what = what
        self.losses = losses


@dataclass(frozen=True, kw_only=True)
class StepFigures:
    """What a step did. The loss and its terms are from before the update.

    Attributes:
        gradient: length of the gradient before it is clipped.
        rate: highest learning rate of any part.
    """

    loss: float
    softmax: float
    spread: float
    teacher: float
    scale: float
    gradient: float
    rate: float


class Learner:
    """A model that learns.

    Args:
        model: what is trained; frozen but for the parts that ``config.model.train`` names.
        config: of the run.
        teacher: of the space; None: there is none.

    Attributes:
        parameters: how many numbers of each part are trained.
    """

    def __init__(self, model: DualEncoder, config: Training, teacher: Encoder | None) -> None:
        self._model, self._config, self._teacher = model, config, teacher
        self._device = next(model.parameters()).device
        self._scale = LogitScale(config.loss.scale, str(self._device))
        parts = trained_parameters(model, config)
        self.parameters = {name: sum(p.numel() for p in some) for name, some in parts.items()}
        self._optimiser = make_optimiser(parts, self._scale, config)
        self._named = {f"model.{n}": p for n, p in model.named_parameters() if p.requires_grad}
        if config.loss.learn_scale:
            self._named["scale"] = self._scale.log
        self._bfloat16 = _wants_bfloat16(config.optimiser.precision, self._device)

    def step(self, number: int, pairs: Sequence[TrainingPair]) -> StepFigures:
        """Learn from a batch.

        Args:
            number: of the step, 0-based; it decides the learning rate.
            pairs: B.

        Raises:
            NotFiniteError: the loss or its gradient; nothing has been changed.
        """
        told = self._config.optimiser
        targets = self._targets(pairs)
        items = [*(pair.source for pair in pairs), *(pair.target for pair in pairs)]
        lengths = np.minimum(self._model.lengths(items), self._model.config.max_tokens)
        found: list[Terms] = []

        def loss(vectors: torch.Tensor) -> torch.Tensor:
            sides = vectors[: len(pairs)], vectors[len(pairs) :]
            terms = training_loss(*sides, self._scale(), targets, self._config.loss)
            found.append(terms)
            if not torch.isfinite(terms.total):
                raise NotFiniteError("loss", terms.pairs.detach().cpu().numpy())
            return terms.total

        self._model.train()
        self._optimiser.zero_grad(set_to_none=True)
        size = 2 * (len(pairs) if told.chunk >= told.batch else told.chunk)
        chunks = chunks_by_length(lengths, size)
        backward(lambda rows: self._embed(items, rows, lengths), chunks, loss)
        (terms,) = found
        length = torch.nn.utils.clip_grad_norm_(
            list(self._named.values()), told.clip if told.clip else float("inf")
        )
        if not torch.isfinite(length):
            raise NotFiniteError("gradient", terms.pairs.detach().cpu().numpy())
        scale = float(self._scale().detach())
        set_rate(self._optimiser, number, told)
        self._optimiser.step()
        self._scale.keep_within_limit()
        return StepFigures(
            loss=float(terms.total.detach()),
            softmax=float(terms.softmax.detach()),
            spread=float(terms.spread.detach()),
            teacher=float(terms.teacher.detach()),
            scale=scale,
            gradient=float(length),
            rate=max(told.rate, told.audio_rate or 0.0) * rate_factor(number, told),
        )

    def _embed(self, items: Sequence[Item], rows: Rows, lengths: NDArray[np.int64]) -> torch.Tensor:
        """Vectors of some items, those of like length together."""
        with self._autocast():
            parts = split_by_length(rows, lengths)
            return torch.cat([self._model([items[i] for i in part]) for part in parts])

    def _autocast(self) -> AbstractContextManager[None]:
        return torch.autocast(self._device.type, torch.bfloat16, enabled=self._bfloat16)

    def _targets(self, pairs: Sequence[TrainingPair]) -> Targets:
        same = same_sentences([p.source_key for p in pairs], [p.target_key for p in pairs])
        teacher = None
        if self._teacher is not None:
            vectors = torch.from_numpy(_taught(self._teacher, pairs))
            teacher = vectors.to(self._device)
        return Targets(same=same.to(self._device), teacher=teacher)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Trained parameters, moments and generators, by name; they share memory with the learner."""
        kept = {f"parameter.{name}": p.detach() for name, p in self._named.items()}
        for name, parameter in self._named.items():
            moments = self._optimiser.state.get(parameter, {})
            kept.update({f"{moment}.{name}": moments[moment] for moment in moments})
        generators = Generators.now()
        kept["generator.cpu"] = generators.cpu
        kept.update({f"generator.cuda.{i}": state for i, state in enumerate(generators.cuda)})
        return kept

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Go back to what :meth:`tensors` gave.

        Raises:
            CheckpointError: they are of another model.
        """
        wanted = {f"parameter.{name}": tuple(p.shape) for name, p in self._named.items()}
        found = {n: tuple(t.shape) for n, t in tensors.items() if n.startswith("parameter.")}
        if found != wanted:
            name = sorted(set(found.items()) ^ set(wanted.items()))[0][0]
            raise CheckpointError(
                f"state: must hold this model's parameters, but {name.partition('.')[2]} differs; "
                "the start's folder has changed since: give another output"
            )
        for name, parameter in self._named.items():
            with torch.no_grad():
                parameter.copy_(tensors[f"parameter.{name}"])
            if f"step.{name}" in tensors:
                moments = {moment: tensors[f"{moment}.{name}"] for moment in _MOMENTS}
                self._optimiser.state[parameter] = {
                    # AdamW counts its steps on the CPU
                    moment: value if moment == "step" else value.to(parameter.device)
                    for moment, value in moments.items()
                }
        cuda = [name for name in tensors if name.startswith("generator.cuda.")]
        Generators(
            cpu=tensors["generator.cpu"],
            cuda=tuple(tensors[f"generator.cuda.{i}"] for i in range(len(cuda))),
        ).restore()


def _taught(teacher: Encoder, pairs: Sequence[TrainingPair]) -> NDArray[np.float32]:
    """The teacher's unit vectors of the pairs' texts, float32 [B, D]."""
    texts = [pair.teacher_text for pair in pairs]
    # all languages at once: builtin reads 256 texts in the time of one
    return embed_texts(teacher, [one.text for one in texts], [one.lang for one in texts])


def _wants_bfloat16(precision: str, device: torch.device) -> bool:
    """Whether products are in bfloat16.

    Raises:
        CapacityError: it is asked for and the GPU has none.
    """
    gpu = device.type == "cuda"
    able = not gpu or torch.cuda.is_bf16_supported(including_emulation=False)
    if precision == "bfloat16" and not able:
        raise CapacityError(
            "optimiser.precision: the GPU must have bfloat16, but has not; use float32"
        )
    return precision == "bfloat16" or (precision == "auto" and gpu and able)
