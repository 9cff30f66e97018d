"""What a process runs that kills itself in the middle of a training run: the target of a test."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import encoders.train.run as run
from encoders.train import state
from encoders.train.figures import Figures
from tests.unit.encoders.train.world import training


def _kill_at(place: Any, name: str, call: int) -> None:
    """Let a function kill this process (SIGKILL: nothing is cleaned up) at its n-th call."""
    inner, calls = getattr(place, name), [0]

    def dying(*args: Any, **kwargs: Any) -> Any:
        calls[0] += 1
        if calls[0] == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return inner(*args, **kwargs)

    setattr(place, name, dying)


# moment: (object, function, at which call of it)
MOMENTS = {
    "before any state": (Figures, "write", 2),
    "while the first state is written": (state, "_flush", 1),
    "before a state has its name": (state, "_flush", 5),
    "before old states are gone": (state.shutil, "rmtree", 7),
    "after the last step": (run, "write_json", 1),
    "before it is said to be finished": (run, "write_json", 2),
}


def train_and_die(folder: Path, output: Path, moment: str, overrides: tuple[str, ...]) -> None:
    _kill_at(*MOMENTS[moment])
    run.train(training(folder, output, *overrides), lambda line: None)
