from pathlib import Path

import pytest

from tests.unit.encoders.train.world import make_world


@pytest.fixture(scope="session")
def training_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_world(tmp_path_factory.mktemp("training"))
