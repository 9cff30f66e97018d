"""Rows that begin as the letters that are heard with them."""

import numpy as np
import pytest
import torch
from torch import nn

from encoders.dual.align_rows import Transcribed, align, rows_like_text, set_rows

_LETTERS = np.array([3, 5, 7, 11, 13, 17, 19, 23])  # rows of the text vocabulary
_UNITS = 2 * len(_LETTERS)  # two of each letter: voices differ


def _clips(count: int, seed: int, *, shuffled: bool = False) -> list[Transcribed]:
    """Each letter is heard as one to three units, either of its two; some units are noise."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        said = rng.integers(len(_LETTERS), size=rng.integers(6, 20))
        heard = np.repeat(said, rng.integers(1, 4, len(said)))
        units = 2 * heard + rng.integers(2, size=len(heard))
        noise = rng.random(len(units)) < 0.1
        units[noise] = rng.integers(_UNITS, size=noise.sum())
        if shuffled:
            said = rng.integers(len(_LETTERS), size=len(said))
        found.append(Transcribed(units=units, ids=_LETTERS[said]))
    return found


def test_a_unit_stands_for_the_letter_that_it_is_heard_with():
    found = align(_clips(200, 0), _UNITS)
    assert found.ids.tolist() == _LETTERS.tolist()
    assert found.chances.argmax(1).tolist() == [unit // 2 for unit in range(_UNITS)]
    np.testing.assert_allclose(found.chances.sum(1), 1)


def test_units_save_bits_of_letters_that_they_were_not_aligned_on():
    found = align(_clips(200, 0), _UNITS)
    assert found.bits(_clips(50, 1)) > 1  # of the 3 that a letter has
    assert abs(found.bits(_clips(50, 1, shuffled=True))) > 1  # lost, not saved
    assert found.bits(_clips(50, 1, shuffled=True)) < 0


def test_what_says_nothing_aligns_to_nothing():
    nothing = align(_clips(400, 0, shuffled=True), _UNITS)
    assert abs(nothing.bits(_clips(50, 1, shuffled=True))) < 0.1


def test_one_round_is_as_counted_one_by_one():
    clips, spread = _clips(5, 3), 0.1
    found = align(clips, _UNITS, rounds=1, spread=spread)
    every = [int(i) for clip in clips for i in clip.ids]
    ids = sorted(set(every))
    usual = {i: every.count(i) / len(every) for i in ids}
    counts = {(u, i): 0.1 * usual[i] for u in range(_UNITS) for i in ids}
    for clip in clips:
        units, letters = len(clip.units), len(clip.ids)
        width = max(spread, 0.5 / units)
        for m, letter in enumerate(clip.ids.tolist()):
            places = [(n + 0.5) / units - (m + 0.5) / letters for n in range(units)]
            weights = [np.exp(-((place / width) ** 2) / 2) for place in places]
            for n, unit in enumerate(clip.units.tolist()):
                counts[unit, letter] += weights[n] / sum(weights)
    totals = [sum(counts[u, i] for i in ids) for u in range(_UNITS)]
    wanted = [[counts[u, i] / totals[u] for i in ids] for u in range(_UNITS)]
    np.testing.assert_allclose(found.chances, wanted, rtol=1e-9)


def test_rows_lie_beside_their_letters_and_as_far_apart():
    text = torch.randn(30, 16, generator=torch.Generator().manual_seed(0)) + 2
    rows = rows_like_text(text, align(_clips(200, 0), _UNITS))
    letters = text[torch.from_numpy(_LETTERS)]
    assert torch.cdist(rows, letters).argmin(1).tolist() == [unit // 2 for unit in range(_UNITS)]
    spread = (rows - rows.mean(0)).square().mean()
    torch.testing.assert_close(spread, (letters - letters.mean(0)).square().mean())


def test_a_unit_that_was_never_heard_is_any_letter():
    found = align(_clips(50, 0), _UNITS + 1)
    usual = np.bincount(np.concatenate([clip.ids for clip in _clips(50, 0)]))[_LETTERS]
    np.testing.assert_allclose(found.chances[-1], usual / usual.sum())


def test_rows_are_written_in_the_models_own_type():
    audio = nn.Parameter(torch.zeros(2, 3, dtype=torch.bfloat16))
    set_rows(audio, torch.ones(2, 3))
    assert audio.dtype == torch.bfloat16
    assert bool((audio == 1).all())
    with pytest.raises(ValueError, match=r"rows: must be \(2, 3\), but are \(3, 2\)"):
        set_rows(audio, torch.ones(3, 2))


def test_clips_must_say_something():
    silent = Transcribed(units=np.zeros(0, np.int64), ids=_LETTERS)
    with pytest.raises(ValueError, match="at least one must have units and text"):
        align([silent], _UNITS)
