"""The Beam pipeline of a stage: units in, receipts out. All Beam code of the project is here."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions, SetupOptions
from apache_beam.portability.api import beam_job_api_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.portability.portable_runner import PortableRunner

from beam_jobs.failure import UnitFailedError, unwrap
from beam_jobs.output import require_output
from beam_jobs.progress import Progress
from beam_jobs.stage import Stage, Unit, do_unit
from mining.contract.errors import CapacityError, ConfigError, MiningError

_LOCAL = "DirectRunner"
_REFUSED = {
    "DaskRunner": "Beam 2.77's DaskRunner drops outputs silently while it reports success",
    "InteractiveRunner": "it caches elements and is made for notebooks",
}
# what is left of a worker that was killed
_LOST = re.compile("StatusRuntimeException: CANCELLED|SDK harness closed connection")
# the line of a Python traceback that says what happened
_CAUSE = re.compile(r"[A-Za-z_][\w.]*(Error|Exception|Exit)\b")
# and of a Java stack trace, without the classes of the exceptions
_JAVA_CAUSE = re.compile(r"Caused by: (?:[\w.$]+: )*(.+)")

Work = tuple[int, Unit]  # index of the stage, and its unit


class DoUnits(beam.DoFn):
    """Does the units of one element that have no receipt yet, and writes their receipts."""

    def __init__(self, stages: Sequence[Stage], phase: str) -> None:
        self._stages = stages
        self._phase = phase
        self._home = os.getcwd()

    def setup(self) -> None:
        """Let relative addresses mean on a worker what they mean in the launcher."""
        if Path(self._home).is_dir():
            os.chdir(self._home)

    def process(self, work: list[Work], gate: int = 0) -> Iterator[str]:
        """Yield the keys of the units; ``gate`` only makes this phase wait for the one before."""
        del gate
        for index, unit in work:
            stage = self._stages[index]
            try:
                require_output(stage.run)
                receipt = do_unit(stage, self._phase, unit)
            except MiningError as error:
                raise UnitFailedError.of(error) from None
            except MemoryError:
                raise UnitFailedError.of(
                    CapacityError(
                        f"{stage.name} {stage.subject} {unit.key}: out of memory; lower "
                        "execution.tile_rows or raise partitions"
                    )
                ) from None
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
    runner, options = build_options(execution.runner, beam_args)
    with progress.watching(stages):
        try:
            pipeline = beam.Pipeline(runner=runner, options=options)
            build(pipeline, stages, execution.shards)
            _finish(pipeline)
        # a runner may raise anything: what it carries is looked at
        except Exception as error:
            carried = unwrap(error)
            if carried is None and execution.runner == _LOCAL:
                raise  # a fault of this program
            if carried is None:
                carried = blame(execution.runner, error)
            raise carried from None
    for stage in stages:
        stage.finish()
    stages[0].tidy()


def _finish(pipeline: beam.Pipeline) -> None:
    """Run a pipeline to its end; a runner is asked to cancel what the user has stopped.

    Raises:
        RuntimeError: of a runner that reports to a job server, with all that it reported: its last word
            alone is seldom the cause.
    """
    result = pipeline.run()
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


def blame(runner: str, error: Exception) -> MiningError:
    """What a runner that cannot start, or a worker of its, has to say, in one line."""
    if _LOST.search(str(error)):
        return CapacityError(
            f"runner {runner}: a worker's process ended without a word, as one that is killed for its "
            "memory does; give workers more, lower execution.tile_rows or raise partitions; run again"
        )
    return ConfigError(f"runner {runner}: {_gist(error)}")


def _gist(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    python = [line for line in lines if _CAUSE.match(line)]
    if python and any(line.endswith("Traceback (most recent call last):") for line in lines):
        return f"a worker failed: {python[-1][:500]}; its log says more"
    java = [match[1] for match in map(_JAVA_CAUSE.match, lines) if match]
    # the innermost cause, as the one around it puts it: that one names the program or address
    if java:
        told = max((cause for cause in java if java[-1] in cause), key=len)
        return f"{told[:500]}; the cluster's logs say more"
    return f"{' '.join(lines)[:500]}; its options go after --"


def build(pipeline: beam.Pipeline, stages: Sequence[Stage], shards: int | None) -> None:
    """Add the phases of ``stages`` to a pipeline: each waits for the one before."""
    gate: tuple[Any, ...] = ()
    for phase in stages[0].phases:
        name = f"{stages[0].name}/{phase}"
        work = [(i, unit) for i, stage in enumerate(stages) for unit in stage.units(phase)]
        done = (
            pipeline
            | f"{name}: units" >> beam.Create(list(deal(work, shards or len(work))))
            | f"{name}: spread" >> beam.Reshuffle()
            | f"{name}: work" >> beam.ParDo(DoUnits(stages, phase), *gate)
        )
        count = done | f"{name}: count" >> beam.combiners.Count.Globally()
        gate = (beam.pvalue.AsSingleton(count),)


def deal(work: Sequence[Work], shards: int) -> Iterable[list[Work]]:
    """Deal units into at most ``shards`` elements, like cards."""
    return (list(work[start::shards]) for start in range(min(shards, len(work))))


def build_options(runner: str, beam_args: Sequence[str]) -> tuple[Any, PipelineOptions]:
    """The runner and its options.

    ``DirectRunner`` means Beam's in-process runner: Beam's own class of that name may try to download
    another runner first.

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
    flags = list(beam_args) if runner == _LOCAL else [f"--runner={runner}", *beam_args]
    try:
        options = PipelineOptions(flags)
        known = options.get_all_options()
        unknown = sorted(set(options.get_all_options(retain_unknown_options=True)) - set(known))
    except SystemExit:  # Beam's option parser has said why
        raise ConfigError(f"Beam options {' '.join(beam_args)}: cannot be read") from None
    options.view_as(SetupOptions).save_main_session = False
    made = FnApiRunner() if runner == _LOCAL else _runner(runner, tuple(beam_args))
    if isinstance(made, PortableRunner):
        _ask_job_server(made, unknown)
    elif unknown:
        raise _unknown(unknown[0])
    return made, options


@lru_cache(maxsize=1)
def _runner(name: str, beam_args: tuple[str, ...]) -> Any:
    """A runner that is the same for all stages of a run, since it may start a job server.

    Raises:
        ConfigError: if it cannot be used.
    """
    del beam_args  # others mean another job server
    try:
        made = beam.runners.runner.create_runner(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"runner {name}: cannot be used: {str(error).splitlines()[0]}") from None
    if isinstance(made, PortableRunner):
        start = made.default_job_server
        servers: list[Any] = []

        def only_one(options: PipelineOptions) -> Any:
            if not servers:
                servers.append(start(options))
            return servers[0]

        made.default_job_server = only_one
    return made


def _ask_job_server(runner: PortableRunner, unknown: Sequence[str]) -> None:
    """Let ``runner`` refuse options that its job server does not know either, instead of dropping them.

    Many of Flink's options are known to its job server only.
    """
    submit = type(runner).create_job_service_handle

    def create_job_service_handle(job_service: Any, options: PipelineOptions) -> Any:
        if unknown:
            seconds = options.view_as(PortableOptions).job_server_timeout
            request = beam_job_api_pb2.DescribePipelineOptionsRequest()
            answer = job_service.DescribePipelineOptions(request, timeout=seconds)
            known = {option.name for option in answer.options}
            # one that lists none, such as that of an uber jar, passes everything on
            for name in sorted(set(unknown) - known) if known else ():
                raise _unknown(name)
        return submit(runner, job_service, options)

    runner.create_job_service_handle = create_job_service_handle


def _unknown(option: str) -> ConfigError:
    """An option that nobody knows."""
    return ConfigError(f"Beam option --{option}: must be one that Beam {beam.__version__} knows")
