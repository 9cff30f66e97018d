"""A run: its stages in order, each only where something is left to do."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from beam_jobs.forgotten import forgotten_list
from beam_jobs.meter import timed_stage
from beam_jobs.output import claim_output
from beam_jobs.pipeline import build_options, run_stages
from beam_jobs.plan import Plan
from beam_jobs.progress import Progress
from beam_jobs.speed import is_fresh, speed
from beam_jobs.stage import Stage
from beam_jobs.thresholds import effective

STAGES = ("prepare", "transcribe", "tokenize", "embed", "knn", "pairs")


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
        MiningError: for whatever is wrong; finished work stays and is not done again.
    """
    # what is wrong is said before any work, and before the folder is claimed
    plan.check()
    build_options(plan.run.config.execution.runner, beam_args)
    config = plan.run.config
    if not forgetting and forgotten_list(plan.run).pending:
        progress.warn(
            f"{plan.run.output}: something was not forgotten to the end: old results still hold it; run "
            "mining forget again"
        )
    claim_output(plan.run, replace(config, mining=effective(config.mining)))
    planned: dict[str, Callable[[], Sequence[Stage]]]
    planned = {
        "prepare": plan.prepare,
        "transcribe": plan.transcribe,
        "tokenize": plan.tokenize,
        "embed": plan.embed,
        "knn": plan.knn,
        "pairs": plan.pairs,
    }
    worked = False
    for name in STAGES:
        with timed_stage(name):
            worked |= _run_stage(
                name, planned[name]() if name in stages else (), beam_args, progress
            )
    if "pairs" in stages:
        for stage in plan.pairs():
            stage.restate()
    return worked


def _run_stage(
    name: str, found: Sequence[Stage], beam_args: Sequence[str], progress: Progress
) -> bool:
    """Do what is left of one stage's subjects; returns whether there was anything."""
    left = [stage for stage in found if not stage.is_done()]
    # text and speech are prepared in phases of their own
    for kind in dict.fromkeys(map(type, left)):
        some = [stage for stage in left if type(stage) is kind]
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
