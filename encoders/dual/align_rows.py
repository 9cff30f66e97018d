"""New rows that begin as the text that is heard with them, rather than at random.

Which unit goes with which letter is told by transcripts alone: IBM model 1 (Brown et al. 1993), with a
prior that speech and text run side by side. It is found once, before training.

Shape legend: a units, t rows of text, V distinct text ids, H width of a row, L units of a clip, M ids
of its text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

_ROUNDS = 8  # of expectation and maximisation; the letters' bits change by less than 1 % after that
_SPREAD = 0.08  # of a clip's length: pauses at its ends move letters by about as much
_SMOOTHING = 0.1  # of a count for each letter, dealt out as letters are in general


@dataclass(frozen=True, kw_only=True, eq=False)
class Transcribed:
    """What is heard, and what it says.

    Attributes:
        units: int64 [L], 0-based, repeats merged.
        ids: int64 [M], rows of the text vocabulary.
    """

    units: NDArray[np.int64]
    ids: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Alignment:
    """Which text a unit stands for.

    Attributes:
        chances: float64 [a, V], of each text id beside each unit; rows sum to 1.
        ids: int64 [V], ascending.
        heard: int64 [a], how often each unit was heard.
    """

    chances: NDArray[np.float64]
    ids: NDArray[np.int64]
    heard: NDArray[np.int64]

    def bits(self, clips: Sequence[Transcribed], *, spread: float = _SPREAD) -> float:
        """Bits that units save a letter, against its frequency: of clips not aligned, a fair measure.

        Ids that were never met are left out.

        Args:
            clips: to be measured on.
            spread: as of :func:`align`.
        """
        usual = self.heard @ self.chances / max(self.heard.sum(), 1)
        saved, letters = 0.0, 0
        for clip in clips:
            known = np.isin(clip.ids, self.ids)
            places = np.searchsorted(self.ids, clip.ids[known])
            if not len(places) or not len(clip.units):
                continue
            prior = _prior(len(clip.units), len(clip.ids), spread)[known]
            chances = (prior * self.chances[clip.units][:, places].T).sum(1)
            saved += float(np.log2(chances / usual[places]).sum())
            letters += len(places)
        return saved / max(letters, 1)


def align(
    clips: Sequence[Transcribed], units: int, *, rounds: int = _ROUNDS, spread: float = _SPREAD
) -> Alignment:
    """Find which text each unit stands for.

    A letter of a clip is said by one of its units: by unit i with a prior that falls with the
    distance between their places, normal with deviation ``spread``, times the chance of the letter
    beside the unit.

    Args:
        clips: with transcripts; those without units or ids tell nothing.
        units: a.
        rounds: of expectation and maximisation.
        spread: in lengths of a clip.

    Raises:
        ValueError: not one clip has units and text.
    """
    told = [clip for clip in clips if len(clip.units) and len(clip.ids)]
    if not told:
        raise ValueError("clips: at least one must have units and text, but none has")
    ids, inverse = np.unique(np.concatenate([clip.ids for clip in told]), return_inverse=True)
    places = np.split(inverse, np.cumsum([len(clip.ids) for clip in told])[:-1])
    heard = np.bincount(np.concatenate([clip.units for clip in told]), minlength=units)
    usual = np.bincount(inverse, minlength=len(ids)) / len(inverse)
    chances = np.tile(usual, (units, 1))
    for _ in range(rounds):
        counts = np.tile(_SMOOTHING * usual, (units, 1))
        for clip, text in zip(told, places, strict=True):
            shares = _prior(len(clip.units), len(text), spread) * chances[clip.units][:, text].T
            shares /= shares.sum(1, keepdims=True)
            np.add.at(counts, (clip.units[None, :], text[:, None]), shares)
        chances = counts / counts.sum(1, keepdims=True)
    return Alignment(chances=chances, ids=ids, heard=heard)


def rows_like_text(text: torch.Tensor, alignment: Alignment) -> torch.Tensor:
    """The text row that is to be expected of each unit.

    Means lie closer together than what they are means of, so they are spread again about their
    centre until they lie as far from it as text rows do from theirs (root mean square).

    Args:
        text: [t, H], any float type.
        alignment: of a units.

    Returns:
        float32 [a, H].
    """
    rows = text.detach().float().cpu()[torch.from_numpy(alignment.ids)]
    expected = torch.from_numpy(alignment.chances).float() @ rows
    centre = expected.mean(0)
    apart = (expected - centre).square().mean().sqrt()
    wanted = (rows - rows.mean(0)).square().mean().sqrt()
    return centre + (expected - centre) * (wanted / apart.clamp(min=1e-12))


def set_rows(audio: nn.Parameter, rows: torch.Tensor) -> None:
    """Write rows [a, H] into those of a model (``parts()["audio"]``), in its own type.

    Raises:
        ValueError: they are of another shape.
    """
    if audio.shape != rows.shape:
        raise ValueError(f"rows: must be {tuple(audio.shape)}, but are {tuple(rows.shape)}")
    with torch.no_grad():
        audio.copy_(rows.to(audio))


def _prior(units: int, letters: int, spread: float) -> NDArray[np.float64]:
    """Chance of each unit to say each letter by their places alone, float64 [M, L]; rows sum to 1."""
    unit_places = (np.arange(units) + 0.5) / units
    letter_places = (np.arange(letters) + 0.5) / letters
    # where a clip has few units, a letter may lie between two of them
    width = max(spread, 0.5 / units)
    found = np.exp(-(((unit_places[None] - letter_places[:, None]) / width) ** 2) / 2)
    normalised: NDArray[np.float64] = found / found.sum(1, keepdims=True)
    return normalised
