"""The student while it learns: float32 rows, noise on its input, and the loss against the teacher.

Shape legend: B pairs of a batch, N tokens, U distinct tokens, F features, W width, D dim, K rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from encoders.train.distill_corpus import Corpus, Ints
from encoders.train.row_adam import RowAdam
from encoders.wordbag.head import WordBagHead
from encoders.wordbag.model import WordBagConfig, bag_sums
from encoders.wordbag.quantise import round_rows, row_scales


@dataclass(frozen=True, kw_only=True)
class Noise:
    """What is left out of a training text, as probabilities."""

    token: float = 0.1
    feature: float = 0.1


@dataclass(frozen=True, kw_only=True)
class LossSettings:
    """Weights of the loss.

    Attributes:
        margin: subtracted from the true pair's cosine (Yang et al. 2019, additive margin softmax).
        cosine: weight of 1 - cosine to the teacher.
        students: weight of the softmax between the two students' sides.
    """

    margin: float = 0.1
    cosine: float = 5.0
    students: float = 1.0


class Student(nn.Module):
    """Table, head and the temperature of the softmax."""

    def __init__(self, config: WordBagConfig, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.config = config
        self.head = WordBagHead(config)
        self.log_scale = nn.Parameter(torch.tensor(np.log(15.0), dtype=torch.float32))
        self.table = torch.randn(config.rows, config.width) * 0.1
        self.rows = RowAdam(self.table)

    def embed(
        self,
        corpus: Corpus,
        texts: tuple[NDArray[np.int32], Ints],
        *,
        quantised: bool = False,
        noise: Noise | None = None,
        rng: np.random.Generator | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Vectors [B, D] of texts, with the table rows they use [K] and those rows' leaf [K, W].

        ``texts`` are their tokens end to end and where each text begins.
        """
        tokens, starts = texts
        if noise is not None and rng is not None:
            tokens, starts = _drop(tokens, starts, noise.token, rng)
        distinct, words = np.unique(tokens, return_inverse=True)
        features, begins = corpus.features.take(distinct.astype(np.int64))
        if noise is not None and rng is not None:
            features, begins = _drop(features, begins, noise.feature, rng)
        used, places = np.unique(features, return_inverse=True)
        rows = torch.from_numpy(used.astype(np.int64))
        leaf = self.table[rows].requires_grad_()
        values = leaf + (_rounded(leaf) - leaf).detach() if quantised else leaf
        sums = bag_sums(values, torch.from_numpy(places), torch.from_numpy(begins))
        vectors = self.head(sums, torch.from_numpy(words), torch.from_numpy(starts))
        return vectors, rows, leaf


def _rounded(rows: torch.Tensor) -> torch.Tensor:
    scales = row_scales(rows)
    return round_rows(rows, scales) * scales.float().unsqueeze(1)


def _drop(
    values: NDArray[np.int32], starts: Ints, chance: float, rng: np.random.Generator
) -> tuple[NDArray[np.int32], Ints]:
    """Leave out values at random, but never the first of a list."""
    keep = rng.random(len(values)) >= chance
    keep[starts] = True
    before: Ints = np.cumsum(keep) - keep
    return values[keep], before[starts]


def distillation_loss(
    student: Student,
    text: torch.Tensor,
    english: torch.Tensor,
    teacher: torch.Tensor,
    same: torch.Tensor,
    settings: LossSettings,
) -> torch.Tensor:
    """In-batch softmax both ways between text, English and teacher, and cosine to the teacher.

    Args:
        student: holds the temperature.
        text: the student's unit vectors of the texts, [B, D].
        english: the student's of their English sides, [B, D].
        teacher: the teacher's of the English sides, [B, D].
        same: bool [B, B], pairs that mean the same off the diagonal: no negatives.
        settings: weights.
    """
    scale = student.log_scale.exp().clamp(max=60.0)

    def softmax(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        labels = torch.arange(len(a))
        cosines = (a @ b.T).float()
        logits = scale * (cosines - settings.margin * torch.eye(len(a)))
        logits = logits.masked_fill(same, -1e4)
        forward = functional.cross_entropy(logits, labels)
        return (forward + functional.cross_entropy(logits.T, labels)) / 2

    distance = (2 - (text * teacher).sum(1) - (english * teacher).sum(1)).mean()
    loss = softmax(text, teacher) + 0.5 * softmax(english, teacher)
    return loss + settings.students * softmax(text, english) + settings.cosine * distance / 2
