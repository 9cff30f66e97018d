"""Folders that are not whole, or not what they say."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from encoders.audio_tokens.kmeans_fit import KMeansFit, fit_kmeans_tokenizer
from encoders.audio_tokens.load import describe_audio_tokenizer, load_audio_tokenizer
from mining.contract.errors import CheckpointError


@pytest.fixture(scope="module")
def whole(tmp_path_factory, encoders, clips):
    folder = tmp_path_factory.mktemp("whole") / "tokenizer"
    fit = KMeansFit(encoder=str(encoders("wav2vec2-layer")), units=4, name="tiny")
    fit_kmeans_tokenizer(fit, clips, folder, seed=0, threads=1)
    return folder


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "copy")


def change(path, **fields):
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def refused(folder, said, describing=True):
    with pytest.raises(CheckpointError, match=said) as error:
        load_audio_tokenizer(folder)
    assert "\n" not in str(error.value)
    if describing:
        with pytest.raises(CheckpointError, match=said):
            describe_audio_tokenizer(folder)


def test_no_such_folder(tmp_path):
    refused(tmp_path / "none", "must be the folder of an audio tokenizer, but does not exist")
    refused(tmp_path, "must be there and state schema and kind")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"schema": 2}, "schema must be 1, but is 2"),
        ({"schema": None}, "must be there and state schema"),
        ({"kind": "codec"}, "kind must be one of kmeans, ctc, conv_ctc, but is 'codec'"),
        ({"layers": 3}, "'layers' is unknown"),
        ({"layer": "1"}, "layer must be of type int, but is '1'"),
        ({"layer": True}, "layer must be of type int, but is True"),
        ({"layer": 2}, "layer must be one of the 2 layers of"),
        ({"layer": -1}, "layer must be one of the 2 layers of"),
        ({"rate_hz": 30}, "rate_hz must divide the encoder's 50 Hz"),
        ({"rate_hz": 0}, "rate_hz must be above 0"),
        ({"normalise": "loud"}, "normalise must be none, fixed or utterance"),
        ({"units": 5}, r"centroids must be of shape \(5, 32\)"),
    ],
)
def test_settings_that_are_not_ours(fields, said, folder):
    change(folder / "tokenizer.json", **fields)
    refused(folder, said)


def test_settings_that_lack_a_field(folder):
    path = folder / "tokenizer.json"
    stated = json.loads(path.read_text())
    del stated["layer"]
    path.write_text(json.dumps(stated))
    refused(folder, "'layer' is missing")
    path.write_text("{")
    refused(folder, "must be JSON")


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-100])


def test_weights_cut_short(folder):
    cut_short(folder / "centroids.safetensors")
    refused(folder, r"centroids\.safetensors: must be whole safetensors, but is not")


def test_encoder_cut_short(folder):
    cut_short(folder / "encoder" / "model.safetensors")
    refused(folder, r"model\.safetensors: must be whole safetensors, but is not")


def test_files_that_are_missing(folder):
    (folder / "centroids.safetensors").rename(folder / "elsewhere")
    refused(folder, "centroids.safetensors: must be there, but is not")
    (folder / "elsewhere").rename(folder / "centroids.safetensors")
    (folder / "encoder" / "preprocessor_config.json").unlink()
    refused(folder, "must be a complete model folder", describing=False)
    (folder / "encoder").rename(folder / "elsewhere")
    refused(folder, "encoder: must be a model folder, but does not exist")


def test_centroids_of_another_encoder(folder):
    path = folder / "centroids.safetensors"
    save_file({**load_file(path), "centroids": np.zeros((4, 31), np.float32)}, path)
    refused(folder, r"centroids must be of shape \(4, 32\), .* but is \(4, 31\)")


def test_centroids_that_are_no_numbers(folder):
    path = folder / "centroids.safetensors"
    tensors = load_file(path)
    save_file({**tensors, "centroids": np.full((4, 32), np.nan, np.float32)}, path)
    refused(folder, "numbers must be finite", describing=False)
    save_file({**tensors, "centroids": np.zeros((4, 32), np.float16)}, path)
    refused(folder, "centroids must be float32, but is float16")


def test_a_scale_of_another_encoder(folder):
    path = folder / "centroids.safetensors"
    tensors = load_file(path)
    wide = {name: np.ones(80, np.float32) for name in ("input_mean", "input_deviation")}
    save_file({**tensors, **wide}, path)
    refused(folder, "must have 1 channels, but has 80", describing=False)
    save_file({"centroids": tensors["centroids"]}, path)
    refused(folder, "input_mean must be of shape of the inputs")
    save_file({**tensors, "input_deviation": np.zeros(1, np.float32)}, path)
    refused(folder, "input_deviation must be above 0", describing=False)


def test_pickles_are_refused(folder):
    encoder = folder / "encoder"
    (encoder / "model.safetensors").unlink()
    torch.save({}, encoder / "pytorch_model.bin")
    refused(folder, "weights must be in safetensors, but there is only pytorch_model.bin")


def test_weights_that_lack_a_layer(folder):
    path = folder / "encoder" / "model.safetensors"
    tensors = load_file(path)
    kept = {name: tensor for name, tensor in tensors.items() if "layers.1." not in name}
    save_file(kept, path, metadata={"format": "pt"})
    refused(folder, r"the weights lack encoder\.layers\.1\.", describing=False)


def test_strides_that_the_weights_do_not_have(folder, clips):
    change(folder / "encoder" / "config.json", conv_stride=[5, 2, 2, 2, 2, 2, 1])
    assert load_audio_tokenizer(folder).rate_hz == 25.0
    assert len(load_audio_tokenizer(folder).frames(clips[:1])[0]) == 25
