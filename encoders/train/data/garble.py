"""Clips with some of their audio tokens changed.

F frames of a region, L tokens of it.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from encoders.dual.items import Spoken
from encoders.train.data.pairs import TrainingPair


def garbled(pair: TrainingPair, most: float, random: np.random.Generator) -> TrainingPair:
    """A pair whose speech has a share of its tokens changed; text stays as it is.

    A token, with all of its frames, becomes the unit of some frame of the clip. Of CTC frames many
    are blank, so some tokens are left out.

    Args:
        pair: stays as it is.
        most: shares are drawn between 0 and this.
        random: is drawn from.
    """
    item = pair.source
    if not isinstance(item, Spoken):
        return pair
    share = most * random.random()
    frames = np.concatenate([np.zeros(0, np.int16), *item.regions])
    regions = tuple(_changed(region, share, frames, random) for region in item.regions)
    return dataclasses.replace(pair, source=Spoken(regions=regions, lang=item.lang))


def _changed(
    region: NDArray[np.int16],
    share: float,
    frames: NDArray[np.int16],
    random: np.random.Generator,
) -> NDArray[np.int16]:
    if not len(region):
        return region
    token = np.cumsum(np.r_[False, region[1:] != region[:-1]])  # of each frame, [F]
    tokens = int(token[-1]) + 1
    units = region[np.r_[True, region[1:] != region[:-1]]].copy()  # [L]
    chosen = random.random(tokens) < share
    units[chosen] = frames[random.integers(len(frames), size=int(chosen.sum()))]
    found: NDArray[np.int16] = units[token]
    return found
