"""The audio tokenizer: letters, learned from languages that have speech, and what it hears.

N recordings, F frames of one, O frames of its units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from recordings import Recordings, load_recordings

from encoders.audio_tokens.conv_ctc import save_conv_ctc
from encoders.audio_tokens.conv_ctc_network import ConvCtcConfig, ConvCtcModel
from encoders.audio_tokens.letters import codes
from encoders.train.ctc.augment import augmented
from encoders.train.ctc.corpus import Clips
from encoders.train.ctc.loop import Draws, Schedule, train_ctc

_SIZES = {"width": 96, "blocks": 8, "kernel": 9, "expand": 4}
_SHARES = (0.75, 0.25)  # of synthetic speech and of people's
_STRENGTH = 0.5  # of augmentation, 0 to 1
_BATCH = 16


class Source(NamedTuple):
    """Recordings to learn from: of a synthesiser (group 0) or of people (group 1)."""

    group: int
    lang: str
    path: Path


def trained(sources: Sequence[Source], steps: int, folder: Path) -> ConvCtcModel:
    """Train, or go on with it; writes ``folder/tokenizer``.

    Args:
        sources: what it learns from.
        steps: of training.
        folder: for the states and the tokenizer.
    """
    schedule = Schedule(
        steps=steps,
        batch_s=80.0,
        rate=2.5e-3,
        warm_up=100,
        shares=_SHARES,
        strength=_STRENGTH,
    )
    draws = Draws(_clips(sources), schedule, seed=0)
    model = train_ctc(draws, ConvCtcConfig(**_SIZES), folder / "state", print, save_every=100)
    if not (folder / "tokenizer").exists():
        save_conv_ctc(model, folder / "tokenizer", "letters")
    return model


def _clips(sources: Sequence[Source]) -> Clips:
    found = [load_recordings(source.path) for source in sources]
    counts = [len(one.said) for one in found]
    sizes = np.concatenate([np.diff(one.offsets) for one in found])
    return Clips(
        spectra=np.concatenate([one.spectra for one in found]),
        offsets=np.concatenate([[0], np.cumsum(sizes)]),
        targets=[codes(said.text) for one in found for said in one.said],
        langs=np.repeat([source.lang for source in sources], counts).tolist(),
        groups=np.repeat([source.group for source in sources], counts),
        refused=0,
    )


@torch.inference_mode()
def hear(model: ConvCtcModel, found: Recordings, distorted: bool) -> list[NDArray[np.int16]]:
    """Units of each recording, int16 [O].

    Args:
        model: from :func:`trained`.
        found: N recordings.
        distorted: whether each is heard in a room and in noise, as in the recogniser's training;
            what a dual encoder learns from should hold the letters that are mistaken there.
    """
    rng = np.random.default_rng(0)
    order = np.argsort(np.diff(found.offsets), kind="stable")
    units: list[NDArray[np.int16]] = [np.zeros(0, np.int16)] * len(order)
    for start in range(0, len(order), _BATCH):
        rows = order[start : start + _BATCH].tolist()
        spectra = [found.spectrum(row) for row in rows]
        if distorted:
            spectra = [augmented(one, spectra[0], _STRENGTH, rng) for one in spectra]
        frames = torch.tensor([len(one) for one in spectra])
        held = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(one) for one in spectra], True)
        langs = model.numbers_of([""] * len(rows))  # which no recogniser here is told
        letters = model(held, frames, langs)[-1].argmax(dim=2).numpy().astype(np.int16)
        for row, size, line in zip(
            rows, model.config.output_frames(frames).tolist(), letters, strict=True
        ):
            units[row] = line[:size].copy()
    return units


def save_units(path: Path, units: Sequence[NDArray[np.int16]]) -> None:
    """Write units of recordings, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".new.npz")
    np.savez(beside, units=np.concatenate(units), sizes=[len(one) for one in units])
    beside.rename(path)


def load_units(path: Path) -> list[NDArray[np.int16]]:
    """What :func:`save_units` wrote."""
    stored = np.load(path, allow_pickle=False)
    return np.split(stored["units"], np.cumsum(stored["sizes"])[:-1])


def heard_as(sources: Mapping[str, Recordings], model: ConvCtcModel, folder: Path) -> None:
    """Hear recordings by name, those to learn from (``*-learned``) distorted, the others as they are."""
    for name, found in sources.items():
        save_units(folder / f"{name}.npz", hear(model, found, "-learned" in name))
