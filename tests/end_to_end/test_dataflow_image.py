"""The image of Dataflow's workers: its versions are the tested ones, and its start does what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
START = ROOT / "configs" / "dataflow" / "start.sh"


def start(folder: Path, weights: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [START, "--id=1", "two words"],
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "BOOT": "/bin/echo",
            "WEIGHTS_FOLDER": f"{folder}/weights",
            "WEIGHTS": weights,
            **environment,
        },
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_versions_are_the_pinned_ones() -> None:
    image = (ROOT / "configs" / "dataflow" / "Dockerfile").read_text()
    pins = dict(
        line.split("==")
        for line in (ROOT / "configs" / "constraints.txt").read_text().splitlines()
        if "==" in line
    )
    assert f"apache/beam_python3.11_sdk:{pins['apache-beam']} " in image
    (cuda,) = re.findall(r"^FROM nvidia/cuda:(\d+\.\d+)\.\d+-runtime", image, flags=re.MULTILINE)
    assert pins["cuda-toolkit"].startswith(f"{cuda}.")
    for path in re.findall(r"/src/([\w./]+)", image):
        assert (ROOT / path).is_file(), path


def test_the_start_hands_over_to_beam(tmp_path: Path) -> None:
    done = start(tmp_path, "")
    assert (done.returncode, done.stdout) == (0, "--id=1 two words\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("weights", ["https://example.org/weights", "org/name", "s3://b/x"])
def test_weights_come_from_gs_only(tmp_path: Path, weights: str) -> None:
    done = start(tmp_path, weights)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"WEIGHTS must be a gs:// folder, but is {weights}\n"
