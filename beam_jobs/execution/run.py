"""A run: its stages in order, each only where something is left to do."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from beam_jobs.execution.complete import conclude, warn_of_forgetting
from beam_jobs.execution.dataflow import flags, require_reachable
from beam_jobs.execution.pipeline import run_stages
from beam_jobs.execution.runners import build_options
from beam_jobs.execution.sequence import by_kind, stages_of
from beam_jobs.limit import require_price
from beam_jobs.meter import timed_stage
from beam_jobs.output import claim_output
from beam_jobs.plan import Plan
from beam_jobs.progress import Progress
from beam_jobs.speed import is_fresh, speed
from beam_jobs.stage import STAGES, Stage
from beam_jobs.thresholds import effective


def run(
    plan: Plan,
    stages: Sequence[str],
    beam_args: Sequence[str],
    progress: Progress,
    *,
    forgetting: bool = False,
) -> bool:
    """Run the named stages, in order.

    Args:
        plan: whose stages.
        stages: their names.
        beam_args: further Beam options.
        progress: shown while they run.
        forgetting: whether old results are removed afterwards.

    Returns:
        Whether there was anything to do.

    Raises:
        IncompleteError: all is done but for files that had to be left out.
        MiningError: for whatever is wrong; finished work stays and is not done again.
    """
    # what is wrong is said before any work, and before the folder is claimed
    config = plan.run.config
    require_reachable(config)
    plan.check()
    require_price(config.execution)
    build_options(config.execution.runner, beam_args, flags(config.execution))
    if not forgetting:
        warn_of_forgetting(plan)
    claim_output(plan.run, replace(config, mining=effective(config.mining)))
    worked = False
    for name in STAGES:
        with timed_stage(name):
            found = stages_of(plan, name) if name in stages else ()
            worked |= _run_stage(name, found, beam_args, progress)
    conclude(plan, stages)
    return worked


def _run_stage(
    name: str, found: Sequence[Stage], beam_args: Sequence[str], progress: Progress
) -> bool:
    """Do what is left of one stage's subjects; returns whether there was anything."""
    left = [stage for stage in found if not stage.is_done()]
    for some in by_kind(left):
        fresh, started = is_fresh(some), time.monotonic()
        run_stages(some, beam_args, progress)
        if fresh and (line := speed(some, time.monotonic() - started)):
            progress.say(line)
        for stage in some:
            if line := stage.remark():
                progress.say(f"{name}: {line}")
    if found and not left:
        progress.say(f"{name}: already done")
    return bool(left)
