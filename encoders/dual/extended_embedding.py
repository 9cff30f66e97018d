"""A vocabulary of text and audio: t rows of a backbone's own, and a new ones behind them.

In memory they are two tables, so that each can be trained or left alone; on disk one matrix.
Shape legend: B items, L tokens, H width of a row.
"""

from __future__ import annotations

import copy

import torch
from torch import nn


class ExtendedEmbedding(nn.Module):
    """Text ids look up the backbone's own module, ids from t on the audio rows.

    The audio rows sit in a module of the same class, so that whatever a backbone does to its rows
    (Gemma and M2M100 scale them) is done to these too.
    """

    def __init__(self, text: nn.Embedding, audio: torch.Tensor) -> None:
        super().__init__()
        self.text = text
        self.audio = _like(text, nn.Parameter(audio))
        self.text_rows = text.num_embeddings

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Rows of ids, int64 [B, L] -> [B, L, H]."""
        is_audio = ids >= self.text_rows
        text = self.text(ids.masked_fill(is_audio, 0))
        audio = self.audio((ids - self.text_rows).clamp(min=0))
        return torch.where(is_audio.unsqueeze(-1), audio, text)


def extend(text: nn.Embedding, rows: int, seed: int) -> ExtendedEmbedding:
    """Add rows that are drawn like those of text.

    Each coordinate is normal, with the mean and standard deviation that it has over the text rows:
    new rows then start among the old ones (Hewitt 2021, "Initializing New Word Embeddings for
    Pretrained Language Models", with the diagonal of the covariance only).

    Args:
        text: the backbone's own, [t, H].
        rows: a.
        seed: of the draw.
    """
    with torch.no_grad():
        weight = text.weight.detach().float().cpu()
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(rows, weight.shape[1], generator=generator)
        drawn = weight.mean(0) + noise * weight.std(0, correction=0)
    return ExtendedEmbedding(text, drawn.to(text.weight))


def split(whole: nn.Embedding, text_rows: int) -> ExtendedEmbedding:
    """Part a matrix [t + a, H], as it lies on disk, into text and audio."""
    with torch.no_grad():
        text = _like(whole, nn.Parameter(whole.weight[:text_rows].clone()), whole.padding_idx)
        return ExtendedEmbedding(text, whole.weight[text_rows:].clone())


def joined_state(module: nn.Module, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A state dict in which every extended embedding is one matrix again.

    Args:
        module: that the state is of.
        state: names to tensors; not changed.
    """
    state = dict(state)
    joined: dict[int, torch.Tensor] = {}
    for name, part in module.named_modules(remove_duplicate=False):
        if isinstance(part, ExtendedEmbedding):
            audio, text = state.pop(f"{name}.audio.weight"), state.pop(f"{name}.text.weight")
            # One table under two names (T5) must stay one.
            state[f"{name}.weight"] = joined.setdefault(id(part), torch.cat([text, audio]))
    return state


def _like(module: nn.Embedding, weight: nn.Parameter, padding: int | None = None) -> nn.Embedding:
    """A copy of the module with another table; the old table is not copied."""
    made = copy.deepcopy(module, {id(module.weight): weight})
    made.num_embeddings = len(weight)
    made.padding_idx = padding
    return made
