"""Distractors that length does not give away: as long as the gold is."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mining.contract.errors import InputError


def length_matched(
    gold_lengths: ArrayLike, pool_lengths: ArrayLike, count: int, seed: int
) -> NDArray[np.int64]:
    """Draw distractors whose lengths are distributed like the gold's, none twice.

    Every gold length is asked for equally often (the remainder is drawn); in random order, each takes
    the nearest length, by ratio, that is still free. A pool that holds the gold's lengths gives back
    exactly these.

    Args:
        gold_lengths: [G], characters or durations, positive.
        pool_lengths: [N], in the same unit.
        count: how many to draw.
        seed: of what chance decides.

    Returns:
        Rows of the pool: int64 [count], rising.

    Raises:
        InputError: if a length is not positive, there is no gold, or the pool is too small.
    """
    gold, pool = (np.asarray(v, dtype=np.float64) for v in (gold_lengths, pool_lengths))
    if not len(gold) or not ((gold > 0).all() and (pool > 0).all()):
        raise InputError(
            "length_matched: lengths must be positive and the gold not empty, but are not; leave out "
            "what has no length"
        )
    if count > len(pool):
        raise InputError(
            f"length_matched: the pool must hold {count} rows, but holds {len(pool)}; add distractors "
            "or draw fewer"
        )
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(pool))  # which of equal lengths is taken, is left to chance
    order = shuffled[np.argsort(pool[shuffled], kind="stable")]
    rounds, rest = divmod(count, len(gold))
    asked = np.concatenate([np.tile(gold, rounds), rng.choice(gold, rest, replace=False)])
    taken = _nearest_free(np.log(pool[order]), np.log(rng.permutation(asked)))
    return np.sort(order[taken])


def _nearest_free(values: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.int64]:
    """For each wanted value in turn, the place of the nearest of the sorted values not yet taken."""
    size = len(values)
    # Where to look next, upwards and downwards; a place that is free points at itself. Both are one
    # longer than the values: their last place stands for none above, none below (as -1).
    up, down = list(range(size + 1)), list(range(size + 1))
    found = np.empty(len(wanted), dtype=np.int64)
    for number, (value, start) in enumerate(
        zip(wanted.tolist(), np.searchsorted(values, wanted).tolist(), strict=True)
    ):
        above, below = _free(up, start), _free(down, start - 1)
        near = below >= 0 and (above == size or value - values[below] < values[above] - value)
        place = below if near else above
        found[number] = place
        up[place], down[place] = place + 1, place - 1
    return found


def _free(links: list[int], place: int) -> int:
    """Follow links to a free place (or past the end), and shorten the way for the next."""
    if place < 0:
        return -1
    end = place
    while end >= 0 and links[end] != end:
        end = links[end]
    while place >= 0 and links[place] != place and place != end:
        links[place], place = end, links[place]
    return end
