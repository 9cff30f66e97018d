"""``mining forget`` after ``mining bootstrap``: what was mined is gone, and models are named."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from tests.end_to_end.bootstrap_world import LEARNED, Rounds, make_rounds
from tests.end_to_end.conftest import Outcome
from tests.end_to_end.forgetting import holding
from tests.end_to_end.speech_world import SpeechWorld
from tests.end_to_end.test_run import command
from tests.unit.encoders.train.world import make_world

Cli = Callable[..., Outcome]
RECORDING = LEARNED[0]
SECRET = "hush, a secret that opens a store"


@pytest.fixture
def rounds(speech: SpeechWorld, tmp_path_factory: pytest.TempPathFactory) -> Rounds:
    made = make_rounds(speech, make_world(tmp_path_factory.mktemp("seed")))
    made.world.change(execution={"storage": {"s3": {"key": "AKIA", "secret": SECRET}}})
    return made


@pytest.mark.usefixtures("no_beam")
def test_rounds_forget_what_was_mined_and_name_what_learned_from_it(
    rounds: Rounds, mining: Cli
) -> None:
    recording, config = RECORDING, ("--config", rounds.config)
    cache = yaml.safe_load(rounds.training.read_text())["work"]["cache"]
    assert mining("bootstrap", *config).code == 0
    assert recording in str(rounds.rows(1, "st")["audio"].to_pylist())
    assert holding(rounds.output, [SECRET]) == {}
    assert holding(rounds.output, [recording])
    models = {path: path.read_bytes() for path in rounds.output.rglob("model.safetensors")}

    wrong = mining("forget", "none.wav", *config)
    assert wrong.code == 3
    assert "none.wav: must be a recording" in wrong.err
    done = mining("forget", recording, *config)
    assert done.code == 0, done.err
    assert holding(rounds.output, [recording]) == {}
    assert "removed what training was given: round-1/rows, round-1/rejects" in done.out
    assert f"{cache}: is yours, and may hold units of its speech" in done.out
    final = ", model" if rounds.report()["best"] else ""
    (line,) = [line for line in done.out.splitlines() if "cannot forget" in line]
    assert line.startswith(f"round-1/train/model{final} learned from pairs that were mined before")
    assert f"remove round-1{final} from {rounds.output}, and run mining bootstrap again" in line
    assert {path: path.read_bytes() for path in models} == models

    # nothing is learned anew unless the user wants it
    assert "nothing to do" in mining("bootstrap", *config).err
    for name in ("round-1", *([final.removeprefix(", ")] if final else [])):
        shutil.rmtree(rounds.output / name)
    subprocess.run(  # in a process that does not have the other model in memory
        command("bootstrap", *config), check=True, env={**os.environ, "PYTHONPATH": os.getcwd()}
    )
    audio = rounds.rows(1, "st")["audio"].to_pylist()
    assert audio
    assert not any(recording in one for one in audio)
    assert holding(rounds.output, [recording]) == {}
    assert (rounds.output / "model" / "dual_encoder.json").is_file()


# Rounds that are not finished


@contextmanager
def fails_in_training(number: int) -> Iterator[None]:
    """Stop a round when its data is ready, before its first step."""
    from encoders.train import run

    teach, begun = run.teach, []

    def stop(*arguments: Any, **more: Any) -> Any:
        begun.append(1)
        if len(begun) > number:
            raise KeyboardInterrupt
        return teach(*arguments, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "teach", stop)
        yield


def own_cache(rounds: Rounds) -> None:
    """Training keeps its units in the output."""
    work = yaml.safe_load(rounds.training.read_text())["work"]
    rounds.change(rounds.training, work=work | {"cache": None})


def error(outcome: Outcome) -> str:
    (line,) = [line for line in outcome.err.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in outcome.err
    return line


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.usefixtures("no_beam")
def test_a_round_that_was_stopped_in_training_is_removed_with_the_cache(
    rounds: Rounds, mining: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, output = ("--config", rounds.config), rounds.output
    own_cache(rounds)
    with fails_in_training(1):
        assert mining("bootstrap", *config).code == 130
    assert (output / "round-0/train/_state/finished.json").is_file()
    assert (output / "round-1/train/config.resolved.yaml").is_file()
    assert list((output / "cache").rglob("*.parquet")) or list((output / "cache").rglob("*.arrow"))
    assert "round-1" in str(holding(output, [RECORDING])[RECORDING])
    for name in ("round-01", "round-x", "round-²"):
        output.joinpath(name).mkdir()
        output.joinpath(name, "mine.txt").write_text("mine")

    # nothing that is elsewhere is left, nor removed unasked: links are refused before anything is done
    elsewhere = rounds.world.folder / "elsewhere"
    for link in (output / "cache", output / "round-1", output / "round-1" / "rows"):
        shutil.move(link, elsewhere)
        link.symlink_to(elsewhere)
        before = contents(rounds.world.folder)
        refused = mining("forget", RECORDING, *config)
        assert refused.code == 3
        assert f"{link}: must be no symbolic link" in error(refused)
        assert str(elsewhere) in error(refused)
        assert contents(rounds.world.folder) == before
        link.unlink()
        shutil.move(elsewhere, link)

    other = mining("forget", RECORDING, *config, "--set", "filter.max_pairs=3")
    assert other.code == 2
    assert "filter.max_pairs was 20, is 3; give the config and the --set of the run" in error(other)

    def refuse(folder: Path) -> None:
        raise OSError(16, "Device or resource busy", str(folder))

    with monkeypatch.context() as patch:
        patch.setattr("beam_jobs.forget.rounds.shutil", SimpleNamespace(rmtree=refuse))
        failed = mining("forget", RECORDING, *config)
    assert failed.code == 3
    assert "round-1: must be removed, but cannot be (Device or resource busy)" in error(failed)

    done = mining("forget", RECORDING, *config)
    assert done.code == 0, done.err
    assert "removed what training was given: round-1, cache" in done.out
    assert not (output / "round-1").exists()
    assert not (output / "cache").exists()
    assert holding(output, [RECORDING]) == {}
    assert len(list(output.glob("round-*/mine.txt"))) == 3
    assert mining("bootstrap", *config).code == 0
    learned = rounds.rows(1, "st")["audio"].to_pylist()
    assert learned
    assert not any(RECORDING in one for one in learned)
    assert holding(output, [RECORDING]) == {}


@pytest.mark.usefixtures("no_beam")
def test_what_is_forgotten_before_anything_is_mined_is_never_mined(
    rounds: Rounds, mining: Cli
) -> None:
    config = ("--config", rounds.config)
    with fails_in_training(0):
        assert mining("bootstrap", *config).code == 130
    assert not (rounds.output / "mined").exists()
    done = mining("forget", RECORDING, *config)
    assert done.code == 0, done.err
    assert "nothing was made of it yet; runs leave it out" in done.out
    assert mining("bootstrap", *config).code == 0
    learned = rounds.rows(1, "st")["audio"].to_pylist()
    assert learned
    assert not any(RECORDING in one for one in learned)
    assert holding(rounds.output, [RECORDING]) == {}

    # what was mined stays, unless it is known by which model
    shutil.rmtree(rounds.output / "round-0")
    shutil.rmtree(rounds.output / "round-1")
    before = contents(rounds.output)
    unknown = mining("forget", LEARNED[1], *config)
    assert unknown.code == 2
    assert "round-0: must hold the model that mined" in error(unknown)
    assert contents(rounds.output) == before


# An output that is another's


@pytest.mark.parametrize("identity", [None, "{}", "[1]", '{"gold": "", "name": "me"}'])
def test_another_folder_is_left_as_it_is(rounds: Rounds, mining: Cli, identity: str | None) -> None:
    home = rounds.world.folder / "home"
    for name in ("cache/mine.txt", "round-3/thesis.txt", "round-03/thesis.txt"):
        home.joinpath(name).parent.mkdir(parents=True)
        home.joinpath(name).write_text("mine")
    if identity is not None:
        (home / "identity.json").write_text(identity)
    before = contents(rounds.world.folder)
    refused = mining("forget", RECORDING, "--config", rounds.config, "--output", home)
    assert refused.code == 2
    assert f"{home}: must be an output of mining bootstrap" in error(refused)
    assert contents(rounds.world.folder) == before
