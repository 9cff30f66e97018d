import json
import subprocess
import sys
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoders.dual.config import DualEncoderConfig, read_config, write_config
from mining.contract.errors import CheckpointError

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="{}"), min_size=1, max_size=8)
CONFIGS = st.builds(
    DualEncoderConfig,
    name=WORDS,
    dim=st.integers(1, 4096),
    space=st.none() | WORDS,
    languages=st.lists(st.sampled_from(["eng", "deu", "zho_Hant", "xyz"])).map(tuple),
    licence=WORDS,
    prefix=WORDS | st.sampled_from(["", "{modality}", "[{language} {modality}] ", "{{x}} "]),
    pooling=st.sampled_from(["mean", "cls", "last_token"]),
    max_tokens=st.integers(2, 10**6),
    tie=st.sampled_from(["own", "spelling"]),
    merge_repeats=st.booleans(),
    projection=st.booleans(),
    text_rows=st.integers(0, 10**6),
    audio_units=st.integers(0, 32767),
    append_end=st.booleans(),
)


@given(config=CONFIGS)
def test_what_is_written_is_read(config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("config")
    write_config(config, folder)
    assert read_config(folder) == config
    first = (folder / "dual_encoder.json").read_bytes()
    write_config(read_config(folder), folder)
    assert (folder / "dual_encoder.json").read_bytes() == first


def stated(**changes):
    values = asdict(DualEncoderConfig(name="n", dim=8))
    return {"schema": 1, **values, **changes}


def refusal(folder, values):
    (folder / "dual_encoder.json").write_text(json.dumps(values))
    with pytest.raises(CheckpointError) as caught:
        read_config(folder)
    assert str(folder / "dual_encoder.json") in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("schema", 2, "schema must be 1"),
        ("schema", None, "schema must be 1"),
        ("pools", "mean", "key 'pools' is unknown"),
        ("name", "", "name must be a text"),
        ("name", None, "name must be a text"),
        ("dim", None, "dim must be a whole number"),
        ("dim", 0, "dim must be a whole number"),
        ("dim", 8.0, "dim must be a whole number"),
        ("dim", True, "dim must be a whole number"),
        ("space", 1, "space must be a text or null"),
        ("languages", "eng", "languages must be a list"),
        ("languages", ["en"], "languages must be a list of ISO 639-3"),
        ("languages", [1], "languages must be a list"),
        ("prefix", "{lang} ", "prefix must be a text with no fields but"),
        ("prefix", "{language.__class__}", "prefix must be"),
        ("prefix", "{language!r:>99}", "prefix must be"),
        ("prefix", "{", "prefix must be"),
        ("pooling", "max", "pooling must be mean, cls or last_token"),
        ("max_tokens", 1, "max_tokens must be a whole number of at least 2"),
        ("max_tokens", "9", "max_tokens must be a whole number"),
        ("tie", "none", "tie must be own or spelling"),
        ("merge_repeats", 1, "merge_repeats must be true or false"),
        ("text_rows", -1, "text_rows must be a whole number"),
        ("audio_units", 32768, "audio_units must be a whole number up to 32767"),
    ],
)
def test_wrong_value_is_named(key, value, reason, tmp_path):
    assert reason in refusal(tmp_path, stated(**{key: value}))


@pytest.mark.parametrize("key", sorted(asdict(DualEncoderConfig(name="n"))))
def test_missing_key_is_named(key, tmp_path):
    values = stated()
    del values[key]
    assert f"key {key!r} is missing" in refusal(tmp_path, values)


def test_several_faults_are_counted(tmp_path):
    assert "(and 2 more)" in refusal(tmp_path, stated(dim="x", tie=3, more=1))


def test_no_file_and_no_json(tmp_path):
    with pytest.raises(CheckpointError, match="is missing"):
        read_config(tmp_path)
    (tmp_path / "dual_encoder.json").write_text("{")
    with pytest.raises(CheckpointError, match="must be JSON"):
        read_config(tmp_path)


def test_wrong_setting_of_a_user():
    with pytest.raises(ValueError, match="prefix must be a text with no fields but"):
        DualEncoderConfig(name="n", prefix="{modalty}")


def test_reading_settings_imports_no_torch(tmp_path):
    write_config(DualEncoderConfig(name="n", dim=8), tmp_path)
    code = (
        "import sys, pathlib; from encoders.dual.config import read_config, read_units; "
        "folder = pathlib.Path(sys.argv[1]); config = read_config(folder); "
        "print(read_units(folder, config), 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["None", "False"]
