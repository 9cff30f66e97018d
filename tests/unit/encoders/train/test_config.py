"""What decides the weights, and what does not."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from encoders.train.config import Work, decisive, load_training
from encoders.train.state import flat
from mining.config import resolved_yaml
from mining.contract.errors import ConfigError

GOOD = "schema: 1\noutput: out/x\nmodel: {start: builtin}\ndata: {texts: {a: {uri: a.tsv}}}\n"


def write(folder: Path, text: str) -> str:
    path = folder / "train.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_defaults_and_the_resolved_file(tmp_path: Path) -> None:
    config = load_training(write(tmp_path, GOOD), ["optimiser.steps=7"], "elsewhere")
    assert (config.output, config.optimiser.steps, config.loss.margin) == ("elsewhere", 7, 0.2)
    assert load_training(write(tmp_path, resolved_yaml(config))) == config


def test_output_and_work_are_no_identity_and_all_else_is(tmp_path: Path) -> None:
    def identity(*overrides: str) -> dict[str, object]:
        return flat(decisive(load_training(write(tmp_path, GOOD), overrides)))

    base = identity()
    assert identity("output=y", "work.threads=3", "work.cache=z") == base
    assert not any(field.name in key for key in base for field in dataclasses.fields(Work))
    for override in ("seed=1", "loss.spread=0.1", "data.text=2", "contamination.sets=[]"):
        key = override.partition("=")[0]
        changed = identity(override)
        assert {k for k in base if base[k] != changed[k]} == {key}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace("{a: {uri: a.tsv}}", "{}"), "data must name at least one of seeds and texts"),
        (GOOD.replace("out/x", "''"), "output must name a folder, but is empty"),
        (GOOD.replace("a: {uri", "../a: {uri"), "train.yaml:4: data.texts.../a: a name may hold"),
        (GOOD + "work: {thread: 1}\n", "train.yaml:5: unknown key 'work.thread'; did you mean"),
        (GOOD.replace("schema: 1", "schema: 2"), "schema must be one of 1, but is 2"),
    ],
)
def test_faults_say_where(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_training(write(tmp_path, text))
    assert message in str(caught.value)
