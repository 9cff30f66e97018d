"""Token vectors to one vector.

Shape legend: B items, L tokens, H width of a token vector.
"""

from __future__ import annotations

import torch

from encoders.dual.config import Pooling


def pooled(hidden: torch.Tensor, mask: torch.Tensor, pooling: Pooling) -> torch.Tensor:
    """Pool the tokens that the mask keeps.

    Args:
        hidden: [B, L, H], any float type.
        mask: int64 [B, L], 1 for a token and 0 for padding, which may stand on either side; each row
            has a token.
        pooling: ``mean`` of all tokens, ``cls``: the first, ``last_token``.

    Returns:
        float32 [B, H].
    """
    hidden = hidden.float()
    if pooling == "mean":
        kept = mask.unsqueeze(-1).bool()
        # Not a product: a network may give NaN where everything is masked.
        return hidden.masked_fill(~kept, 0.0).sum(1) / mask.sum(1, keepdim=True).float()
    places = torch.arange(mask.shape[1], device=mask.device)
    place = mask.argmax(1) if pooling == "cls" else (mask * places).argmax(1)
    return hidden[torch.arange(len(hidden), device=hidden.device), place]
