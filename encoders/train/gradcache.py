"""The gradient of a large batch in the memory of a small one (GradCache, Gao et al. 2021).

Shape legend: N items of a batch, K of a chunk, D width of a vector.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from encoders.train.generators import Generators

Rows = NDArray[np.int64]
Embed = Callable[[Rows], torch.Tensor]
Loss = Callable[[torch.Tensor], torch.Tensor]


def backward(embed: Embed, chunks: Sequence[Rows], loss: Loss) -> None:
    """Add the gradient of ``loss`` over all items to the parameters behind ``embed``.

    One chunk is differentiated directly. Of several, each is embedded twice: first without a graph,
    to learn the gradient of the loss by every vector; then with one, under the same state of torch's
    generators, so that dropout leaves out the same values both times. Afterwards the generators stand
    where one pass over the chunks leaves them.

    Args:
        embed: vectors [K, D] of items by their numbers; may draw from torch's generators.
        chunks: numbers of items, int64 [K] each; together a permutation of 0 ... N - 1.
        loss: a scalar of the vectors [N, D], in the order of the numbers. Its own parameters get
            their gradient, too.
    """
    if len(chunks) == 1:
        torch.autograd.backward(loss(_in_order([embed(chunks[0])], chunks)))
        return
    states, parts = [], []
    with torch.no_grad():
        for rows in chunks:
            states.append(Generators.now())
            parts.append(embed(rows))
    vectors = _in_order(parts, chunks).requires_grad_()
    torch.autograd.backward(loss(vectors))
    if vectors.grad is None:
        raise ValueError("loss must depend on the vectors, but does not")
    for rows, state in zip(chunks, states, strict=True):
        state.restore()
        part = embed(rows)
        gradient = vectors.grad[torch.from_numpy(rows).to(part.device)]
        torch.autograd.backward(part, gradient.to(part.dtype))


def _in_order(parts: Sequence[torch.Tensor], chunks: Sequence[Rows]) -> torch.Tensor:
    places = np.argsort(np.concatenate(chunks))
    vectors = torch.cat(list(parts))
    return vectors[torch.from_numpy(places).to(vectors.device)]


def chunks_by_length(lengths: NDArray[np.int64], size: int) -> list[Rows]:
    """Items in the order of their lengths, cut into chunks: little of a chunk is padding.

    Args:
        lengths: int64 [N].
        size: most items of a chunk.
    """
    order = np.argsort(lengths, kind="stable")
    return [order[start : start + size] for start in range(0, len(order), size)]


def split_by_length(rows: Rows, lengths: NDArray[np.int64]) -> list[Rows]:
    """A chunk's items parted where the longest would be over twice as long as the shortest.

    Args:
        rows: int64 [K], in the order of their lengths.
        lengths: of all items, int64 [N].
    """
    parts, first = [], 0
    for i in range(1, len(rows)):
        if lengths[rows[i]] > 2 * max(1, lengths[rows[first]]):
            parts.append(rows[first:i])
            first = i
    return [*parts, rows[first:]]
