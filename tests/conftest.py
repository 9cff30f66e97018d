"""What every test relies on: draws that repeat, and a process that no test leaves changed.

Hypothesis draws the same examples in every run; HYPOTHESIS_PROFILE=explore draws new ones.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    """A model that is loaded with a number of threads sets it for the process."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test cuts the power, and each of some 100,000 files would wait for the disk."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture
def example_in(
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[[Path], Callable[[str], ModuleType]]]:
    """Of a folder of examples: a function that imports its modules, which are then forgotten.

    Two examples may each have a ``table.py``.
    """
    folders = []

    def modules_of(folder: Path) -> Callable[[str], ModuleType]:
        monkeypatch.syspath_prepend(str(folder))
        folders.append(folder)
        return importlib.import_module

    yield modules_of
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and Path(file).parent in folders:
            del sys.modules[name]
