"""Licences go from the config and the weights into every manifest of pairs, and may refuse a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.end_to_end.conftest import Outcome, World
from tests.end_to_end.speech_world import SpeechWorld

Cli = Callable[..., Outcome]


def licences(world: World, task: str = "tt") -> Any:
    manifest = json.loads((world.output / f"pairs/{task}/_manifest.json").read_text())
    return manifest["attributes"]["licences"]


def licensed(world: World, licence: str) -> None:
    corpora = yaml.safe_load(world.config.read_text())["corpora"]
    corpora["texts"]["licence"] = licence
    world.change(corpora=corpora)


@pytest.mark.usefixtures("no_beam")
def test_manifests_tell_licences_and_a_new_one_redoes_nothing(world: World, mining: Cli) -> None:
    run = ("run", "--config", world.config)
    assert mining(*run).code == 0
    assert licences(world) == {
        "corpora": {"texts": "unknown"},
        "models": {"vectors.npy": "unknown"},
    }
    digest = world.digest()
    hashes = {path.name for path in (world.output / "segments/texts").iterdir()}

    licensed(world, "CC-BY-4.0")
    again = mining(*run, "--set", "model.licence=cc-by-nc-4.0")
    assert again.code == 0
    assert "nothing to do" in again.err
    wanted = {"corpora": {"texts": "CC-BY-4.0"}, "models": {"vectors.npy": "cc-by-nc-4.0"}}
    assert licences(world) == wanted
    assert world.digest() == digest
    assert {path.name for path in (world.output / "segments/texts").iterdir()} == hashes
    shown = mining("inspect", world.output / "pairs/tt").out
    assert "licences    corpora: texts CC-BY-4.0\n" in shown
    assert "licences    models: vectors.npy cc-by-nc-4.0\n" in shown


@pytest.mark.usefixtures("no_beam")
def test_a_worker_without_beam_says_and_states_what_a_run_does(world: World, mining: Cli) -> None:
    work = ("work", "all", "--config", world.config)
    assert mining("run", "--config", world.config).code == 0
    licensed(world, "CC-BY-4.0")
    done = mining(*work)
    assert (done.code, "warning" in done.err) == (0, False)
    assert licences(world)["corpora"] == {"texts": "CC-BY-4.0"}
    unfinished = {"schema": 1, "pending": True, "corpora": {}}
    (world.output / "_state/forgotten.json").write_text(json.dumps(unfinished))
    for command in (work, ("run", "--config", world.config)):
        assert "warning: " in (err := mining(*command).err)
        assert "run mining forget again" in err


@pytest.mark.usefixtures("no_beam")
def test_a_commercial_run_refuses_before_any_work(world: World, mining: Cli) -> None:
    run = ("run", "--config", world.config, "--commercial")
    refused = mining(*run)
    assert refused.code == 2
    (line,) = refused.err.splitlines()
    assert "corpora.texts (unknown); model vectors.npy (unknown)" in line
    licensed(world, "cc-by-nc-sa-4.0")
    refused = mining(*run, "--set", "model.licence=house rules")
    assert refused.code == 2
    assert "corpora.texts (cc-by-nc-sa-4.0, which does not allow it)" in refused.err
    assert "model vectors.npy (house rules, which is not in the table)" in refused.err
    assert not world.output.exists()

    licensed(world, "CC-BY-4.0")
    stated = ("--set", "model.licence=mit")
    set_ = ("--set", "execution.commercial=true")
    assert mining("prepare", "--config", world.config, *set_).code == 2
    assert mining(*run, *stated).code == 0
    assert licences(world) == {"corpora": {"texts": "CC-BY-4.0"}, "models": {"vectors.npy": "mit"}}


@pytest.mark.usefixtures("no_beam")
def test_speech_names_its_recogniser(speech: SpeechWorld, mining: Cli) -> None:
    speech.change_corpus("talks", speech={"max_joined": 1}, licence="CC0-1.0")
    speech.change(tasks={key: speech.settings["tasks"][key] for key in ("st", "tt")})
    recogniser = speech.settings["recogniser"]
    run = ("run", "--config", speech.config)
    refused = mining(*run, "--commercial")
    name = "ctc"
    assert f"corpora.texts (unknown); model {name} (unknown)" in refused.err
    speech.change(recogniser=recogniser | {"licence": "MIT"})
    speech.change_corpus("texts", licence="CC-BY-4.0")
    done = mining(*run, "--commercial")
    assert done.code == 0, done.err
    assert licences(speech, "tt")["corpora"] == {"texts": "CC-BY-4.0"}
    assert licences(speech, "st") == {
        "corpora": {"talks": "CC0-1.0", "texts": "CC-BY-4.0"},
        "models": {"builtin": "Apache-2.0", name: "MIT"},
    }
