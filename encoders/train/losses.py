"""The terms of the training loss, as functions of unit vectors. All are computed in float32.

Shape legend: B pairs of a batch, D width of a vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from encoders.train.config import Loss

_EXCLUDED = -1e9  # exp() of it is 0 beside any true pair, and unlike -inf it has a gradient


@dataclass(frozen=True, kw_only=True, eq=False)
class Targets:
    """What the vectors of a batch are judged by.

    Attributes:
        same: bool [B, B], pairs that are no negatives of each other; False on the diagonal.
        teacher: the teacher's unit vectors of the target texts, float32 [B, D]; None: no teacher.
    """

    same: torch.Tensor
    teacher: torch.Tensor | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Terms:
    """The loss and what it is made of, before weights; every one a scalar but ``pairs``.

    Attributes:
        total: the weighted sum, to be differentiated.
        softmax: mean of ``pairs``.
        spread: of both sides together.
        teacher: mean of 1 - cosine over both sides.
        pairs: softmax loss of each pair, [B].
    """

    total: torch.Tensor
    softmax: torch.Tensor
    spread: torch.Tensor
    teacher: torch.Tensor
    pairs: torch.Tensor


def same_sentences(source_keys: Sequence[int], target_keys: Sequence[int]) -> torch.Tensor:
    """Pairs that share a sentence on any side, off the diagonal: bool [B, B].

    The sides are compared crosswise too: with a -> b and b -> a in one batch the source of the first
    is the target of the second, and their product is that of a sentence with itself.
    """
    source = np.asarray(source_keys, dtype=np.int64)
    target = np.asarray(target_keys, dtype=np.int64)
    crossed = source[:, None] == target[None, :]
    same = (source[:, None] == source) | (target[:, None] == target) | crossed | crossed.T
    np.fill_diagonal(same, False)
    return torch.from_numpy(same)


def pair_softmax(
    source: torch.Tensor,
    target: torch.Tensor,
    scale: torch.Tensor,
    *,
    margin: float,
    same: torch.Tensor,
) -> torch.Tensor:
    """In-batch softmax in both directions with additive margin (Yang et al. 2019, equation 6).

    Args:
        source: unit vectors, [B, D].
        target: unit vectors, [B, D].
        scale: logit scale, a scalar.
        margin: taken from the similarity of each true pair.
        same: bool [B, B], left out of the negatives.

    Returns:
        Half the sum of both directions' cross-entropies, of each pair, float32 [B].
    """
    similarity = source.float() @ target.float().T
    logits = scale * (similarity - margin * torch.eye(len(source), device=similarity.device))
    logits = logits.masked_fill(same, _EXCLUDED)
    labels = torch.arange(len(source), device=logits.device)
    forward = functional.cross_entropy(logits, labels, reduction="none")
    backward = functional.cross_entropy(logits.T, labels, reduction="none")
    return (forward + backward) / 2


def spread_out(vectors: torch.Tensor) -> torch.Tensor:
    """sqrt(sum over i != j of (x_i . x_j)^2) of unit vectors [B, D] (Zhang et al. 2017)."""
    gram = vectors.float() @ vectors.float().T
    apart = ~torch.eye(len(vectors), dtype=torch.bool, device=gram.device)
    norm: torch.Tensor = torch.linalg.vector_norm(gram[apart])  # its gradient at 0 is 0, not NaN
    return norm


def teacher_distance(vectors: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Mean of 1 - cosine between unit vectors [B, D] and the teacher's [B, D]."""
    return (1 - (vectors.float() * teacher.float()).sum(1)).mean()


def training_loss(
    source: torch.Tensor,
    target: torch.Tensor,
    scale: torch.Tensor,
    targets: Targets,
    settings: Loss,
) -> Terms:
    """All terms of a batch. A term of weight 0 is zero and is not computed.

    Args:
        source: unit vectors, [B, D].
        target: unit vectors, [B, D].
        scale: logit scale, a scalar.
        targets: see :class:`Targets`.
        settings: weights; ``mask_same`` says whether ``targets.same`` counts.
    """
    zero = source.new_zeros((), dtype=torch.float32)
    pairs, spread, distance = source.new_zeros(len(source), dtype=torch.float32), zero, zero
    if settings.softmax:
        same = targets.same if settings.mask_same else torch.zeros_like(targets.same)
        pairs = pair_softmax(source, target, scale, margin=settings.margin, same=same)
    if settings.spread:
        spread = spread_out(source) + spread_out(target)
    total = settings.softmax * pairs.mean() + settings.spread * spread
    if targets.teacher is not None and settings.teacher is not None:
        both = (teacher_distance(side, targets.teacher) for side in (source, target))
        distance = sum(both, zero) / 2
        total = total + settings.teacher.weight * distance
    return Terms(total=total, softmax=pairs.mean(), spread=spread, teacher=distance, pairs=pairs)
