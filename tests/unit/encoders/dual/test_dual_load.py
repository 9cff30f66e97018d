"""A dual encoder's folder by :func:`encoders.load_encoder`, whole and spoiled."""

import json
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from encoders import ModelRef, describe_encoder, load_encoder
from encoders.audio_tokens.load import describe_audio_tokenizer
from encoders.checkpoint import DUAL, TRANSFORMERS, layout_of
from encoders.dual.create import backbone_folder, create_dual_encoder
from encoders.load import audio_tokenizer_of
from mining.contract.errors import CheckpointError, ConfigError


@pytest.fixture(scope="module")
def saved(backbone, kmeans, config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dual") / "saved"
    wanted = config(languages=("deu", "eng"), licence="apache-2.0")
    create_dual_encoder(backbone("qwen"), kmeans, wanted, seed=3).save_pretrained(folder)
    return folder


@pytest.fixture
def own(saved, tmp_path):
    """A model folder that a test may spoil."""
    return shutil.copytree(saved, tmp_path / "own")


@pytest.fixture(scope="module")
def deaf(backbone, config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dual") / "deaf"
    create_dual_encoder(backbone("bert"), None, config(), seed=3).save_pretrained(folder)
    return folder


def test_describing_imports_no_torch(deaf):
    code = (
        "import sys; import encoders; card = encoders.describe_encoder(sys.argv[1]); "
        "print(card.dim, 'torch' in sys.modules, 'transformers' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(deaf)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["24", "False", "False"]


def test_description_is_that_of_the_loaded_encoder(saved, deaf, kmeans):
    card, encoder = describe_encoder(str(saved)), load_encoder(str(saved))
    assert encoder.card == card
    assert (card.name, card.dim, card.licence) == ("tiny", 24, "apache-2.0")
    assert card.languages == ("deu", "eng")
    assert card.modalities == {"text", "speech"}
    assert card.audio_tokenizer == describe_audio_tokenizer(kmeans)
    assert encoder.audio_tokenizer_folder == saved / "audio_tokenizer"
    assert audio_tokenizer_of(ModelRef(path=str(saved))) == saved / "audio_tokenizer"
    card = describe_encoder(str(deaf))
    assert card.modalities == {"text"}
    assert card.audio_tokenizer is None


@pytest.mark.parametrize("name", ["deaf", "bert"])
def test_no_audio_tokenizer(name, request):
    ref = ModelRef(path=str(request.getfixturevalue(name)))
    with pytest.raises(CheckpointError, match="must have an audio tokenizer"):
        audio_tokenizer_of(ref)
    with pytest.raises(CheckpointError, match="must be builtin"):
        audio_tokenizer_of(ModelRef(path="./no/such"))


def test_layout(saved, tmp_path):
    assert layout_of(saved) == DUAL
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "dual_encoder.json").write_text('{"space": "s"}')
    assert layout_of(tmp_path) == TRANSFORMERS


def test_fingerprint_covers_contents_and_settings(own):
    def card(**settings):
        return describe_encoder(ModelRef(path=str(own), **settings))

    same = card()
    settings = [{"max_tokens": 40}, {"dtype": "float16"}, {"batch_tokens": 64}, {"space": "s"}]
    prints = {same.fingerprint, *(card(**chosen).fingerprint for chosen in settings)}
    assert card(space="s").space == "s"
    assert card(max_tokens=40).space == same.space
    (own / "calibration.json").write_text("{}")
    assert card() == same
    files = ["model.safetensors", "tokenizer.json", "config.json", "2_Dense/model.safetensors",
             "dual_encoder.json", "audio_tokenizer/encoder/model.safetensors",
             "audio_tokenizer/tokenizer.json"]  # fmt: skip
    for name in files:
        data = (own / name).read_bytes()
        is_json = name.endswith(".json")
        (own / name).write_bytes(data + b" " if is_json else data[:-1] + bytes([data[-1] ^ 1]))
        prints.add(card().fingerprint)
        assert card().space != same.space
        (own / name).write_bytes(data)
    assert len(prints) == 1 + len(settings) + len(files)


def test_space_that_the_folder_declares(own):
    values = json.loads((own / "dual_encoder.json").read_text())
    (own / "dual_encoder.json").write_text(json.dumps(values | {"space": "declared"}))
    assert load_encoder(str(own)).space == "declared"
    assert load_encoder(str(own), space="told").space == "told"


@pytest.mark.parametrize(
    "setting", [{"prefix": "q: "}, {"pooling": "cls"}, {"padding_side": "left"}, {"ids": "x"},
                {"revision": "main"}]
)  # fmt: skip
def test_setting_that_would_do_nothing(setting, saved):
    (name,) = setting
    for call in (
        load_encoder,
        describe_encoder,
    ):
        with pytest.raises(ConfigError, match=rf"model\.{name}: must be left out"):
            call(ModelRef(path=str(saved), **setting))


def test_hub_name(saved, tmp_path, monkeypatch):
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "hub" / "models--org--dual"
    shutil.copytree(saved, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    card = describe_encoder("org/dual")
    assert load_encoder("org/dual").card == card
    snapshot = repository / "snapshots" / commit
    assert audio_tokenizer_of(ModelRef(path="org/dual")) == snapshot / "audio_tokenizer"
    for path in (snapshot / "model.safetensors", snapshot / "2_Dense" / "model.safetensors"):
        path.unlink()
    assert describe_encoder("org/dual") == card  # needs no weights but the audio tokenizer's


def cut(path):
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def fewer_rows(folder):
    tensors = load_file(folder / "model.safetensors")
    tensors["embed_tokens.weight"] = tensors["embed_tokens.weight"][:-1].clone()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    edit(folder / "config.json", vocab_size=len(tensors["embed_tokens.weight"]))


def narrow_projection(folder):
    path = folder / "2_Dense" / "model.safetensors"
    tensors = load_file(path)
    tensors["linear.weight"] = tensors["linear.weight"][:, :-1].contiguous()
    save_file(tensors, path)


def lack_a_tensor(folder):
    tensors = load_file(folder / "model.safetensors")
    del tensors["layers.1.self_attn.q_proj.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def only_a_pickle(folder):
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def other_tokenizer(folder):
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    tokenizer["model"]["vocab"]["new"] = 80  # a row of audio
    path.write_text(json.dumps(tokenizer))


def no_tokenizer(folder):
    for path in folder.glob("tokenizer*"):
        path.unlink()


SPOILS = {
    "weights cut short": (lambda f: cut(f / "model.safetensors"), "own: "),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "own: "),
    "a pickle": (only_a_pickle, "a pickle"),
    "a tensor gone": (lack_a_tensor, r"lack .*layers\.1\.self_attn\.q_proj"),
    "config of another shape": (lambda f: edit(f / "config.json", hidden_size=40), "own: "),
    "config of another depth": (
        lambda f: edit(f / "config.json", num_hidden_layers=1, layer_types=["full_attention"]),
        r"hold layers\.1\.",
    ),
    "config that contradicts itself": (
        lambda f: edit(f / "config.json", num_hidden_layers=1),
        "must be a config of transformers",
    ),
    "config cut short": (lambda f: cut(f / "config.json"), "own"),
    "settings cut short": (lambda f: cut(f / "dual_encoder.json"), "must be JSON"),
    "rows missing": (fewer_rows, r"must have \d+ rows of text and 12 of audio.*has"),
    "rows stated wrongly": (
        lambda f: edit(f / "dual_encoder.json", text_rows=5),
        "must have 5 rows of text and 12 of audio",
    ),
    "a wider vector": (lambda f: edit(f / "dual_encoder.json", dim=25), r"2_Dense.*must hold"),
    "no projection stated": (
        lambda f: edit(f / "dual_encoder.json", projection=False),
        "vectors must be 24 wide",
    ),
    "projection gone": (
        lambda f: (f / "2_Dense" / "model.safetensors").unlink(),
        r"must hold the projection",
    ),
    "projection cut short": (lambda f: cut(f / "2_Dense" / "model.safetensors"), "own: "),
    "projection of another shape": (narrow_projection, r"must hold tensors of the shapes"),
    "audio tokenizer gone": (
        lambda f: shutil.rmtree(f / "audio_tokenizer"),
        r"audio_tokenizer: must hold the audio tokenizer of 'tiny', but is missing",
    ),
    "audio tokenizer cut short": (
        lambda f: cut(f / "audio_tokenizer" / "centroids.safetensors"),
        "centroids",
    ),
    "another number of units": (
        lambda f: edit(f / "dual_encoder.json", audio_units=11),
        "must have the 11 units",
    ),
    "clusters that should spell": (
        lambda f: edit(f / "dual_encoder.json", tie="spelling"),
        "must spell its units",
    ),
    "too long": (lambda f: edit(f / "dual_encoder.json", max_tokens=513), "max_tokens must be at"),
    "another tower": (lambda f: edit(f / "dual_encoder.json", tower="babel"), "tower must be"),
    "another tokenizer": (other_tokenizer, "tokenizer and weights are of different models"),
    "no end token to append": (
        lambda f: edit(f / "dual_encoder.json", append_end=True),
        "must have an end token",
    ),
    "no tokenizer": (no_tokenizer, "own: "),
}


@pytest.mark.parametrize("spoil", SPOILS)
def test_damaged_folder_is_one_clear_line(spoil, own):
    load_encoder(str(own))
    damage, reason = SPOILS[spoil]
    damage(own)
    with pytest.raises(CheckpointError, match=reason) as caught:
        load_encoder(str(own))
    assert str(own) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_backbone_that_is_none(tmp_path, kmeans, config):
    with pytest.raises(CheckpointError, match="must be a model folder that exists"):
        backbone_folder("./no/such/backbone", None)
    with pytest.raises(CheckpointError, match="cannot be fetched"):
        create_dual_encoder("no-such-org/model", None, config(), seed=0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="does not load"):
        create_dual_encoder(tmp_path / "empty", kmeans, config(), seed=0)
    with pytest.raises(CheckpointError):
        create_dual_encoder(tmp_path / "empty", tmp_path / "empty", config(), seed=0)
