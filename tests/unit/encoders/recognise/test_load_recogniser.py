import dataclasses
import json
import shutil
import subprocess
import sys

import pytest

from encoders.recognise import RecogniserRef, describe_recogniser, load_recogniser
from mining.contract.errors import CapacityError, CheckpointError, ConfigError
from mining.contract.speech import Recogniser


@pytest.fixture
def own_whisper(tmp_path, tiny_whisper):
    """A folder that a test may spoil."""
    return shutil.copytree(tiny_whisper, tmp_path / "own")


@pytest.mark.parametrize("kind", ["tiny_whisper", "untimed_whisper", "wav2vec2", "converted"])
def test_card_and_recogniser_agree(kind, request):
    folder = request.getfixturevalue(kind)
    card = describe_recogniser(str(folder), device="cpu")
    recogniser = load_recogniser(RecogniserRef(path=str(folder), max_tokens=12), device="cpu")
    assert isinstance(recogniser, Recogniser)
    for fact in ("name", "languages", "times_words", "max_clip_s"):
        assert getattr(recogniser, fact) == getattr(card, fact)
    assert card.times_words == (kind != "untimed_whisper")
    assert card.tells_language == (kind != "wav2vec2")
    assert card.licence == "unknown"


def test_fingerprint_is_the_loaded_one_and_hangs_on_settings_and_weights(own_whisper, converted):
    for folder, weights in ((own_whisper, "model.safetensors"), (converted, "model.bin")):
        ref = RecogniserRef(path=str(folder), max_tokens=12)
        first = describe_recogniser(ref, device="cpu").fingerprint
        assert load_recogniser(ref, device="cpu").fingerprint == first
        for change in ({"max_tokens": 13}, {"batch_clips": 2}, {"dtype": "float32"}):
            other = dataclasses.replace(ref, **change)
            assert describe_recogniser(other, device="cpu").fingerprint != first
        content = bytearray((folder / weights).read_bytes())
        content[-1] ^= 1
        copy = folder.parent / f"{folder.name}-flipped"
        shutil.copytree(folder, copy)
        (copy / weights).write_bytes(bytes(content))
        flipped = describe_recogniser(dataclasses.replace(ref, path=str(copy)), device="cpu")
        assert flipped.fingerprint != first


def test_describing_loads_no_network(tiny_whisper):
    code = (
        "import sys; from encoders.recognise import describe_recogniser; "
        f"describe_recogniser({str(tiny_whisper)!r}, device='cpu'); "
        "print([m for m in ('transformers', 'ctranslate2', 'faster_whisper') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_pickles_are_refused(own_whisper):
    (own_whisper / "model.safetensors").rename(own_whisper / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="pickle"):
        load_recogniser(str(own_whisper), device="cpu")


@pytest.mark.parametrize(
    "name", ["tokenizer.json", "preprocessor_config.json", "model.safetensors", "config.json"]
)
def test_missing_file_is_told(own_whisper, name):
    (own_whisper / name).unlink()
    with pytest.raises(CheckpointError) as caught:
        load_recogniser(str(own_whisper), device="cpu")
    assert "\n" not in str(caught.value)
    assert str(own_whisper) in str(caught.value)


def test_missing_weights_are_refused(own_whisper):
    from safetensors.torch import load_file, save_file

    tensors = load_file(own_whisper / "model.safetensors")
    del tensors["model.encoder.conv1.weight"]
    save_file(tensors, own_whisper / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"lack model\.encoder\.conv1\.weight"):
        load_recogniser(RecogniserRef(path=str(own_whisper), max_tokens=12), device="cpu")


def test_text_model_is_no_recogniser(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(CheckpointError, match="must be a recogniser"):
        describe_recogniser(str(tmp_path))


def test_damaged_model_bin_is_one_line(tmp_path, converted):
    folder = shutil.copytree(converted, tmp_path / "cut")
    (folder / "model.bin").write_bytes((folder / "model.bin").read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="must be a model that CTranslate2 loads") as caught:
        load_recogniser(str(folder), device="cpu")
    assert "\n" not in str(caught.value)


def test_absent_folder_and_hub_name(tmp_path):
    with pytest.raises(CheckpointError, match="is neither"):
        load_recogniser(str(tmp_path / "none"))
    with pytest.raises(CheckpointError, match="cannot be fetched"):
        load_recogniser("nobody/no-such-recogniser")


def test_absent_package_is_told(converted, monkeypatch):
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    with pytest.raises(CheckpointError, match=r"\[whisper\]"):
        describe_recogniser(str(converted))


def test_empty_name_and_too_many_tokens(tiny_whisper):
    with pytest.raises(ConfigError, match="path"):
        load_recogniser(" ")
    with pytest.raises(ConfigError, match="max_tokens: must be at most 60"):
        load_recogniser(RecogniserRef(path=str(tiny_whisper), max_tokens=61), device="cpu")


def test_devices_and_formats(tiny_whisper, converted):
    import torch

    with pytest.raises(ConfigError, match="device"):
        load_recogniser(str(tiny_whisper), device="tpu")
    with pytest.raises(ConfigError, match="int8"):
        load_recogniser(RecogniserRef(path=str(tiny_whisper), dtype="int8"), device="cpu")
    with pytest.raises(ConfigError, match="bfloat16"):
        load_recogniser(RecogniserRef(path=str(converted), dtype="bfloat16"), device="cpu")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    for folder in (tiny_whisper, converted):
        with pytest.raises(CapacityError, match="GPU"):
            load_recogniser(str(folder), device="cuda")
    with pytest.raises(CapacityError, match="float16"):
        load_recogniser(RecogniserRef(path=str(converted), dtype="float16"), device="cpu")


def test_files_of_two_models_are_refused(own_whisper):
    path = own_whisper / "preprocessor_config.json"
    path.write_text(path.read_text().replace('"chunk_length": 2', '"chunk_length": 30'))
    with pytest.raises(CheckpointError, match="sizes differ"):
        load_recogniser(RecogniserRef(path=str(own_whisper), max_tokens=12), device="cpu")
