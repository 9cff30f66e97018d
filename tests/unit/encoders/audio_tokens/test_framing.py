import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import Wav2Vec2Config, Wav2Vec2Model

from encoders.audio_tokens.framing import Framing, at_rate, framing_of, usable_clips
from mining.contract.errors import CheckpointError, ConfigError

WAV2VEC2 = {
    "model_type": "wav2vec2",
    "conv_kernel": [10, 3, 3, 3, 3, 2, 2],
    "conv_stride": [5, 2, 2, 2, 2, 2, 2],
}
W2V_BERT = {"model_type": "wav2vec2-bert"}
WHISPER = {"model_type": "whisper", "max_source_positions": 1500}


def test_strides_are_read_from_the_config():
    framing = framing_of(WAV2VEC2, "m")
    assert (framing.stride_samples, framing.window_samples, framing.rate_hz) == (320, 400, 50.0)
    framing = framing_of({**WAV2VEC2, "conv_stride": [5, 2, 2, 2, 2, 2, 1]}, "m")
    assert (framing.stride_samples, framing.rate_hz) == (160, 100.0)
    framing = framing_of(W2V_BERT, "m")
    assert (framing.stride_samples, framing.window_samples) == (320, 560)
    assert framing_of({**WHISPER, "max_source_positions": 100}, "m").max_clip_s == 2.0


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"model_type": "bert"}, "model_type must be one of"),
        ({"model_type": "wav2vec2"}, "conv_kernel"),
        ({"model_type": "whisper"}, "max_source_positions"),
        ({**WAV2VEC2, "add_adapter": True, "adapter_stride": 3}, "adapter must have kernel 3"),
    ],
)
def test_configs_that_do_not_say_are_refused(config, said):
    with pytest.raises(CheckpointError, match=said):
        framing_of(config, "m")


@pytest.mark.parametrize("rate_hz", [100.0, 30.0, 20.0])
def test_a_rate_that_does_not_divide_is_refused(rate_hz):
    with pytest.raises(ConfigError, match="rate_hz must divide the encoder's 50 Hz"):
        at_rate(framing_of(WAV2VEC2, "m"), rate_hz, "m")


@given(st.integers(0, 40_000), st.sampled_from([50.0, 25.0, 12.5, 50 / 3]))
def test_a_clip_has_the_frames_whose_centres_are_inside(samples, rate_hz):
    framing = at_rate(framing_of(WAV2VEC2, "m"), rate_hz, "m")
    stride = framing.stride_samples * framing.group
    centres = stride * (np.arange(samples // stride + 2) + 0.5)
    assert framing.frames(samples) == int((centres < samples).sum())


@given(st.integers(161, 5_000), st.sampled_from([WAV2VEC2, W2V_BERT]))
def test_padding_puts_outputs_on_the_middle_of_their_strides(samples, config):
    framing = framing_of(config, "m")
    clip = np.zeros(samples, np.float32)
    places = [320 * n + 160 for n in range(framing.outputs(samples))]
    clip[places] = 1.0
    padded = framing.padded(clip)
    count = (len(padded) - framing.window_samples) / framing.stride_samples + 1
    assert count == framing.outputs(samples)
    middle = framing.window_samples // 2
    assert all(padded[320 * n + middle] == 1.0 for n in range(len(places)))


@given(st.integers(1, 3_000), st.integers(1, 4))
def test_frames_are_means_of_their_outputs(samples, group):
    framing = Framing(
        inputs="waves", stride_samples=20, window_samples=30, adapters=0, group=group, max_clip_s=1
    )
    outputs = np.random.default_rng(samples).random((framing.outputs(samples), 3), np.float32)
    got = framing.averaged(outputs, samples)
    wanted = [outputs[f * group : (f + 1) * group].mean(0) for f in range(framing.frames(samples))]
    assert got.dtype == np.float32
    assert np.allclose(got, np.array(wanted).reshape(-1, 3), atol=1e-6)


def test_an_output_hears_its_own_centre():
    """A network of the real strides: a click moves most the output whose frame it is in."""
    torch.manual_seed(0)
    config = Wav2Vec2Config(conv_dim=(8,) * 7, feat_extract_norm="layer")
    network = Wav2Vec2Model(config).feature_extractor.eval()
    framing = framing_of(config.to_dict(), "m")
    quiet = np.zeros(6_400, np.float32)
    for frame in (0, 3, 19):
        click = quiet.copy()
        click[320 * frame + 160] = 1.0
        with torch.no_grad():
            outputs = [
                network(torch.from_numpy(framing.padded(c))[None])[0].T for c in (quiet, click)
            ]
        moved = (outputs[1] - outputs[0]).abs().sum(1)
        assert len(moved) == 20
        assert int(moved.argmax()) == frame


def test_clips_without_frames_are_known():
    framing = framing_of(WAV2VEC2, "m")
    bad = np.ones(400, np.float32)
    bad[7] = np.nan
    clips = [np.ones(n, np.float32) for n in (0, 160, 161)]
    assert usable_clips([*clips, bad], framing) == [2]
    with pytest.raises(ConfigError, match=r"clip 1: must be at most 30 s .* is 30.1 s"):
        usable_clips([clips[0], np.ones(481_000, np.float32)], framing)
