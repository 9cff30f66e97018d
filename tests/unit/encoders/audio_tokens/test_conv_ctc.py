"""The small recogniser: spectra, locality, its folder."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from encoders.audio_tokens.conv_ctc import load_conv_ctc, save_conv_ctc
from encoders.audio_tokens.conv_ctc_network import (
    SYMBOLS,
    ConvCtcConfig,
    ConvCtcModel,
    context_s,
    levelled,
)
from encoders.audio_tokens.load import describe_audio_tokenizer, load_audio_tokenizer
from encoders.audio_tokens.logmel import BANDS, HOP, LOG_FLOOR, log_mel
from mining.contract.errors import CheckpointError
from mining.contract.speech import AudioTokenizer

SIZES = {"width": 16, "blocks": 2, "kernel": 5, "expand": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    model = ConvCtcModel(ConvCtcConfig(**SIZES))
    for parameter in model.parameters():  # near the identity, as drawn, nothing would differ
        torch.nn.init.normal_(parameter, std=0.3)
    path = tmp_path_factory.mktemp("conv") / "units"
    save_conv_ctc(model, path, "tiny")
    return path


def speech(seconds, seed=0):
    """Noise that rises and falls."""
    rng = np.random.default_rng(seed)
    samples = rng.standard_normal(int(16000 * seconds)).astype(np.float32)
    return samples * (0.1 + 0.1 * np.sin(np.arange(len(samples)) / 900).astype(np.float32))


def test_log_mel_equals_a_slow_statement():
    samples = torch.from_numpy(speech(0.3))
    found = log_mel(samples[None])[0]
    assert found.shape == (30, BANDS)
    window = np.zeros(512)
    window[56:456] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    frame = 7
    middle = HOP * frame + HOP // 2
    piece = samples.numpy()[middle - 256 : middle + 256] * window
    power = np.abs(np.fft.rfft(piece)) ** 2
    # a band's filter sums to (about) one over the frequencies it covers, so bands never exceed peaks
    assert np.exp(found[frame].numpy()).max() <= power.max()
    from torchaudio.functional import melscale_fbanks

    filters = melscale_fbanks(257, 20.0, 7600.0, BANDS, 16000, norm="slaney", mel_scale="slaney")
    slow = np.log(np.maximum(power @ filters.numpy(), 1e-5))
    assert np.allclose(found[frame].numpy(), slow, atol=1e-3)


def test_silence_is_the_floor():
    assert torch.allclose(log_mel(torch.zeros(1, 1600)), torch.tensor(LOG_FLOOR))


def test_levelled_takes_out_the_mean_over_three_seconds():
    spectra = torch.randn(2, 500, BANDS)
    heard = torch.ones(2, 500, 1)
    heard[1, 400:] = 0
    found = levelled(spectra, heard)
    for clip, end in ((0, 500), (1, 400)):
        for frame in (0, 10, 200, end - 1):
            around = spectra[clip, max(0, frame - 150) : min(end, frame + 151)].mean(0)
            assert torch.allclose(found[clip, frame], spectra[clip, frame] - around, atol=1e-5)
    assert not found[1, 400:].any()


def test_it_keeps_the_protocol(folder):
    tokenizer = load_audio_tokenizer(folder)
    card = describe_audio_tokenizer(folder)
    assert isinstance(tokenizer, AudioTokenizer)
    assert tokenizer.card == card
    assert card.symbols == SYMBOLS
    assert card.symbols[card.blank] == ""
    assert card.units == len(SYMBOLS)


@given(st.lists(st.integers(0, 40000), min_size=1, max_size=4))
@settings(max_examples=15, deadline=None)
def test_fifty_frames_a_second_whatever_the_others_are(folder, sizes):
    tokenizer = load_conv_ctc(folder)
    clips = [speech(3, seed)[:size] for seed, size in enumerate(sizes)]
    together = tokenizer.frames(clips)
    for clip, found in zip(clips, together, strict=True):
        assert len(found) == len(clip) // 320
        assert found.dtype == np.int16
        assert np.array_equal(found, tokenizer.frames([clip])[0])


def test_what_is_far_away_changes_nothing(folder):
    tokenizer = load_conv_ctc(folder)
    reach = context_s(ConvCtcConfig(**SIZES))
    assert tokenizer.context_s == reach
    whole = speech(9)
    other = whole.copy()
    other[: 16000 * 2] = speech(2, seed=9)
    first, second = tokenizer.frames([whole, other])
    far = int((2 + reach) * 50) + 1
    assert np.array_equal(first[far:], second[far:])
    assert not np.array_equal(first, second)  # else the test could not fail


def test_a_slice_of_the_frames_is_the_frames_of_the_slice(folder):
    tokenizer = load_conv_ctc(folder)
    whole = speech(8)
    cut = whole[16000 * 2 : 16000 * 7]
    inner = int(tokenizer.context_s * 50) + 1
    frames = tokenizer.frames([whole])[0][100 : 100 + 250]
    alone = tokenizer.frames([cut])[0]
    assert np.array_equal(frames[inner:-inner], alone[inner:-inner])


def test_eight_bits_are_enough_to_be_read_again(folder, tmp_path):
    tokenizer = load_conv_ctc(folder)
    again = tmp_path / "again"
    save_conv_ctc(tokenizer._model, again, "tiny")
    clip = speech(2)
    assert np.array_equal(tokenizer.frames([clip])[0], load_conv_ctc(again).frames([clip])[0])


@pytest.mark.parametrize("fault", ["cut", "missing", "sizes", "other shape", "key"])
def test_a_damaged_folder_is_one_line(folder, tmp_path, fault):
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    weights, settings_file = broken / "model.safetensors", broken / "tokenizer.json"
    stated = json.loads(settings_file.read_text())
    if fault == "cut":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif fault == "missing":
        weights.unlink()
    elif fault == "sizes":
        stated["sizes"]["width"] = -1
    elif fault == "other shape":
        stated["sizes"]["width"] = 24
    else:
        stated["colour"] = "blue"
    settings_file.write_text(json.dumps(stated))
    with pytest.raises(CheckpointError) as error:
        load_audio_tokenizer(broken)
    assert "\n" not in str(error.value)
    assert str(broken) in str(error.value)
