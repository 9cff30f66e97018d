"""A run in a process of its own, with what each unit of it cost.

A fresh process pays for imports, weights and compiled code as a run does; a second run in the same
process would not.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from beam_jobs.meter import Meter, Span, peak_bytes
from mining.config.load import to_plain
from mining.contract import errors
from mining.contract.errors import MiningError

START = "start"  # stage of the spans that come before the first stage: imports, models' cards
_ERROR = "error"


def measured_run(config: Path, record: Path, storage: Mapping[str, Any]) -> list[Span]:
    """Run a config's stages in a process of its own.

    Args:
        config: YAML file; its output must be empty, or what is there is not measured again.
        record: file that the process writes what it measured to.
        storage: ``execution.storage``, which may hold secrets and so is in no file.

    Raises:
        MiningError: as the run.
    """
    process = subprocess.run(
        [sys.executable, "-c", "from beam_jobs.forecast.measured_run import main; main()",
         str(config), str(record), repr(time.time())],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        input=json.dumps(to_plain(storage)), text=True, check=False,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    found = json.loads(record.read_text()) if record.exists() else {}
    if _ERROR in found:
        raise getattr(errors, found["kind"], MiningError)(found[_ERROR])
    if process.returncode or "spans" not in found:
        said = process.stderr.strip().splitlines()[-1:]
        raise MiningError(
            f"pilot {config}: must end, but stopped with code {process.returncode}"
            f"{''.join(f' ({line})' for line in said)}; run it with mining run to see why"
        )
    return [Span(**span) for span in found["spans"]]


def main() -> None:
    """Of the process: config, file for the result, and when it was started (seconds, epoch).

    Storage options come on stdin.
    """
    path, record, started = sys.argv[1:]
    try:
        spans = _spans(path, float(started))
    except MiningError as error:
        found = {_ERROR: str(error), "kind": type(error).__name__}
        Path(record).write_text(json.dumps(found))
        sys.exit(error.exit_code)
    Path(record).write_text(json.dumps({"spans": [asdict(span) for span in spans]}))


def _spans(path: str, started: float) -> list[Span]:
    from beam_jobs.execution.run import run
    from beam_jobs.plan import Plan
    from beam_jobs.progress import Silence
    from beam_jobs.stage import STAGES
    from mining.config import load_config

    progress = Silence()  # of a sample's languages and thresholds nothing is to be said
    config = load_config(path)
    execution = replace(config.execution, storage=json.load(sys.stdin))
    plan = Plan(replace(config, execution=execution), progress)
    plan.check()
    start = Span(
        stage=START,
        wall_s=time.time() - started,
        cpu_s=time.process_time(),
        peak_bytes=peak_bytes(),
    )
    with Meter().reading() as meter:
        run(plan, STAGES, (), progress)
    return [start, *meter.spans]
