"""A config's faults are all named at once, with file, line and key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mining.config import load_config, resolved_yaml, stage_hash
from mining.config.yaml_nodes import parse_yaml, scalar
from mining.contract.errors import ConfigError

GOOD = """\
schema: 1
output: out/x
corpora:
  texts: {uri: "a/*.tsv", lang: {column: lang}}
tasks:
  tt: {source: texts, target: texts}
"""


def write(folder: Path, text: str) -> str:
    path = folder / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def fault(folder: Path, text: str, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(write(folder, text), overrides)
    return str(caught.value)


def test_defaults_are_filled_in(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, GOOD))
    assert config.model.path == "builtin"
    assert config.mining.threshold is None
    assert config.contamination.sets == ("ntrex", "flores200-dev")
    assert "partitions: 4" in resolved_yaml(config)


def test_resolved_config_loads_to_the_same_config(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, GOOD), ["mining.preset=stopes", "execution.shards=3"])
    again = load_config(write(tmp_path, resolved_yaml(config)))
    assert again == config


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    text = GOOD + "mining: {k: 0, margn: ratio, select: best}\npartitions: many\n"
    message = fault(tmp_path, text)
    assert "run.yaml:7: mining.k must be between 1 and 1024, but is 0" in message
    assert "unknown key 'mining.margn'; did you mean 'margin'?" in message
    assert "mining.select must be one of forward, backward" in message
    assert "run.yaml:8: partitions must be a whole number, but is 'many'" in message


def test_missing_and_repeated_keys(tmp_path: Path) -> None:
    assert "key 'output' is missing" in fault(tmp_path, GOOD.replace("output: out/x\n", ""))
    assert "run.yaml:7: key 'output' is repeated; first at" in fault(
        tmp_path, GOOD + "output: other\n"
    )


def test_unknown_corpus_has_a_suggestion(tmp_path: Path) -> None:
    message = fault(tmp_path, GOOD.replace("target: texts", "target: text"))
    assert "there is no corpus 'text'; did you mean 'texts'?" in message


def test_a_language_must_be_a_code(tmp_path: Path) -> None:
    assert "'english' is not a language code" in fault(
        tmp_path, GOOD.replace("lang: {column: lang}", "lang: english")
    )
    assert "'d' is not a language code" in fault(
        tmp_path, GOOD.replace("target: texts}", "target: texts, langs: [d-eng]}")
    )


def test_a_name_may_not_leave_the_output_folder(tmp_path: Path) -> None:
    assert "a name may hold" in fault(tmp_path, GOOD.replace("  tt:", "  ../tt:"))


def test_path_placeholder_must_stand_in_the_uri(tmp_path: Path) -> None:
    assert "must hold the placeholder {lang}" in fault(
        tmp_path, GOOD.replace("{column: lang}", "{path: lang}")
    )


def test_overrides_win_and_are_checked(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, GOOD), ["mining.k=8", "tasks.tt.langs=[deu-eng]"])
    assert config.mining.k == 8
    assert config.tasks["tt"].langs == ("deu-eng",)
    assert "--set mining.k=x: mining.k must be a whole number" in fault(
        tmp_path, GOOD, "mining.k=x"
    )
    assert "must read key=value" in fault(tmp_path, GOOD, "mining.k")
    assert "is not inside a mapping" in fault(tmp_path, GOOD, "output.a.b=1")


def test_no_object_is_built_from_a_tag(tmp_path: Path) -> None:
    message = fault(tmp_path, GOOD + "model: !!python/object/apply:os.system [ls]\n")
    assert "is not allowed" in message


def test_aliases_are_values_and_may_not_hold_themselves(tmp_path: Path) -> None:
    shared = GOOD.replace("tt: {", "tt: &one {") + "  uu: *one\n"
    assert set(load_config(write(tmp_path, shared)).tasks) == {"tt", "uu"}
    assert "inside what it names" in fault(tmp_path, GOOD + "model: &a {path: *a}\n")


def test_broken_yaml_names_the_line(tmp_path: Path) -> None:
    assert "run.yaml:3: not valid YAML" in fault(tmp_path, "schema: 1\noutput: x\n\t- y\n")


def test_an_unreadable_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_config(str(tmp_path / "none.yaml"))
    (tmp_path / "latin.yaml").write_bytes(b"output: \xe9\n")
    with pytest.raises(ConfigError, match="not UTF-8 text"):
        load_config(str(tmp_path / "latin.yaml"))


@pytest.mark.parametrize(
    ("text", "value"),
    [("no", "no"), ("yes", "yes"), ("true", True), ("12:30", "12:30"), ("012", 12), ("1e3", 1000.0),
     (".5", 0.5), ("0x1F", "0x1F"), ("~", None), ("1_000", "1_000"), ("-3", -3)],
)  # fmt: skip
def test_scalars_are_yaml_1_2(text: str, value: object) -> None:
    assert scalar(text) == value
    problems: list[str] = []
    assert parse_yaml(f"lang: {text}", "f", problems).plain() == {"lang": value}
    assert not problems


@given(st.text(max_size=200))
def test_any_text_is_refused_or_read_without_a_crash(text: str) -> None:
    problems: list[str] = []
    parse_yaml(text, "f", problems)


def test_stage_hash_sees_every_value() -> None:
    assert stage_hash("a", {"k": 4}) == stage_hash("a", {"k": 4})
    assert len({stage_hash(s, {"k": k}) for s in "ab" for k in (4, 5, "4", None)}) == 8


def test_secrets_are_not_written_down(tmp_path: Path) -> None:
    options = (
        "{key: AKIA, secret: hush, endpoint_url: http://here, anon: false, more: {token: hush}}"
    )
    text = f"{GOOD}execution: {{storage: {{s3: {options}}}}}\n"
    shown = resolved_yaml(load_config(write(tmp_path, text)))
    assert "hush" not in shown
    assert "AKIA" not in shown
    assert "endpoint_url: http://here" in shown
    assert "anon: false" in shown


def test_an_option_of_storage_is_masked_whatever_it_is_called(tmp_path: Path) -> None:
    options = {
        "https": {"headers": {"Authorization": "Bearer hush"}, "auth": ["user", "hush"]},
        "sftp": {"pwd": "hush", "password": 123456, "pin": 98.76, "project": ["hush"]},
        "s3": {"endpoint_url": "https://user:hush@here", "client_kwargs": {"region_name": "eu-1"}},
        "abfs": {"endpoint_url": "https://here/?sig=hush", "anything": "hush", "anon": None},
    }
    text = f"{GOOD}execution: {{storage: {json.dumps(options)}}}\n"
    shown = resolved_yaml(load_config(write(tmp_path, text)))
    assert [secret for secret in ("hush", "123456", "98.76", "user") if secret in shown] == []
    assert "region_name: eu-1" in shown
    assert "anon: null" in shown


def test_only_options_of_storage_are_masked(tmp_path: Path) -> None:
    text = GOOD.replace("texts", "storage")
    config = load_config(write(tmp_path, text))
    assert load_config(write(tmp_path, resolved_yaml(config))) == config
