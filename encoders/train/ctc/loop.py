"""Train the small recogniser.

B clips, F frames, O output frames, S symbols, L letters.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from encoders.audio_tokens.conv_ctc_network import BLANK, ConvCtcConfig, ConvCtcModel
from encoders.train.ctc.augment import augmented, augmented_states
from encoders.train.ctc.corpus import Clips
from encoders.train.state import State, flat, load_state, save_state
from mining.config.load import to_plain
from mining.contract.errors import InputError, MiningError

_TAP_WEIGHT = 0.3  # of the losses half-way (Lee and Watanabe 2021, InterCTC)
_UNTOLD = 0.1  # of the clips' languages are not told in training, as those of the unseen are not
_POOL = 16  # clips of like length are drawn out of this many times a batch


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long and how fast.

    Attributes:
        steps: of training.
        batch_s: seconds of sound in a step, before augmentation.
        rate: of AdamW at its highest; falls along half a cosine to nothing.
        warm_up: steps until the highest rate.
        shares: chance of each group of clips.
        language_power: within a group, a language of n clips is drawn with n to this power.
        strength: of augmentation, see :func:`encoders.train.ctc.augment.augmented`.
    """

    steps: int
    batch_s: float = 160.0
    rate: float = 2e-3
    warm_up: int = 300
    shares: tuple[float, ...] = (1.0,)
    language_power: float = 0.5
    strength: float = 0.5


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """Clips of a step.

    Attributes:
        spectra: [B, F, M], or states.
        frames: int64 [B], input frames of each.
        letters: int64 [B, L].
        counts: int64 [B], letters of each.
        langs: of each; empty: it is not told.
    """

    spectra: torch.Tensor
    frames: torch.Tensor
    letters: torch.Tensor
    counts: torch.Tensor
    langs: list[str]


class Draws:
    """Batches: the same for the same seed and step, whatever was drawn before.

    Attributes:
        schedule: how much is drawn of what.
        seed: that decides them.

    Raises:
        InputError: no clip has a chance to be drawn.
    """

    def __init__(self, clips: Clips, schedule: Schedule, seed: int) -> None:
        self._clips, self.schedule, self.seed = clips, schedule, seed
        chances = _chances(clips, schedule)
        if not chances.any():
            raise InputError(
                "model.fit_letters.shares: must leave clips with a transcript to learn from, but leaves "
                "none"
            )
        self._chances = np.cumsum(chances)
        self._mean = float((chances / chances.sum() * np.diff(clips.offsets)).sum())

    def batch(self, step: int) -> Batch:
        """What is learned from in a step."""
        rng = np.random.default_rng([self.seed, step])
        clips = self._clips
        sizes = np.diff(clips.offsets)
        wanted = int(self.schedule.batch_s * clips.input_hz)
        pool = self._draw(rng, max(8, int(_POOL * wanted / self._mean)))
        pool = pool[np.argsort(sizes[pool], kind="stable")]
        first = int(rng.integers(0, len(pool)))
        total = 0
        chosen: list[int] = []
        for clip in np.roll(pool, -first).tolist():
            if total + sizes[clip] > wanted and chosen:
                break
            chosen.append(clip)
            total += int(sizes[clip])
        others = self._draw(rng, len(chosen))
        spectra = [
            self._distorted(clip, other, rng)
            for clip, other in zip(chosen, others.tolist(), strict=True)
        ]
        told = rng.random(len(chosen)) >= _UNTOLD
        langs = [clips.langs[c] if is_told else "" for c, is_told in zip(chosen, told, strict=True)]
        return _padded(spectra, [clips.targets[clip] for clip in chosen], langs)

    def _distorted(self, clip: int, other: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """Frames of a clip, as another recording of it might have them."""
        frames, strength = self._clips.spectrum(clip), self.schedule.strength
        if self._clips.states:
            return augmented_states(frames, strength, rng)
        return augmented(frames, self._clips.spectrum(other), strength, rng)

    def _draw(self, rng: np.random.Generator, count: int) -> NDArray[np.int64]:
        drawn = rng.random(count) * self._chances[-1]
        places: NDArray[np.int64] = np.searchsorted(self._chances, drawn).astype(np.int64)
        return places


def _chances(clips: Clips, schedule: Schedule) -> NDArray[np.float64]:
    """How often each clip is drawn."""
    found = np.zeros(len(clips.langs))
    langs = np.array(clips.langs)
    for group, share in enumerate(schedule.shares):
        inside = clips.groups == group
        names, counts = np.unique(langs[inside], return_counts=True)
        weight = counts**schedule.language_power
        for name, count, part in zip(names, counts, weight / weight.sum(), strict=True):
            found[inside & (langs == name)] = share * part / count
    return found


def _padded(
    spectra: list[NDArray[np.float32]], targets: list[NDArray[np.int64]], langs: list[str]
) -> Batch:
    frames = [len(one) for one in spectra]
    held = np.zeros((len(spectra), max(frames), spectra[0].shape[1]), np.float32)
    letters = np.zeros((len(targets), max(map(len, targets))), np.int64)
    for row, (spectrum, target) in enumerate(zip(spectra, targets, strict=True)):
        held[row, : len(spectrum)] = spectrum
        letters[row, : len(target)] = target
    counts = torch.tensor([len(target) for target in targets])
    return Batch(
        spectra=torch.from_numpy(held),
        frames=torch.tensor(frames),
        letters=torch.from_numpy(letters),
        counts=counts,
        langs=langs,
    )


def ctc_loss(model: ConvCtcModel, batch: Batch, bfloat16: bool) -> torch.Tensor:
    """Loss for each letter, of the last block and of the middle one."""
    taps = (model.config.blocks // 2 - 1,)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
        found = model(batch.spectra, batch.frames, model.numbers_of(batch.langs), taps)
    outputs = model.config.output_frames(batch.frames)
    losses = [
        functional.ctc_loss(
            logits.float().log_softmax(2).transpose(0, 1),
            batch.letters,
            outputs,
            batch.counts,
            blank=BLANK,
            reduction="none",
            zero_infinity=True,
        ).sum()
        / batch.counts.sum()
        for logits in found
    ]
    return losses[-1] + _TAP_WEIGHT * losses[0]


def train_ctc(
    draws: Draws,
    config: ConvCtcConfig,
    states: Path,
    say: Callable[[str], None],
    *,
    save_every: int = 200,
) -> ConvCtcModel:
    """Train on the CPU, or go on with a training that was stopped.

    Args:
        draws: what to learn from, and its schedule; its seed is that of the weights, too.
        config: sizes.
        states: folder for the states of the training.
        say: takes lines of progress.
        save_every: steps between states that a killed run goes on from.

    Raises:
        CheckpointError: the states are of another training, or none is whole.
        CapacityError: a state cannot be written.
        MiningError: the loss is no longer finite.
    """
    schedule = draws.schedule
    torch.manual_seed(draws.seed)
    model = ConvCtcModel(config)
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.0, betas=(0.9, 0.98), weight_decay=0.01)
    identity = flat({"sizes": config.to_dict(), "schedule": to_plain(schedule), "seed": draws.seed})
    state = load_state(states, identity)
    step = 0 if state is None else state.step
    if state is not None:
        _restore(state, model, optimiser)
        say(f"letters: going on after step {step}")
    smooth, began, first = 0.0, time.monotonic(), step
    bfloat16 = has_bfloat16()
    model.train()
    while step < schedule.steps:
        pace = min(1.0, (step + 1) / schedule.warm_up)
        pace *= 0.5 * (1 + np.cos(np.pi * step / schedule.steps))
        optimiser.param_groups[0]["lr"] = schedule.rate * pace
        loss = ctc_loss(model, draws.batch(step), bfloat16)
        if not torch.isfinite(loss):
            raise MiningError(
                f"letters: the loss of step {step} must be finite, but is not; lower "
                "model.fit_letters.rate, with another output"
            )
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        step += 1
        smooth += (loss.item() - smooth) / min(step - first, 50)
        if step % 50 == 0:
            pace_s = (time.monotonic() - began) / (step - first)
            say(f"letters: step {step}, loss {smooth:.3f}, {pace_s:.2f} s a step")
        if step % save_every == 0 or step == schedule.steps:
            tensors = _tensors(model, optimiser)
            save_state(states, State(step=step, tensors=tensors, facts={}), identity)
    model.eval()
    return model


def has_bfloat16() -> bool:
    """Whether the processor multiplies them; imitating it takes more than twice as long as float32."""
    return bool(torch.cpu._is_avx512_bf16_supported())


def _tensors(model: ConvCtcModel, optimiser: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Weights and the optimiser's moments, by name."""
    found = {f"model.{name}": value for name, value in model.state_dict().items()}
    for number, moments in optimiser.state_dict()["state"].items():
        found |= {f"optimiser.{number}.{name}": value for name, value in moments.items()}
    return found


def _restore(state: State, model: ConvCtcModel, optimiser: torch.optim.Optimizer) -> None:
    weights: dict[str, torch.Tensor] = {}
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in state.tensors.items():
        whose, rest = name.split(".", 1)
        if whose == "model":
            weights[rest] = value
        else:
            number, part = rest.split(".")
            moments.setdefault(int(number), {})[part] = value
    model.load_state_dict(weights)
    optimiser.load_state_dict({**optimiser.state_dict(), "state": moments})
