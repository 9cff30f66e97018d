"""The model against plain transformers and sentence-transformers, item by item and by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch.nn import functional
from transformers import AutoModel, AutoModelForTextEncoding, AutoTokenizer
from transformers.models.m2m_100.modeling_m2m_100 import M2M100Encoder

from encoders.dual.create import create_dual_encoder
from encoders.dual.items import Spoken, Written
from encoders.dual.lora import LoraSettings
from encoders.dual.model import DualEncoder
from mining.contract.errors import CheckpointError, ConfigError

BACKBONES = ["bert", "roberta", "qwen", "gemma3", "llama", "t5", "mt5", "m2m100"]
WITH_NLLB = [*BACKBONES, "sonar"]  # M2M100Encoder and an NLLB tokenizer
CLASSES = {"t5": AutoModelForTextEncoding, "mt5": AutoModelForTextEncoding, "m2m100": M2M100Encoder}
NAMES = {"eng": "English", "deu": "German", "fra": "French"}


@pytest.fixture
def made(backbone, kmeans, config):
    def build(name, tokenizer=kmeans, seed=3, **changes):
        wanted = {"max_tokens": 38 if name == "roberta" else 60} | changes
        return create_dual_encoder(backbone(name), tokenizer, config(**wanted), seed=seed)

    return build


def vectors(model, items):
    with torch.inference_mode():
        return model(items)


def by_hand(folder, plain, item, pooling):
    """A vector out of the files of a folder: ids by the tokenizer, one row, no padding."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    prefix = f"[{NAMES[item.lang]} {'Text' if isinstance(item, Written) else 'Speech'}]"
    text_rows = plain.get_input_embeddings().weight.shape[0] - 12
    if isinstance(item, Written):
        ids = tokenizer(f"{prefix} {item.text}").input_ids
    else:
        ids, last = tokenizer(prefix).input_ids, []
        if ids[-1] == 3:  # the end token, which stays behind the audio
            ids, last = ids[:-1], [3]
        units = np.concatenate([r[np.r_[True, r[1:] != r[:-1]]] for r in item.regions if len(r)])
        ids = [*ids, *(units + text_rows).tolist(), *last]
    if pooling == "last_token" and ids[-1] != 3:
        ids = [*ids, 3]
    with torch.inference_mode():
        hidden = plain(input_ids=torch.tensor([ids])).last_hidden_state[0]
        vector = {"mean": hidden.mean(0), "cls": hidden[0], "last_token": hidden[-1]}[pooling]
        path = folder / "2_Dense" / "model.safetensors"
        if path.is_file():
            weights = load_file(path)
            vector = functional.linear(vector, weights["linear.weight"], weights["linear.bias"])
    return functional.normalize(vector, dim=0)


@pytest.mark.parametrize("pooling", ["mean", "last_token"])
@pytest.mark.parametrize("name", BACKBONES)
def test_vectors_are_those_of_plain_transformers(name, pooling, made, items, tmp_path):
    model = made(name, pooling=pooling, dim=24 if pooling == "mean" else None)
    model.save_pretrained(tmp_path / "saved")
    plain, info = CLASSES.get(name, AutoModel).from_pretrained(
        tmp_path / "saved", output_loading_info=True
    )
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert plain.get_input_embeddings().weight.shape[0] == plain.config.vocab_size
    short = [item for item in items if model.lengths([item])[0] <= model.max_tokens]
    assert {type(item) for item in short} == {Written, Spoken}
    assert len(short) >= 4
    wanted = torch.stack([by_hand(tmp_path / "saved", plain, item, pooling) for item in short])
    assert torch.allclose(vectors(model, short), wanted, atol=2e-6)


@pytest.mark.parametrize("name", BACKBONES)
def test_text_is_the_backbones_own(name, made, backbone, write, tmp_path):
    """Extending the vocabulary changes nothing of text: the untouched backbone, straight."""
    model = made(name, dim=None, prefix="")
    plain = CLASSES.get(name, AutoModel)
    network = (
        AutoModel.from_pretrained(backbone(name)).get_encoder()
        if name == "m2m100"
        else plain.from_pretrained(backbone(name))
    )
    tokenizer = AutoTokenizer.from_pretrained(backbone(name))
    texts = ["The ferry leaves.", "ok"]
    with torch.inference_mode():
        for text in texts:
            hidden = network(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
            wanted = functional.normalize(hidden.mean(0), dim=0)
            assert torch.allclose(vectors(model, [write(text)])[0], wanted, atol=2e-6)


@pytest.mark.parametrize(
    ("name", "pooling", "dim"),
    [
        *((name, "mean", 24) for name in BACKBONES if name != "m2m100"),
        *((name, "last_token", 24) for name in ("bert", "qwen", "llama")),
        ("bert", "cls", None),
        ("gemma3", "cls", None),
    ],
)
def test_sentence_transformers_embeds_text_alike(name, pooling, dim, made, tmp_path):
    from sentence_transformers import SentenceTransformer

    model = made(name, pooling=pooling, dim=dim, languages=("deu", "eng"))
    model.save_pretrained(tmp_path / "saved")
    native = (tmp_path / "saved" / "modules.json").is_file()
    assert native == (not model.config.append_end)
    assert model.config.append_end == ((name, pooling) == ("llama", "last_token"))
    if not native:
        return
    texts = ["The ferry leaves at seven.", "ok", "a long sentence " * 5]
    other = SentenceTransformer(str(tmp_path / "saved"), device="cpu", local_files_only=True)
    found = other.encode(texts, prompt_name="deu", convert_to_tensor=True)
    wanted = vectors(model, [Written(text=text, lang="deu") for text in texts])
    assert torch.allclose(found, wanted, atol=2e-6)


def test_encoder_taken_out_of_a_translator_is_not_called_native(made, tmp_path):
    made("m2m100").save_pretrained(tmp_path / "saved")
    assert not (tmp_path / "saved" / "modules.json").exists()


ONE_OF_EACH = ["bert", "llama", "t5", "m2m100"]


@pytest.mark.parametrize(
    ("name", "tie", "hears"),
    [
        *((name, "own", True) for name in WITH_NLLB),
        *((name, "spelling", True) for name in ONE_OF_EACH),
        *((name, "own", False) for name in ONE_OF_EACH),
    ],
)
def test_saved_and_loaded_gives_the_same_vectors(name, tie, hears, made, ctc, items, tmp_path):
    model = made(name, tokenizer=ctc if hears else None, tie=tie, languages=("eng",), space="s")
    rows = model.tower.backbone.get_input_embeddings()
    assert model.config.audio_rows == (11 if tie == "own" and hears else 0)
    assert hasattr(rows, "audio") == bool(model.config.audio_rows)
    if not hears:
        items = [item for item in items if isinstance(item, Written)]
    items = [
        Spoken(regions=tuple(r % 11 for r in item.regions), lang=item.lang)
        if isinstance(item, Spoken)
        else item
        for item in items
    ]
    before = vectors(model, items)
    model.save_pretrained(tmp_path / "saved")
    loaded = DualEncoder.from_pretrained(tmp_path / "saved")
    assert torch.equal(vectors(loaded, items), before)
    assert loaded.config == model.config
    assert loaded.units == model.units
    assert loaded.dim == before.shape[1] == 24
    assert before.dtype == torch.float32
    assert torch.allclose(before.norm(dim=1), torch.ones(len(items)))
    loaded.save_pretrained(tmp_path / "again")
    files = sorted(p.relative_to(tmp_path / "saved") for p in (tmp_path / "saved").rglob("*"))
    assert files == sorted(
        p.relative_to(tmp_path / "again") for p in (tmp_path / "again").rglob("*")
    )
    for path in files:
        if (tmp_path / "saved" / path).is_file():
            same = (tmp_path / "saved" / path).read_bytes() == (
                tmp_path / "again" / path
            ).read_bytes()
            assert same, path


def test_spelled_speech_is_read_as_text(made, ctc, speak, write):
    model = made("bert", tokenizer=ctc, tie="spelling", prefix="")
    # <pad> <unk> | a b c ...: "ab c"
    heard = speak([3, 3, 0, 4, 2], [5])
    assert torch.equal(vectors(model, [heard]), vectors(model, [write("ab c")]))


@pytest.mark.parametrize("name", ["bert", "gemma3", "t5"])
def test_same_seed_same_bytes(name, made, items):
    one, same, other = made(name, seed=3), made(name, seed=3), made(name, seed=4)
    assert torch.equal(vectors(one, items), vectors(same, items))
    for part in ("audio", "projection"):
        assert not torch.equal(one.parts()[part][0], other.parts()[part][0])
    assert all(map(torch.equal, one.parts()["text"], other.parts()["text"]))


def test_creating_leaves_the_generator_alone(made):
    torch.manual_seed(1)
    wanted = torch.rand(3)
    torch.manual_seed(1)
    made("bert")
    assert torch.equal(torch.rand(3), wanted)


@pytest.mark.parametrize("name", WITH_NLLB)
def test_parts_are_disjoint_and_all(name, made):
    model = made(name)
    model.add_lora(LoraSettings(rank=2))
    parts = model.parts()
    assert list(parts) == ["text", "audio", "projection", "lora"]
    assert [len(parts[part]) for part in ("audio", "projection")] == [1, 2]
    everything = [id(weight) for group in parts.values() for weight in group]
    assert len(everything) == len(set(everything))
    assert set(everything) == {id(weight) for weight in model.parameters()}
    assert all(weight.requires_grad for weight in model.parameters())


def test_parts_of_a_model_without_them(made):
    parts = made("bert", tokenizer=None, dim=None).parts()
    assert parts["audio"] == parts["projection"] == []
    assert "lora" not in parts


@pytest.mark.parametrize("name", WITH_NLLB)
def test_only_what_learns_changes(name, made, items, tmp_path):
    model = made(name)
    parts = model.parts()
    for weight in parts["text"]:
        weight.requires_grad_(False)
    before = {key: [w.detach().clone() for w in group] for key, group in parts.items()}
    learns = [*parts["audio"], *parts["projection"]]
    optimiser = torch.optim.AdamW(learns, lr=0.1, weight_decay=0.1)
    found = model(items)
    (found @ found.detach().roll(1, 0).T).logsumexp(1).sum().backward()
    optimiser.step()
    for key, group in parts.items():
        changed = [not torch.equal(a, b) for a, b in zip(group, before[key], strict=True)]
        assert set(changed) == {key != "text"}
    model.save_pretrained(tmp_path / "saved")
    loaded = DualEncoder.from_pretrained(tmp_path / "saved").parts()
    assert all(map(torch.equal, loaded["text"], before["text"]))
    assert torch.equal(loaded["audio"][0], parts["audio"][0])


@pytest.mark.parametrize("name", WITH_NLLB)
def test_adapters_are_merged_when_saved_and_stay(name, made, items, tmp_path):
    model = made(name)
    plain = vectors(model, items)
    torch.manual_seed(0)
    model.add_lora(LoraSettings(rank=3, alpha=6.5, targets="all-linear"))
    assert torch.equal(vectors(model, items), plain)  # an adapter begins as nothing
    with torch.no_grad():
        for weight in model.parts()["lora"]:
            weight.add_(torch.randn_like(weight) * 0.1)
    adapted = vectors(model, items)
    assert (adapted - plain).abs().max() > 0.01
    model.save_pretrained(tmp_path / "saved")
    assert torch.equal(vectors(model, items), adapted)  # saving in the middle disturbs nothing
    loaded = DualEncoder.from_pretrained(tmp_path / "saved")
    assert torch.allclose(vectors(loaded, items), adapted, atol=5e-6)
    assert "lora" not in loaded.parts()


def test_adapters_on_named_layers_only(made):
    model = made("qwen")
    model.add_lora(LoraSettings(rank=2, targets=("q_proj", "v_proj")))
    assert len(model.parts()["lora"]) == 2 * 2 * 2  # layers, targets, A and B
    with pytest.raises(ConfigError, match="has adapters already"):
        model.add_lora(LoraSettings())
    with pytest.raises(ConfigError, match=r"lora\.targets.*'no_such_layer'"):
        made("bert").add_lora(LoraSettings(targets=("no_such_layer",)))


@pytest.fixture(scope="module")
def ready(backbone, kmeans, config):
    return [
        create_dual_encoder(backbone(name), kmeans, config(), seed=3)
        for name in ("bert", "qwen", "t5")
    ]


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_vectors_do_not_depend_on_the_neighbours(data, ready, items):
    model = data.draw(st.sampled_from(ready))
    places = data.draw(st.lists(st.integers(0, len(items) - 1), min_size=1, max_size=6))
    tokens = data.draw(st.none() | st.sampled_from([60, 64]))
    with torch.inference_mode():
        found = model([items[place] for place in places], tokens)
    alone = torch.cat([vectors(model, [items[place]]) for place in places])
    assert torch.allclose(found, alone, atol=2e-6)


def test_low_precision_gives_float32_unit_vectors(made, items, tmp_path):
    made("gemma3").save_pretrained(tmp_path / "saved")
    exact = DualEncoder.from_pretrained(tmp_path / "saved")
    rough = DualEncoder.from_pretrained(tmp_path / "saved", dtype="bfloat16")
    assert {weight.dtype for weight in rough.parameters()} == {torch.bfloat16}
    found = vectors(rough, items)
    assert found.dtype == torch.float32
    assert torch.allclose(found.norm(dim=1), torch.ones(len(items)))
    assert (found * vectors(exact, items)).sum(1).min() > 0.98


def test_nothing_to_embed_is_refused(made, write, speak):
    model = made("bert")
    for call in (model, model.lengths):
        with pytest.raises(ValueError, match=r"items\[1\].*has no audio tokens"):
            call([write("a"), speak([], [])])
    with pytest.raises(ValueError, match="at least one"):
        model([])
    with pytest.raises(ValueError, match="does not hear"):
        made("bert", tokenizer=None)([speak([1])])


def test_limit_is_not_saved(made, write, tmp_path):
    model = made("bert")
    model.limit_tokens(20)
    assert model.max_tokens == 20
    model.save_pretrained(tmp_path / "saved")
    assert DualEncoder.from_pretrained(tmp_path / "saved").max_tokens == 60
    model.limit_tokens(10**6)
    assert model.max_tokens == 20
    with pytest.raises(ConfigError, match="max_tokens: must leave room"):
        model.limit_tokens(18)


def test_length_is_at_most_what_the_backbone_has_positions_for(made):
    assert made("bert", max_tokens=10**6).max_tokens == 64
    assert made("roberta", max_tokens=10**6).max_tokens == 40


def test_prefix_must_leave_room(made):
    with pytest.raises(ConfigError, match="max_tokens: must leave room"):
        made("bert", max_tokens=18)


def test_clusters_have_no_spelling(made):
    with pytest.raises(ConfigError, match="'clusters', whose units have no spelling"):
        made("bert", tie="spelling")


def test_saving_replaces_a_model_and_nothing_else(made, tmp_path):
    model = made("bert")
    other = tmp_path / "letters"
    other.mkdir()
    (other / "dear.txt").write_text("x")
    with pytest.raises(ConfigError, match="holds something else"):
        model.save_pretrained(other)
    assert [path.name for path in other.iterdir()] == ["dear.txt"]
    model.save_pretrained(tmp_path / "a" / "b")
    (tmp_path / "a" / "b" / "calibration.json").write_text("{}")
    model.named(name="second", space=None, languages=("eng",))
    model.save_pretrained(tmp_path / "a" / "b")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]
    assert not (tmp_path / "a" / "b" / "calibration.json").exists()
    assert DualEncoder.from_pretrained(tmp_path / "a" / "b").config.name == "second"


def test_failing_in_the_middle_leaves_the_old_model(made, tmp_path, monkeypatch, items):
    model = made("bert")
    model.save_pretrained(tmp_path / "m")
    before = vectors(model, items)
    model.audio_tokenizer_folder = tmp_path / "gone"
    with pytest.raises(CheckpointError, match="but is gone"):
        model.save_pretrained(tmp_path / "m")
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
    assert torch.equal(vectors(DualEncoder.from_pretrained(tmp_path / "m"), items), before)


def test_saving_over_the_folder_it_came_from(made, tmp_path, items):
    made("bert").save_pretrained(tmp_path / "m")
    model = DualEncoder.from_pretrained(tmp_path / "m")
    model.save_pretrained(tmp_path / "m")
    assert torch.equal(
        vectors(DualEncoder.from_pretrained(tmp_path / "m"), items), vectors(model, items)
    )
