"""``mining forget`` after ``mining bootstrap``: what was mined is gone, and models are named."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable

import pytest
import yaml

from tests.end_to_end.bootstrap_world import LEARNED, Rounds, make_rounds
from tests.end_to_end.conftest import Outcome
from tests.end_to_end.forgetting import holding
from tests.end_to_end.speech_world import SpeechWorld
from tests.end_to_end.test_run import command
from tests.unit.encoders.train.world import make_world

Cli = Callable[..., Outcome]
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
    recording, config = LEARNED[0], ("--config", rounds.config)
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
