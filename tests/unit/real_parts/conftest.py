"""The example's modules."""

import importlib
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[3] / "examples" / "real_parts"


@pytest.fixture
def example(monkeypatch):
    """Import a module of the example by its name."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    return importlib.import_module
