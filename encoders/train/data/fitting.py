"""The clips of seeds before there is an audio tokenizer: what one is fitted on."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping

import numpy as np
import pyarrow as pa

from encoders.train.data.config import Seed
from encoders.train.data.rows import ROWS, checked_rows, clip_numbers
from encoders.train.data.screen import Screen
from encoders.train.data.seeds import read_seed
from encoders.train.data.sound import sounds
from mining.contract.speech import SPEECH_RATE_HZ, Samples

_DRAWN = 64  # clips


def usable_rows(name: str, seed: Seed, screen: Screen) -> pa.Table:
    """Rows of a seed, schema :data:`~encoders.train.data.rows.ROWS`.

    Those that are refused are passed over: they are listed when the data are loaded.

    Args:
        name: of the seed.
        seed: where it is.
        screen: of texts.
    """
    found = [
        checked_rows(raw, seed, screen, _pass_over) for raw in read_seed(name, seed, _pass_over)
    ]
    return pa.concat_tables([ROWS.empty_table(), *found])


def heard(clips: pa.Table, longest_s: float) -> Iterator[tuple[int, Samples]]:
    """Number and samples, float32 [T] at SPEECH_RATE_HZ, of each clip that can be decoded whole.

    Args:
        clips: columns audio, start_s and end_s.
        longest_s: longer clips are left out, seconds.
    """
    for sound in sounds(clips, int(longest_s * SPEECH_RATE_HZ), _unknown):
        if sound.samples is not None and len(sound.samples):
            yield sound.number, sound.samples


def shuffled_clips(
    seeds: Mapping[str, Seed], screen: Screen, seed: int
) -> Generator[Samples, None, None]:
    """Samples of the clips of all seeds, float32 [T] at SPEECH_RATE_HZ, in random order.

    Some dozens at a time, of which those of one recording follow each other: it is opened once for them.

    Args:
        seeds: by name.
        screen: of texts.
        seed: of the order.
    """
    rows = [usable_rows(name, one, screen) for name, one in seeds.items()]
    clips, _ = clip_numbers(pa.concat_tables(rows))
    order = np.random.default_rng(seed).permutation(clips.num_rows)
    longest_s = max(one.max_s for one in seeds.values())
    for first in range(0, len(order), _DRAWN):
        drawn = clips.take(pa.array(order[first : first + _DRAWN]))
        for _, samples in heard(drawn, longest_s):
            yield samples


def _pass_over(row_id: str, reason: str, detail: str) -> None:
    pass


def _unknown(clip_id: bytes) -> bool:
    return False
