"""The Beam pipeline of a stage: units in, receipts out. All Beam code of the project is here."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.options.pipeline_options import PipelineOptions, SetupOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from beam_jobs.announced import announce
from beam_jobs.dataflow import check_buckets, flags, hints
from beam_jobs.failure import UnitFailedError, interruption, unwrap
from beam_jobs.progress import Progress
from beam_jobs.stage import Stage, Unit, do_unit, units_left
from mining.config import Execution
from mining.config.model import DATAFLOW
from mining.contract.errors import ConfigError, MiningError

_LOCAL = "DirectRunner"
_REFUSED = {
    "DaskRunner": "Beam 2.77's DaskRunner drops outputs silently while it reports success",
    "InteractiveRunner": "it caches elements and is made for notebooks",
}

Work = tuple[int, Unit]  # index of the stage, and its unit


class DoUnits(beam.DoFn):
    """Does the units of one element that have no receipt yet, and writes their receipts."""

    def __init__(self, stages: Sequence[Stage], phase: str) -> None:
        self._stages = stages
        self._phase = phase

    def process(self, work: list[Work], gate: int = 0) -> Iterator[str]:
        """Yield the keys of the units; ``gate`` only makes this phase wait for the one before."""
        del gate
        for index, unit in work:
            stage = self._stages[index]
            if stage.run.limit.reached():
                continue  # so do all that follow; the launcher says so in the end
            try:
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
            result.wait_until_finish()
        # a runner may raise anything: what it carries is looked at
        except Exception as error:
            if (stopped := interruption(error)) is not None:
                raise stopped from None
            carried = unwrap(error)
            if carried is None and execution.runner == _LOCAL:
                raise  # a fault of this program
            if carried is None:
                carried = ConfigError(f"runner {execution.runner}: {_gist(error)}")
            raise carried from None
    if stages[0].run.limit.reached() and (left := units_left(stages)):
        raise stages[0].run.limit.error(left, stages[0].name)
    for stage in stages:
        stage.finish()
    stages[0].tidy()


def _gist(error: Exception) -> str:
    """What a runner that cannot start has to say, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{' '.join(lines)[:500]}; its options go after --" if lines else type(error).__name__


def build(
    pipeline: beam.Pipeline, kind: type[Stage], stages: Sequence[Stage], execution: Execution
) -> None:
    """Add the phases of a kind of stage to a pipeline: each waits for the one before."""
    gate: tuple[Any, ...] = ()
    for phase in kind.phases:
        name = f"{kind.name}/{phase}"
        work = [(i, unit) for i, stage in enumerate(stages) for unit in stage.units(phase)]
        do = beam.ParDo(DoUnits(stages, phase), *gate)
        if wanted := hints(execution, kind.name, phase):
            do = do.with_resource_hints(**wanted)
        done = (
            pipeline
            | f"{name}: units" >> beam.Create(list(deal(work, execution.shards or len(work))))
            | f"{name}: spread" >> beam.Reshuffle()
            | f"{name}: work" >> do
        )
        count = done | f"{name}: count" >> beam.combiners.Count.Globally()
        gate = (beam.pvalue.AsSingleton(count),)


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
        raise ConfigError(f"runner {execution.runner}: {_gist(error)}") from None


def deal(work: Sequence[Work], shards: int) -> Iterable[list[Work]]:
    """Deal units into at most ``shards`` elements, like cards."""
    return (list(work[start::shards]) for start in range(min(shards, len(work))))


def build_options(
    runner: str, beam_args: Sequence[str], own: Sequence[str] = ()
) -> tuple[Any, PipelineOptions]:
    """The runner and its options.

    ``DirectRunner`` means Beam's in-process runner: Beam's own class of that name may try to download
    another runner first.

    Args:
        runner: its name.
        beam_args: what the user wrote after ``--``; wins over ``own``.
        own: what the config asks of the runner.

    Raises:
        ConfigError: for a runner that is refused or unknown, or an option that Beam does not know.
    """
    if runner in _REFUSED:
        raise ConfigError(f"runner {runner}: must be another runner: {_REFUSED[runner]}")
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
    for argument in beam_args:
        if not argument.startswith("--"):
            raise ConfigError(f"argument {argument!r}: Beam's options must read --name=value")
        if argument.split("=")[0] == "--runner":
            raise ConfigError(f"argument {argument!r}: name the runner before --, as --runner=NAME")
        if argument.split("=")[0] == "--dry_run":
            raise ConfigError(f"argument {argument!r}: write --dry_run before --")
        if argument.split("=")[0] == "--template_location":
            raise ConfigError(
                f"argument {argument!r}: must be left out: a stage's units are those that the stages "
                "before it made, and a template's are fixed"
            )
    named = [] if runner == _LOCAL else [f"--runner={runner}"]
    try:
        options = PipelineOptions([*named, *own, *beam_args])
        known = options.get_all_options()
        unknown = sorted(set(options.get_all_options(retain_unknown_options=True)) - set(known))
    except SystemExit:  # Beam's option parser has said why
        raise ConfigError(f"Beam options {' '.join(beam_args)}: cannot be read") from None
    if unknown:
        raise ConfigError(
            f"Beam option --{unknown[0]}: must be one that Beam {beam.__version__} knows"
        )
    if runner == DATAFLOW:
        check_buckets(known)
    options.view_as(SetupOptions).save_main_session = False
    if runner == _LOCAL:
        return FnApiRunner(), options
    try:
        return beam.runners.runner.create_runner(runner), options
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"runner {runner}: cannot be used: {str(error).splitlines()[0]}"
        ) from None
