"""Rows of 4-bit numbers with one scale each: symmetric, 15 levels, two values a byte."""

from __future__ import annotations

import torch

LEVELS = 7  # values are -7..7 times the scale; stored as 1..15


def row_scales(rows: torch.Tensor) -> torch.Tensor:
    """Scale of each row, float16 [R]; the highest level is its peak or 2.6 root mean squares.

    Of many small and a few large values, more is told by clipping the large ones.
    """
    peak = rows.abs().amax(dim=1)
    clipped = torch.minimum(peak, 2.6 * rows.square().mean(dim=1).sqrt())
    return (clipped / LEVELS).clamp_min(1e-6).half()


def round_rows(rows: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """Whole numbers -7..7, [R, W], whose products with the scales are nearest to the rows."""
    return (rows / scales.float().unsqueeze(1)).round().clamp(-LEVELS, LEVELS)


def quantise_rows(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Packed values uint8 [R, W / 2] and scales float16 [R] of rows [R, W], W even."""
    scales = row_scales(rows)
    codes = (round_rows(rows, scales) + LEVELS + 1).to(torch.uint8)
    return codes[:, 0::2] | (codes[:, 1::2] << 4), scales


def dequantise_rows(packed: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """Rows float32 [R, W] of packed values [R, W / 2] and scales [R]."""
    codes = torch.stack([packed & 15, packed >> 4], dim=2).flatten(1)
    return (codes.to(torch.float32) - (LEVELS + 1)) * scales.float().unsqueeze(1)
