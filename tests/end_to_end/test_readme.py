"""What README.md shows, run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_the_python_example_finds_the_pairs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    exec(compile(code, "README.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert any("Schlüssel" in line and "key" in line for line in lines)
    assert any("zugefroren" in line and "frozen" in line for line in lines)


def test_every_file_it_links_to_is_there() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    for link in re.findall(r"\]\(([^)h#][^)]*)\)", text):
        assert (ROOT / link).exists(), link


def test_the_starter_config_is_in_order() -> None:
    from encoders import calibration_of
    from mining.config import load_config
    from mining.evaluate.calibration import read_calibration
    from mining.io.filesystem import Storage

    config = load_config(str(ROOT / "configs" / "own_texts.yaml"))
    entries = read_calibration(str(calibration_of(config.model)), Storage())
    assert {entry.conditions.k for entry in entries} == {config.mining.k}
    assert config.mining.target_precision in {entry.target for entry in entries}
