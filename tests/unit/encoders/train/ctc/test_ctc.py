"""The trainer of the small recogniser."""

import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from encoders.audio_tokens.conv_ctc_network import SYMBOLS, ConvCtcConfig, ConvCtcModel
from encoders.audio_tokens.letters import codes, letters
from encoders.audio_tokens.logmel import BANDS, LOG_FLOOR
from encoders.train.ctc.augment import augmented, augmented_states
from encoders.train.ctc.confusions import measured
from encoders.train.ctc.corpus import Clip, Front, build_clips
from encoders.train.ctc.loop import Draws, Schedule, ctc_loss, train_ctc
from mining.contract.errors import CheckpointError, InputError, MiningError

CONFIG = ConvCtcConfig(width=24, blocks=2, kernel=5, expand=2)


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("L’uomo è già QUI, 3 volte.", "l uomo e gia qui volte"),
        ("Größe", "grosse"),
        ("我们完成了", "wo men wan cheng le"),
        ("Это день", "eto den"),
        ("ஒரு சிறிய", "oru ciriy"),
        ("カーソル", "kasoru"),
        ("123 !?", ""),
    ],
)
def test_letters(text, spelled):
    assert letters(text) == spelled
    assert len(codes(text)) == len(spelled)


@given(st.text(max_size=40))
def test_letters_are_letters_and_single_spaces(text):
    found = letters(text)
    assert set(found) <= set(" abcdefghijklmnopqrstuvwxyz")
    assert found == " ".join(found.split())


@given(st.integers(9, 400), st.integers(0, 1000), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_augmented_spectra_stay_spectra(frames, seed, strength):
    rng = np.random.default_rng(seed)
    spectrum = rng.normal(-6, 2, (frames, BANDS)).astype(np.float32)
    kept = spectrum.copy()
    other = rng.normal(-6, 2, (50, BANDS)).astype(np.float32)
    found = augmented(spectrum, other, strength, np.random.default_rng(seed))
    assert np.array_equal(spectrum, kept)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert found.min() >= LOG_FLOOR - 1e-4
    assert max(8, int(0.75 * frames)) - 1 <= len(found) <= 1.35 * frames + 1
    assert np.array_equal(found, augmented(spectrum, other, strength, np.random.default_rng(seed)))


@given(st.integers(9, 400), st.integers(0, 1000), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_augmented_states_are_states_of_that_clip(frames, seed, strength):
    states = np.random.default_rng(seed).normal(0, 1, (frames, 12)).astype(np.float32)
    kept = states.copy()
    found = augmented_states(states, strength, np.random.default_rng(seed))
    assert np.array_equal(states, kept)
    assert found.dtype == np.float32
    # between frames, or wiped out
    assert found.min() >= min(0, states.min()) - 1e-4
    assert found.max() <= max(0, states.max()) + 1e-4
    assert max(8, int(0.75 * frames)) - 1 <= len(found) <= 1.35 * frames + 1
    assert np.array_equal(found, augmented_states(states, strength, np.random.default_rng(seed)))


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Tones that stand for letters, and what nobody could say."""
    rng = np.random.default_rng(0)
    found = []
    for number in range(24):
        text = "".join(rng.choice(list("abc"), 5))
        tones = [
            np.sin(np.arange(1600) * 2 * np.pi * (300 + 500 * "abc".index(c)) / 16000) for c in text
        ]
        sound = np.concatenate(tones).astype(np.float32) * 0.3
        found.append(Clip(samples=sound, text=text, lang=("deu", "eng")[number % 2]))
    found.append(Clip(samples=found[0].samples, text="more than anybody says " * 3, lang="deu"))
    found.append(Clip(samples=found[0].samples[:100], text="a", lang="deu"))
    cache = tmp_path_factory.mktemp("clips") / "cache" / "spectra"
    build_clips([iter(found[:10]), iter(found[10:])], cache)
    return build_clips([], cache)  # kept: the clips are not read again


def test_clips_are_heard_once_and_the_unspeakable_is_left_out(clips):
    assert len(clips.targets) == 24
    assert clips.refused == 2
    assert (np.diff(clips.offsets) == 50).all()
    assert clips.groups.tolist() == [0] * 10 + [1] * 14
    assert sorted(set(clips.langs)) == ["deu", "eng"]


def halves(samples):
    """Something to read in place of spectra: 50 a second, 7 wide."""
    count = len(samples) // 320
    means = samples[: count * 320].reshape(count, 320).mean(axis=1)
    return np.outer(means, np.arange(1, 8)).astype(np.float32)


def test_states_are_read_in_place_of_spectra(tmp_path):
    rng = np.random.default_rng(1)
    sounds = [rng.standard_normal(16000 * seconds).astype(np.float32) for seconds in (1, 2, 3)]
    found = [Clip(samples=sound, text="abc", lang="deu") for sound in sounds]
    front = Front(of=halves, states=7, longest_s=2.5)
    built = build_clips([iter(found)], tmp_path / "states", lambda: front)
    assert (built.states, built.input_hz, built.refused) == (7, 50, 1)
    assert built.hours == pytest.approx(3 / 3600)
    assert np.array_equal(built.spectrum(1), halves(sounds[1]).astype(np.float16))
    again = build_clips([], tmp_path / "states", lambda: pytest.fail("heard twice"))
    assert np.array_equal(again.spectra, built.spectra)
    batch = Draws(built, Schedule(steps=1, batch_s=3.0), 0).batch(0)
    assert batch.spectra.shape[2] == 7
    config = ConvCtcConfig(width=16, blocks=1, kernel=3, expand=2, states=7)
    assert torch.isfinite(ctc_loss(ConvCtcModel(config), batch, False))


def test_nothing_that_can_be_said_is_no_clips(tmp_path):
    silent = Clip(samples=np.zeros(16000, np.float32), text="123", lang="deu")
    built = build_clips([iter([silent])], tmp_path / "none")
    assert (built.langs, built.refused, built.hours) == ([], 1, 0.0)


def test_a_batch_is_a_function_of_seed_and_step(clips):
    schedule = Schedule(steps=10, batch_s=3.0)
    first, second = Draws(clips, schedule, 1), Draws(clips, schedule, 1)
    second.batch(0)
    mine, other = first.batch(5), second.batch(5)
    for name in ("spectra", "frames", "letters", "counts"):
        assert torch.equal(getattr(mine, name), getattr(other, name))
    assert mine.langs == other.langs
    assert not torch.equal(mine.spectra, first.batch(6).spectra)


def digest(model):
    found = hashlib.sha256()
    for value in model.state_dict().values():
        found.update(value.numpy().tobytes())
    return found.hexdigest()


def trained(clips, folder, schedule, seed=0, save_every=200):
    return train_ctc(Draws(clips, schedule, seed), CONFIG, folder, print, save_every=save_every)


def test_a_stopped_training_goes_on_to_the_same_weights(clips, tmp_path, monkeypatch):
    schedule = Schedule(steps=6, batch_s=3.0, warm_up=2)
    whole = trained(clips, tmp_path / "whole", schedule)
    drawn = Draws.batch

    def until_the_fifth(self, step):
        if step == 5:
            raise KeyboardInterrupt
        return drawn(self, step)

    monkeypatch.setattr(Draws, "batch", until_the_fifth)
    with pytest.raises(KeyboardInterrupt):
        trained(clips, tmp_path / "stopped", schedule, save_every=2)
    monkeypatch.undo()
    resumed = trained(clips, tmp_path / "stopped", schedule, save_every=3)
    assert digest(whole) == digest(resumed)
    assert digest(whole) != digest(trained(clips, tmp_path / "other", schedule, seed=1))


def test_states_of_another_training_are_refused(clips, tmp_path):
    trained(clips, tmp_path, Schedule(steps=2, batch_s=3.0), save_every=1)
    with pytest.raises(CheckpointError, match=r"schedule.rate was 0.002, is 0.1"):
        trained(clips, tmp_path, Schedule(steps=2, batch_s=3.0, rate=0.1))


def test_a_loss_that_is_not_finite_stops(clips, tmp_path):
    with pytest.raises(MiningError, match="must be finite"):
        trained(clips, tmp_path, Schedule(steps=60, batch_s=3.0, rate=1e30, warm_up=1))


def test_nothing_to_draw_is_one_line(clips):
    with pytest.raises(InputError, match="leaves none"):
        Draws(clips, Schedule(steps=1, shares=(0.0, 0.0)), 0)


def test_confusions_are_counted(clips, tmp_path):
    schedule = Schedule(steps=60, batch_s=6.0, rate=5e-3, warm_up=10)
    model = trained(clips, tmp_path, schedule)
    found = measured(model, Draws(clips, schedule, 0), first=60, batches=4)
    said = {SYMBOLS.index(letter) for letter in "abc"}
    assert set(np.flatnonzero(found.given.sum(axis=1)).tolist()) <= said
    assert found.given.sum() > 100
    assert found.added.shape == (len(SYMBOLS),)
    assert np.isfinite(found.costs().given).all()


def test_it_learns(clips, tmp_path):
    schedule = Schedule(steps=60, batch_s=6.0, rate=5e-3, warm_up=10)
    batch = Draws(clips, schedule, 99).batch(0)
    models = (
        trained(clips, tmp_path / "a", Schedule(steps=1, batch_s=6.0, rate=0.0)),
        trained(clips, tmp_path / "b", schedule),
    )
    with torch.no_grad():
        before, after = (ctc_loss(model, batch, False) for model in models)
    assert float(after) < 0.6 * float(before)
