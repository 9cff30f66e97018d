"""The Beam pipeline of a stage: units in, receipts out.

All Beam code of the project is here and in :mod:`beam_jobs.execution.runners`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics

from beam_jobs.announced import announce
from beam_jobs.execution.dataflow import flags, hints
from beam_jobs.execution.failure import UnitFailedError, interruption, unwrap
from beam_jobs.execution.runners import LOCAL, blame, build_options, gist
from beam_jobs.output import require_output
from beam_jobs.progress import Progress
from beam_jobs.stage import Stage, Unit, do_unit, units_left
from mining.config import Execution
from mining.config.execution import DATAFLOW
from mining.contract.errors import ConfigError, MiningError

Work = tuple[int, Unit]  # index of the stage, and its unit


class DoUnits(beam.DoFn):
    """Does the units of one element that have no receipt yet, and writes their receipts."""

    def __init__(self, stages: Sequence[Stage], phase: str, before: int = 0) -> None:
        self._stages = stages
        self._phase = phase
        self._before = before
        self._home = os.getcwd()

    def setup(self) -> None:
        """Let relative addresses mean on a worker what they mean in the launcher."""
        with suppress(OSError):  # elsewhere only full addresses can be meant; see require_output
            os.chdir(self._home)

    def process(self, work: list[Work], gate: int = 0) -> Iterator[str]:
        """Yield the keys of the units.

        ``gate`` makes this phase wait for the one before, and is how many units of that are done: fewer
        than there are if the limit was reached there, by whatever clock.
        """
        for index, unit in work:
            stage = self._stages[index]
            limit = stage.run.limit
            if limit.until is not None and (gate < self._before or limit.reached()):
                continue  # so do all that follow; the launcher says so in the end
            try:
                require_output(stage.run)
                receipt = do_unit(stage, self._phase, unit)
            except MiningError as error:
                raise UnitFailedError.of(error) from None
            for name, count in receipt.counters.items() if receipt else ():
                Metrics.counter(stage.name, name).inc(count)
            yield unit.key


def run_stages(stages: Sequence[Stage], beam_args: Sequence[str], progress: Progress) -> None:
    """Run the unfinished work of several stages of one kind as one pipeline, then finish and tidy.

    Args:
        stages: one per corpus or task, all of the same class.
        beam_args: further Beam options.
        progress: shown while it runs.

    Raises:
        MiningError: what a worker raised, or what is wrong with the runner.
    """
    execution = stages[0].run.config.execution
    for stage in stages:
        stage.begin()
        announce(stage)
    runner, options = build_options(execution.runner, beam_args, flags(execution, stages[0].name))
    with progress.watching(stages):
        try:
            pipeline = beam.Pipeline(runner=runner, options=options)
            build(pipeline, type(stages[0]), stages, execution)
            result = pipeline.run()
            if execution.runner == DATAFLOW:
                progress.say(f"{stages[0].name}: Dataflow job {result.job_id()}")
            _wait_for(result)
        # a runner may raise anything: what it carries is looked at
        except Exception as error:
            if (stopped := interruption(error)) is not None:
                raise stopped from None
            carried = unwrap(error)
            if carried is None and execution.runner == LOCAL:
                raise  # a fault of this program
            if carried is None:
                carried = blame(execution.runner, error)
            raise carried from None
    # not by this machine's clock: those of the workers decide, and may go before it
    limit = stages[0].run.limit
    if limit.until is not None and (left := units_left(stages)):
        raise limit.error(left, stages[0].name)
    for stage in stages:
        stage.finish()
    stages[0].tidy()


def _wait_for(result: Any) -> None:
    """Wait for a pipeline's end; a runner is asked to cancel what the user has stopped.

    Raises:
        RuntimeError: of a runner that reports to a job server, with all that it reported: its last word
            alone is seldom the cause.
    """
    try:
        result.wait_until_finish()
    except KeyboardInterrupt:
        with suppress(Exception):  # the user wants to leave, whatever the runner says
            result.cancel()
        raise
    except RuntimeError as error:
        reported = [each.message_response.message_text for each in getattr(result, "_messages", ())]
        if not reported:
            raise
        raise RuntimeError("\n".join((*reported, str(error)))) from error


def build(
    pipeline: beam.Pipeline, kind: type[Stage], stages: Sequence[Stage], execution: Execution
) -> None:
    """Add the phases of a kind of stage to a pipeline: each waits for the one before."""
    gate: tuple[Any, ...] = ()
    before = 0
    for phase in kind.phases:
        name = f"{kind.name}/{phase}"
        work = [(i, unit) for i, stage in enumerate(stages) for unit in stage.units(phase)]
        do = beam.ParDo(DoUnits(stages, phase, before), *gate)
        if wanted := hints(execution, kind.name, phase):
            do = do.with_resource_hints(**wanted)
        done = (
            pipeline
            | f"{name}: units" >> beam.Create(list(deal(work, execution.shards or len(work))))
            | f"{name}: spread" >> beam.Reshuffle()
            | f"{name}: work" >> do
        )
        count = done | f"{name}: count" >> beam.combiners.Count.Globally()
        gate, before = (beam.pvalue.AsSingleton(count),), len(work)


def build_job(
    kind: type[Stage], stages: Sequence[Stage], execution: Execution, beam_args: Sequence[str]
) -> Any:
    """The job that Dataflow would be sent for a stage. Nothing is sent and nobody is asked.

    Args:
        kind: of the stage.
        stages: as far as they are known; none make a job without units.
        execution: of the run.
        beam_args: further Beam options.

    Returns:
        Beam's own job, with ``proto_pipeline`` and ``options``.

    Raises:
        ConfigError: for options that Beam refuses.
    """
    own = [*flags(execution, kind.name), "--dry_run=True", "--no_auth"]
    runner, options = build_options(execution.runner, beam_args, own)
    try:
        pipeline = beam.Pipeline(runner=runner, options=options)
        build(pipeline, kind, stages, execution)
        return pipeline.run().job
    except ValueError as error:
        raise ConfigError(f"runner {execution.runner}: {gist(error)}") from None


def deal(work: Sequence[Work], shards: int) -> Iterable[list[Work]]:
    """Deal units into at most ``shards`` elements, like cards."""
    return (list(work[start::shards]) for start in range(min(shards, len(work))))
