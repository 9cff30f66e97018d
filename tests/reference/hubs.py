"""Hubness, slowly and obviously."""

from __future__ import annotations


def occurrences(found: list[str], rows: list[str]) -> dict[str, int]:
    """N_k of every row, 0 among them."""
    return {row: sum(name == row for name in found) for row in rows}


def skewness(counts: list[int]) -> float | None:
    """E[(N - mean)^3] / deviation^3 over all rows."""
    mean = sum(counts) / len(counts)
    variance = sum((count - mean) ** 2 for count in counts) / len(counts)
    if variance == 0:
        return None
    return sum((count - mean) ** 3 for count in counts) / len(counts) / variance**1.5
