"""Weighted interval scheduling: the best choice of intervals of which no two overlap.

N intervals.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mining.contract.errors import InputError

Ints = NDArray[np.int64]


def schedule(start: Ints, end: Ints, weight: Ints, group: Ints) -> NDArray[np.bool_]:
    """Choose intervals of which no two of a group overlap, of the greatest total weight.

    Exact, by the usual dynamic programme over intervals in the order of their ends, O(N log N).
    Among choices of equal weight the one that covers more wins, then the one of fewer intervals;
    what is still equal goes to the choice that ends earlier, then to the order given. So an
    interval of weight 0 is taken where it takes nothing from a better one, and one of negative
    weight never. Integers throughout: no order of summation decides.

    Args:
        start: int64 [N], inclusive.
        end: int64 [N], exclusive: an interval may begin where another ends.
        weight: int64 [N].
        group: int64 [N]; intervals of different groups never overlap.

    Returns:
        bool [N]: those chosen.

    Raises:
        InputError: if an interval is empty.
    """
    if np.any(end <= start):
        raise InputError("schedule: an interval must end after its start; drop empty ones")
    order = np.lexsort((end, group))
    previous = _before(start[order], end[order], group[order])
    values = _values(weight[order], (end - start)[order])
    best = [0]  # best[i]: value of the best choice among the first i
    for value, before in zip(values, previous, strict=True):
        best.append(max(best[-1], best[before] + value))
    chosen = np.zeros(len(order), dtype=bool)
    left = len(order)
    while left:
        if best[left] == best[left - 1]:
            left -= 1
        else:
            chosen[order[left - 1]] = True
            left = previous[left - 1]
    return chosen


def _before(start: Ints, end: Ints, group: Ints) -> list[int]:
    """How many intervals, in the order of group and end, lie before each one's start."""
    _, group = np.unique(group, return_inverse=True)
    times, place = np.unique(np.concatenate([start, end]), return_inverse=True)
    starts, ends = np.split(place, 2)
    offset = group * len(times)
    return np.searchsorted(offset + ends, offset + starts, side="right").tolist()  # type: ignore[no-any-return]


def _values(weight: Ints, length: Ints) -> list[int]:
    """Weight, then length, then minus one in one integer, in fields that sums do not overflow."""
    count_bits = len(weight).bit_length()
    length_bits = count_bits + int(sum(length.tolist())).bit_length()
    return [
        (w << length_bits) + (n << count_bits) - 1
        for w, n in zip(weight.tolist(), length.tolist(), strict=True)
    ]
