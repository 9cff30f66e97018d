"""Other programs that a job runs; the first that fails ends it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def mining(command: str, config: Path, *more: str) -> None:
    """``mining COMMAND --config CONFIG``."""
    code = "from beam_jobs.cli import main; main()"
    _checked([sys.executable, "-c", code, command, "--config", str(config), *more])


def script(*arguments: str) -> None:
    """A script of Python with its arguments."""
    _checked([sys.executable, *arguments])


def _checked(command: list[str]) -> None:
    found = subprocess.run(command, check=False)
    if found.returncode:
        raise SystemExit(found.returncode)
