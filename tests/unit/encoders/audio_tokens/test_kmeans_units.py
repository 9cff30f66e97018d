import json
import math
import shutil

import numpy as np
import pytest
import torch
import transformers
from safetensors.numpy import load_file, save_file

from encoders.audio_tokens.framing import at_rate, framing_of
from encoders.audio_tokens.hidden_states import HiddenStates
from encoders.audio_tokens.inputs import NetworkInputs
from encoders.audio_tokens.kmeans_fit import KMeansFit, fit_kmeans_tokenizer
from encoders.audio_tokens.load import describe_audio_tokenizer, load_audio_tokenizer
from encoders.audio_tokens.networks import load_encoder_network, load_extractor
from encoders.audio_tokens.settings import NONE, UTTERANCE
from mining.contract.errors import CapacityError, CheckpointError, ConfigError, InputError
from mining.contract.speech import AudioTokenizer

NAMES = ["wav2vec2-layer", "wav2vec2-group", "hubert", "wavlm", "w2v-bert", "whisper"]
UNITS = 12


@pytest.fixture(scope="module")
def fitted(tmp_path_factory, encoders, clips):
    """Folder of k-means units over a tiny encoder, by the encoder's name."""
    root = tmp_path_factory.mktemp("tokenizers")

    def folder(name, **settings):
        home = root / "-".join([name, *map(str, settings.values())])
        if not home.is_dir():
            fit = KMeansFit(encoder=str(encoders(name)), units=UNITS, name=name, **settings)
            fit_kmeans_tokenizer(fit, clips, home, seed=0, threads=1)
        return home

    return folder


def states_of(folder, layer, kept, rate_hz=50.0, normalise=NONE, window_s=None):
    network, extractor = load_encoder_network(folder, kept), load_extractor(folder)
    framing = at_rate(framing_of(network.config.to_dict(), "m"), rate_hz, "m")
    inputs = NetworkInputs(extractor, framing, normalise, None)
    return HiddenStates(network, inputs, framing, layer, "cpu", window_s=window_s)


@pytest.mark.parametrize("name", NAMES)
def test_laws_of_an_audio_tokenizer(name, fitted, clips):
    card = describe_audio_tokenizer(fitted(name))
    tokenizer = load_audio_tokenizer(fitted(name), threads=1)
    assert isinstance(tokenizer, AudioTokenizer)
    assert tokenizer.card == card
    assert (card.name, card.units, card.rate_hz) == (name, UNITS, 25.0)
    assert (card.blank, card.symbols, card.context_s) == (None, None, math.inf)
    assert card.max_clip_s == (2.0 if name == "whisper" else 30.0)
    found = tokenizer.frames(clips)
    for clip, frames in zip(clips, found, strict=True):
        assert frames.dtype == np.int16
        assert len(frames) == math.ceil(len(clip) / 640 - 0.5)
        assert frames.min() >= 0
        assert frames.max() < UNITS
    assert len(np.unique(np.concatenate(found))) > 3
    alone = [tokenizer.frames([clip])[0] for clip in reversed(clips)]
    assert all(map(np.array_equal, found, reversed(alone)))
    again = load_audio_tokenizer(fitted(name)).frames(clips)
    assert all(map(np.array_equal, found, again))


@pytest.mark.parametrize("name", NAMES)
def test_clips_that_cannot_be_heard_have_no_frames(name, fitted, clips):
    tokenizer = load_audio_tokenizer(fitted(name))
    broken = clips[0].copy()
    broken[100] = np.inf
    found = tokenizer.frames([clips[1], broken, np.zeros(0, np.float32), clips[1][:320], clips[1]])
    assert [len(frames) for frames in found[1:4]] == [0, 0, 0]
    assert np.array_equal(found[0], found[4])
    assert len(tokenizer.frames([clips[1][:321]])[0]) == 1
    assert len(tokenizer.frames([np.zeros(4_000, np.float32)])[0]) == 6
    assert tokenizer.frames([]) == []
    long = np.zeros(int(tokenizer.max_clip_s * 16_000) + 1, np.float32)
    with pytest.raises(ConfigError, match="clip 0: must be at most"):
        tokenizer.frames([long])


@pytest.mark.parametrize("name", NAMES)
def test_the_layers_that_follow_change_nothing(name, encoders, fitted, clips):
    """What is saved, cut off after the layer, hears what the whole encoder hears there."""
    saved = fitted(name) / "encoder"
    config = json.loads((saved / "config.json").read_text())
    assert config.get("num_hidden_layers", config.get("encoder_layers")) == 2
    whole = states_of(encoders(name), 1, None).of(clips)
    short = states_of(saved, 1, 2).of(clips)
    assert all(map(np.array_equal, whole, short))
    assert whole[0].std() > 0


@pytest.mark.parametrize(
    "name", ["wav2vec2-layer", "wav2vec2-group", "hubert", "wavlm", "w2v-bert"]
)
def test_hidden_states_are_those_of_transformers(name, encoders, clips):
    """Where nothing has to be padded, and each clip is scaled by itself, parity with the library."""
    model = transformers.AutoModel.from_pretrained(encoders(name)).eval()
    extractor = transformers.AutoFeatureExtractor.from_pretrained(encoders(name))
    early = 120 if name == "w2v-bert" else 40  # zeros that are put before the clip
    states = states_of(encoders(name), 1, None, normalise=UTTERANCE)
    clip = np.concatenate([np.zeros(early, np.float32), clips[0][: 320 * 40]])
    if name != "w2v-bert":
        clip = clip[early:]
        own = extractor(clip, sampling_rate=16_000, return_tensors="pt").input_values
        own = {"input_values": torch.nn.functional.pad(own, (early, 40))}
    else:
        padded = np.concatenate([clip, np.zeros(120, np.float32)])
        own = extractor(padded, sampling_rate=16_000, return_tensors="pt")
        clip = clip[early:]
    with torch.no_grad():
        wanted = model(**own, output_hidden_states=True).hidden_states[2][0].numpy()
    got = states.of([clip])[0]
    assert got.shape == wanted.shape == (40, 32)
    assert np.allclose(got, wanted, atol=2e-4)


def test_whisper_hears_one_column_later(encoders, clips):
    """Outputs are those of the library for a clip that begins 10 ms later, away from its ends."""
    model = transformers.AutoModel.from_pretrained(encoders("whisper")).eval()
    extractor = transformers.AutoFeatureExtractor.from_pretrained(encoders("whisper"))
    got = states_of(encoders("whisper"), 1, None).of([clips[0]])[0]
    own = extractor(clips[0][160:], sampling_rate=16_000, return_tensors="pt").input_features
    with torch.no_grad():
        wanted = model.encoder(own, output_hidden_states=True).hidden_states[2][0].numpy()
    with torch.no_grad():
        late = (
            model.encoder(
                extractor(clips[0], sampling_rate=16_000, return_tensors="pt").input_features,
                output_hidden_states=True,
            )
            .hidden_states[2][0]
            .numpy()
        )
    near, far = (np.abs(got[5:] - other[5 : len(got)]).mean() for other in (wanted, late))
    assert near < far / 5


@pytest.mark.parametrize("equalise", [True, False])
def test_units_are_the_nearest_centroids(equalise, fitted):
    folder = fitted("hubert", equalise=equalise)
    tensors = load_file(folder / "centroids.safetensors")
    assert ("state_mean" in tensors) == equalise
    mean, deviation = tensors.get("state_mean", 0.0), tensors.get("state_deviation", 1.0)
    states = (
        np.random.default_rng(0).standard_normal((50, 32)).astype(np.float32) * deviation + mean
    )
    scaled = ((states - mean) / deviation).astype(float)
    distances = ((scaled[:, None] - tensors["centroids"].astype(float)) ** 2).sum(2)
    found = load_audio_tokenizer(folder).nearest(states.astype(np.float32))
    assert found.tolist() == distances.argmin(1).tolist()


def test_a_state_of_whisper_is_scaled_by_its_place(fitted):
    tensors = load_file(fitted("whisper") / "centroids.safetensors")
    assert tensors["state_mean"].shape == (50, 32)
    assert tensors["state_mean"].std(axis=0).min() > 0
    states = tensors["centroids"] * tensors["state_deviation"] + tensors["state_mean"][:UNITS]
    assert load_audio_tokenizer(fitted("whisper")).nearest(states).tolist() == list(range(UNITS))


@pytest.mark.parametrize("window_s", [1.0, None])
def test_whisper_hears_a_clip_in_a_window_as_long(window_s, fitted, encoders, clips, tmp_path):
    """Folders that were fitted before that keep to the whole window."""
    folder = shutil.copytree(fitted("whisper"), tmp_path / "units")
    stated = json.loads((folder / "tokenizer.json").read_text())
    if window_s is None:
        del stated["window_s"]
        (folder / "tokenizer.json").write_text(json.dumps(stated))
    tokenizer = load_audio_tokenizer(folder)
    found = tokenizer.frames(clips)
    own, other = (
        states_of(encoders("whisper"), stated["layer"], None, 25.0, window_s=one).of(clips)
        for one in (window_s, None if window_s else 1.0)
    )
    wanted = [tokenizer.nearest(states).tolist() for states in own]
    assert [units.tolist() for units in found] == wanted
    assert wanted != [tokenizer.nearest(states).tolist() for states in other]


def test_ties_go_to_the_lowest(fitted, tmp_path, clips):
    folder = shutil.copytree(fitted("hubert"), tmp_path / "twins")
    tensors = load_file(folder / "centroids.safetensors")
    tensors["centroids"][6:] = tensors["centroids"][:6]
    save_file(tensors, folder / "centroids.safetensors")
    found = np.concatenate(load_audio_tokenizer(folder).frames(clips))
    assert found.max() < 6


@pytest.mark.parametrize("name", ["wav2vec2-layer", "w2v-bert"])
def test_the_scale_is_the_same_for_every_clip(name, fitted, clips):
    """A quiet stretch does not become loud because its clip is quiet."""
    fixed = load_audio_tokenizer(fitted(name))._states._inputs
    own = load_audio_tokenizer(fitted(name, normalise="utterance"))._states._inputs
    for inputs, moves in ((fixed, True), (own, False)):
        plain, quiet = (inputs.tensor(scale * clips[0]).numpy() for scale in (1.0, 0.2))
        assert (np.abs(plain - quiet).mean() > 0.1) == moves
    scaled = fixed.tensor(clips[0]).numpy()
    assert 0.2 < scaled.std() < 5
    said = json.loads((fitted(name) / "tokenizer.json").read_text())
    assert said["normalise"] == "fixed"


def test_whisper_is_not_scaled(fitted):
    assert json.loads((fitted("whisper") / "tokenizer.json").read_text())["normalise"] == "none"
    assert "input_mean" not in load_file(fitted("whisper") / "centroids.safetensors")


@pytest.mark.parametrize("name", ["wav2vec2-layer", "w2v-bert"])
def test_the_same_speech_gives_the_same_folder(name, fitted, encoders, clips, tmp_path):
    fit = KMeansFit(encoder=str(encoders(name)), units=UNITS, name=name)
    card = fit_kmeans_tokenizer(fit, iter(clips), tmp_path / "again", seed=0, threads=1)
    assert card == describe_audio_tokenizer(fitted(name))
    other = fit_kmeans_tokenizer(fit, iter(clips), tmp_path / "other", seed=1, threads=1)
    assert other.fingerprint != card.fingerprint
    assert sorted(p.name for p in tmp_path.iterdir()) == ["again", "other"]
    said = json.loads((tmp_path / "again" / "tokenizer.json").read_text())["fitted"]
    assert said["frames"] == sum(math.ceil(len(clip) / 640 - 0.5) for clip in clips)
    assert said["seconds"] == pytest.approx(5.31)


def test_a_copy_elsewhere_is_the_same_tokenizer(fitted, tmp_path):
    copy = shutil.copytree(fitted("hubert"), tmp_path / "model" / "audio_tokenizer")
    assert describe_audio_tokenizer(copy) == describe_audio_tokenizer(fitted("hubert"))


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"rate_hz": 30.0}, ConfigError, "rate_hz must divide the encoder's 50 Hz"),
        ({"rate_hz": 0.0}, ConfigError, "rate_hz must be above 0"),
        ({"layer": 3}, ConfigError, r"layer: must be 0 to 2, or -1"),
        ({"units": 40_000}, ConfigError, "units: must be 2 to 32767"),
        ({"normalise": "all"}, ConfigError, "normalise: must be fixed or utterance"),
        ({"units": 1_000}, InputError, "at least 1000 frames for 1000 units"),
        ({"encoder": "/nowhere/at/all"}, CheckpointError, "must be a model folder that exists"),
    ],
)
def test_a_fit_that_cannot_be_leaves_nothing(settings, error, said, encoders, clips, tmp_path):
    fit = KMeansFit(**{"encoder": str(encoders("hubert")), "units": UNITS, **settings})
    with pytest.raises(error, match=said):
        fit_kmeans_tokenizer(fit, clips, tmp_path / "made", seed=0)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_left_alone(encoders, clips, tmp_path):
    fit = KMeansFit(encoder=str(encoders("hubert")), units=UNITS)
    with pytest.raises(ConfigError, match="must not exist yet"):
        fit_kmeans_tokenizer(fit, clips, tmp_path, seed=0)


def test_silence_alone_has_no_level(encoders, tmp_path):
    fit = KMeansFit(encoder=str(encoders("wav2vec2-layer")), units=2)
    with pytest.raises(InputError, match="at least one must have sound in it"):
        fit_kmeans_tokenizer(fit, [np.zeros(16_000, np.float32)], tmp_path / "made", seed=0)


def test_a_gpu_that_is_not_there(fitted):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(CapacityError, match="device cuda: a GPU must be there"):
        load_audio_tokenizer(fitted("hubert"), device="cuda")
    with pytest.raises(ConfigError, match="device: must be one of"):
        load_audio_tokenizer(fitted("hubert"), device="tpu")


def test_the_licence_is_that_of_the_encoder(fitted, encoders, clips, tmp_path):
    assert describe_audio_tokenizer(fitted("hubert")).licence == "unknown"
    encoder = tmp_path / "encoder"
    shutil.copytree(encoders("hubert"), encoder)
    (encoder / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n# An encoder\n")
    fit = KMeansFit(encoder=str(encoder), units=UNITS, name="hubert")
    fit_kmeans_tokenizer(fit, clips, tmp_path / "units", seed=0, threads=1)
    stated = describe_audio_tokenizer(tmp_path / "units")
    assert stated.licence == "cc-by-nc-4.0"
    assert stated.fingerprint == describe_audio_tokenizer(fitted("hubert")).fingerprint
