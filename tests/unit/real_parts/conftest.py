"""The example's modules."""

from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[3] / "examples" / "real_parts"


@pytest.fixture
def example(example_in):
    """Import a module of the example by its name."""
    return example_in(EXAMPLE)
