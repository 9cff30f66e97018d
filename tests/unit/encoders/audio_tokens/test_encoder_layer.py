"""Letters that are read off the states of a pretrained speech encoder."""

import json
import math
import shutil

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from transformers import Wav2Vec2BertModel

from encoders.audio_tokens.conv_ctc import ENCODER_FOLDER, save_conv_ctc
from encoders.audio_tokens.conv_ctc_network import ConvCtcConfig, ConvCtcModel
from encoders.audio_tokens.encoder_layer import load_encoder_layer, save_encoder_layer
from encoders.audio_tokens.framing import framing_of
from encoders.audio_tokens.hidden_states import HiddenStates
from encoders.audio_tokens.inputs import NetworkInputs
from encoders.audio_tokens.kmeans_fit import KMeansFit, fit_kmeans_tokenizer
from encoders.audio_tokens.load import describe_audio_tokenizer, load_audio_tokenizer
from encoders.audio_tokens.networks import load_encoder_network, load_extractor
from encoders.audio_tokens.settings import UTTERANCE
from mining.contract.errors import CheckpointError, ConfigError, InputError
from mining.contract.speech import AudioTokenizer
from tests.unit.encoders.audio_tokens.conftest import save, w2v_bert

NAMES = ["wav2vec2-layer", "hubert", "w2v-bert", "whisper"]
WIDTH, LAYERS = 32, 3


@pytest.fixture(scope="module")
def layer(tmp_path_factory, encoders, clips):
    """Folder of a layer of a tiny encoder, by the encoder's name."""
    root = tmp_path_factory.mktemp("layers")

    def folder(name, number=None):
        home = root / f"{name}-{number}"
        if not home.is_dir():
            save_encoder_layer(str(encoders(name)), number, clips, home)
        return home

    return folder


@pytest.fixture(scope="module")
def letters(layer, tmp_path_factory):
    """Folder of a recogniser with random weights that reads a layer, by the encoder's name."""
    root = tmp_path_factory.mktemp("letters")

    def folder(name):
        home = root / name
        if not home.is_dir():
            torch.manual_seed(0)
            config = ConvCtcConfig(width=16, blocks=1, kernel=3, expand=2, states=WIDTH)
            model = ConvCtcModel(config)
            for parameter in model.parameters():
                torch.nn.init.normal_(parameter, std=0.3)
            save_conv_ctc(model, home, name, encoder=layer(name))
        return home

    return folder


@pytest.mark.parametrize("name", NAMES)
def test_states_of_the_measured_clips_have_mean_0_and_deviation_1(layer, clips, name):
    found = np.concatenate([load_encoder_layer(layer(name)).of(clip) for clip in clips])
    assert found.shape[1] == WIDTH
    assert found.dtype == np.float32
    assert np.abs(found.mean(axis=0)).max() < 1e-4
    assert np.allclose(found.std(axis=0), 1, atol=1e-4)


@pytest.mark.parametrize("number", [0, 1, None])
def test_they_are_the_states_of_that_layer_of_the_whole_network(layer, encoders, clips, number):
    home = encoders("whisper")
    network, extractor = load_encoder_network(home, None), load_extractor(home)
    framing = framing_of(network.config.to_dict(), "m")
    inputs = NetworkInputs(extractor, framing, UTTERANCE, None)
    chosen = LAYERS - 1 if number is None else number
    (slow,) = HiddenStates(network, inputs, framing, chosen, "cpu").of(clips[2:3])
    scale = load_file(layer("whisper", number) / "scale.safetensors")
    wanted = (slow - scale["state_mean"]) / scale["state_deviation"]
    found = load_encoder_layer(layer("whisper", number)).of(clips[2])  # as long as the window
    assert np.allclose(found, wanted, atol=1e-4)


@pytest.mark.parametrize(("clip", "seconds"), [(1, 1), (4, 1), (3, 2)])  # 0.4, 0.7 and 1.31 s
def test_a_short_clip_is_heard_in_a_short_window(encoders, clips, clip, seconds, tmp_path):
    home, short = encoders("whisper"), tmp_path / "short"
    shutil.copytree(home, short)
    weights = load_file(short / "model.safetensors")
    positions = "encoder.embed_positions.weight"
    weights[positions] = np.ascontiguousarray(weights[positions][: 50 * seconds])
    save_file(weights, short / "model.safetensors", metadata={"format": "pt"})
    for name, key in (("config", "max_source_positions"), ("preprocessor_config", "chunk_length")):
        stated = json.loads((short / f"{name}.json").read_text())
        stated[key] = 50 * seconds if name == "config" else seconds
        (short / f"{name}.json").write_text(json.dumps(stated))
    found = []
    for folder, window_s in ((home, 1.0), (short, None)):
        network, extractor = load_encoder_network(folder, None), load_extractor(folder)
        framing = framing_of(network.config.to_dict(), "m")
        inputs = NetworkInputs(extractor, framing, UTTERANCE, None)
        states = HiddenStates(network, inputs, framing, 1, "cpu", window_s=window_s)
        found.append(states.of([clips[clip]])[0])
    assert found[0].shape == found[1].shape
    assert np.allclose(found[0], found[1], atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_laws_of_letters_read_off_a_layer(letters, clips, name):
    card, tokenizer = describe_audio_tokenizer(letters(name)), load_audio_tokenizer(letters(name))
    assert isinstance(tokenizer, AudioTokenizer)
    assert tokenizer.card == card
    assert (card.rate_hz, card.context_s) == (50.0, math.inf)
    assert card.max_clip_s == (2.0 if name == "whisper" else 30.0)
    together = tokenizer.frames(clips)
    for clip, found in zip(clips, together, strict=True):
        assert found.dtype == np.int16
        assert len(found) == len(clip) // 320
        assert np.array_equal(found, tokenizer.frames([clip])[0])
    assert len(set(np.concatenate(together).tolist())) > 1


def test_an_adapter_behind_the_layers_changes_no_rate(clips, tmp_path):
    adapter = {"add_adapter": True, "num_adapter_layers": 1}
    save(tmp_path / "whole", lambda: w2v_bert(Wav2Vec2BertModel, **adapter))
    save_encoder_layer(str(tmp_path / "whole"), None, clips, tmp_path / "layer")
    assert len(load_encoder_layer(tmp_path / "layer").of(clips[0])) == 50
    fit = KMeansFit(encoder=str(tmp_path / "whole"), units=3)
    fit_kmeans_tokenizer(fit, clips, tmp_path / "units", seed=0)
    assert len(load_audio_tokenizer(tmp_path / "units").frames(clips[:1])[0]) == 25


def test_what_cannot_be_heard_has_no_letters(letters, clips):
    broken = clips[0].copy()
    broken[5] = np.nan
    found = load_audio_tokenizer(letters("whisper")).frames([broken, clips[0][:100], clips[0]])
    assert [len(one) for one in found] == [0, 0, len(clips[0]) // 320]


def test_another_layer_is_another_tokenizer(letters, layer, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(letters("whisper"), other)
    shutil.rmtree(other / ENCODER_FOLDER)
    shutil.copytree(layer("whisper", 0), other / ENCODER_FOLDER)
    cards = [describe_audio_tokenizer(one) for one in (letters("whisper"), other)]
    assert cards[0].fingerprint != cards[1].fingerprint


def test_a_layer_that_is_not_there_is_one_line(encoders, clips, tmp_path):
    with pytest.raises(ConfigError, match=r"^layer: must be 0 to 2 for .*, but is 3$"):
        save_encoder_layer(str(encoders("whisper")), 3, clips, tmp_path / "layer")


@pytest.mark.parametrize("name", ["whisper", "hubert"])
@pytest.mark.parametrize("clips", [[], [np.zeros(16000, np.float32)] * 3])
def test_silence_alone_is_one_line(encoders, tmp_path, clips, name):
    with pytest.raises(InputError, match="must have sound in it"):
        save_encoder_layer(str(encoders(name)), None, clips, tmp_path / "layer")
    assert not (tmp_path / "layer").exists()


WRONG = {
    "high layer": {"layer": 3},
    "normalise": {"normalise": "odd"},
    "no window": {"window_s": 0.0},
}


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("no layer", "layer.json: must state"),
        ("high layer", "layer must be one of the 3 layers"),
        ("normalise", "and normalise as none or fixed, but does not"),
        ("no window", "window_s must be above 0"),
        ("no weights", "safetensors"),
        ("another kind", "model_type must be one of"),
        ("short extractor", "chunk_length must be 2 s"),
        ("no scale", "scale.safetensors: must be whole"),
        ("narrow scale", "of width 32, all finite float32, but does not"),
        ("no deviation", "state_deviation must be above 0"),
        ("no encoder", "layer.json: must state"),
        ("no network", "must be a model folder, but does not exist"),
        ("states", "states must be 32 as the encoder gives them, but are 16"),
    ],
)
def test_a_damaged_folder_is_one_line(letters, tmp_path, fault, told):
    broken = tmp_path / "broken"
    shutil.copytree(letters("whisper"), broken)
    home = broken / ENCODER_FOLDER
    network = home / "network"
    stated = json.loads((home / "layer.json").read_text())
    scale = load_file(home / "scale.safetensors")
    if fault == "no layer":
        (home / "layer.json").unlink()
    elif fault in WRONG:
        (home / "layer.json").write_text(json.dumps({**stated, **WRONG[fault]}))
    elif fault == "no weights":
        (network / "model.safetensors").rename(network / "pytorch_model.bin")
    elif fault in ("another kind", "short extractor"):
        path = network / ("config.json" if fault == "another kind" else "preprocessor_config.json")
        wrong = {"model_type": "clip"} if fault == "another kind" else {"chunk_length": 1}
        path.write_text(json.dumps({**json.loads(path.read_text()), **wrong}))
    elif fault == "no scale":
        (home / "scale.safetensors").write_bytes(b"short")
    elif fault == "narrow scale":
        save_file({**scale, "state_mean": scale["state_mean"][:, 1:]}, home / "scale.safetensors")
    elif fault == "no deviation":
        save_file(
            {**scale, "state_deviation": np.zeros(WIDTH, np.float32)}, home / "scale.safetensors"
        )
    elif fault in ("no encoder", "no network"):
        shutil.rmtree(home if fault == "no encoder" else network)
    else:
        settings = json.loads((broken / "tokenizer.json").read_text())
        settings["sizes"]["states"] = 16
        (broken / "tokenizer.json").write_text(json.dumps(settings))
        weights = load_file(broken / "model.safetensors")
        front = weights["front.weight"]
        weights["front.weight"] = np.ascontiguousarray(front[:, : front.shape[1] // 2])
        save_file(weights, broken / "model.safetensors")
    with pytest.raises(CheckpointError) as error:
        load_audio_tokenizer(broken)
    assert "\n" not in str(error.value)
    assert told in str(error.value)
