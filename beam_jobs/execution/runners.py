"""Beam's runners: which are taken, what they are told, and what they mean when they fail."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions, SetupOptions
from apache_beam.portability.api import beam_job_api_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.portability.portable_runner import PortableRunner

from beam_jobs.execution.dataflow import check_buckets
from mining.config.execution import DATAFLOW
from mining.contract.errors import CapacityError, ConfigError, MiningError

LOCAL = "DirectRunner"
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
    named = [] if runner == LOCAL else [f"--runner={runner}"]
    try:
        options = PipelineOptions([*named, *own, *beam_args])
        known = options.get_all_options()
        unknown = sorted(set(options.get_all_options(retain_unknown_options=True)) - set(known))
    except SystemExit:  # Beam's option parser has said why
        raise ConfigError(f"Beam options {' '.join(beam_args)}: cannot be read") from None
    if runner == DATAFLOW:
        check_buckets(known)
    options.view_as(SetupOptions).save_main_session = False
    made = FnApiRunner() if runner == LOCAL else _runner(runner, tuple(beam_args))
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


def blame(runner: str, error: Exception) -> MiningError:
    """What a runner that cannot start, or a worker of its, has to say, in one line."""
    if _LOST.search(str(error)):
        return CapacityError(
            f"runner {runner}: a worker's process ended without a word, as one that is killed for its "
            "memory does; give workers more, lower execution.tile_rows or raise partitions; run again"
        )
    return ConfigError(f"runner {runner}: {gist(error)}")


def gist(error: Exception) -> str:
    """The cause among all that a runner or a cluster reported, in one line."""
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
