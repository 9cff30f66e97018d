"""Build every stage's job as Dataflow would be sent it, and say what is in it; nothing is sent.

No address of an object store is opened. Units of work are in the job as far as they can be known: from a
local output, up to the first stage whose input is not finished there. The others are built without
units; image, resources and options are those of the real job.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from beam_jobs.execution.dataflow import addresses
from beam_jobs.execution.pipeline import build_job
from beam_jobs.plan import Plan
from beam_jobs.stage import Stage
from beam_jobs.stages.document_knn import DocumentKnn
from beam_jobs.stages.embed import Embed
from beam_jobs.stages.knn import Knn
from beam_jobs.stages.pairs import Pairs
from beam_jobs.stages.prepare import Prepare
from beam_jobs.stages.prepare_speech import PrepareSpeech
from beam_jobs.stages.tokenize import Tokenize
from beam_jobs.stages.transcribe import Transcribe
from mining.config.execution import DATAFLOW
from mining.contract.errors import ConfigError, DatasetError, InputError
from mining.contract.schemas import SPEECH
from mining.contract.uris import canonical_uri

_THEIRS = "of Dataflow's choice"


@dataclass(frozen=True, kw_only=True)
class Built:
    """A job that was built.

    Attributes:
        kind: of the stage.
        units: how many are in it; None where they are not known yet.
        job: Beam's own.
    """

    kind: type[Stage]
    units: int | None
    job: Any


def describe_jobs(plan: Plan, beam_args: Sequence[str]) -> Iterator[str]:
    """A line a job, and one that says what this proves.

    Raises:
        ConfigError: if the runner is another one, or an option is wrong.
    """
    for built in build_jobs(plan, beam_args):
        yield _line(built)
    yield "built only: nothing was sent, no credentials, quotas, buckets or images were looked at"


def build_jobs(plan: Plan, beam_args: Sequence[str]) -> Iterator[Built]:
    """The job of each stage, in order.

    Raises:
        ConfigError: if the runner is another one, or an option is wrong.
    """
    config = plan.run.config
    if config.execution.runner != DATAFLOW:
        raise ConfigError(
            f"--dry_run: runner must be {DATAFLOW}, but is {config.execution.runner}; mining plan "
            "foretells a run on any"
        )
    os.environ["NO_GCE_CHECK"] = "true"  # Google's libraries ask for a machine of theirs
    is_local = all("://" not in canonical_uri(uri) for _, uri in addresses(config))
    for kind, planned in _kinds(plan):
        known = _known(planned) if is_local else None
        is_local = known is not None
        stages = [stage for stage in known or () if type(stage) is kind]
        yield Built(
            kind=kind,
            units=None if known is None else _count(stages),
            job=build_job(kind, stages, config.execution, beam_args),
        )


def _kinds(plan: Plan) -> Iterator[tuple[type[Stage], Callable[[], Sequence[Stage]]]]:
    """Kinds of stages that a run goes through, and how each is planned."""
    corpora = [plan.run.config.corpora[name] for name in plan.corpora]
    found: list[tuple[type[Stage], Any, bool]] = [
        (Prepare, plan.prepare, any(corpus.modality != SPEECH for corpus in corpora)),
        (PrepareSpeech, plan.prepare, any(corpus.modality == SPEECH for corpus in corpora)),
        (Transcribe, plan.transcribe, bool(plan.recognisers)),
        (Tokenize, plan.tokenize, bool(plan.tokenizers)),
        (Embed, plan.embed, True),
        (Knn, plan.knn, any(t.documents is None for t in plan.run.config.tasks.values())),
        (DocumentKnn, plan.knn, any(t.documents for t in plan.run.config.tasks.values())),
        (Pairs, plan.pairs, True),
    ]
    return ((kind, planned) for kind, planned, is_there in found if is_there)


def _known(planned: Callable[[], Sequence[Stage]]) -> Sequence[Stage] | None:
    """The stages, if what they read is finished."""
    try:
        return planned()
    except (DatasetError, InputError):
        return None


def _count(stages: Sequence[Stage]) -> int:
    return sum(len(stage.units(phase)) for stage in stages for phase in stage.phases)


def _line(built: Built) -> str:
    """What is in a job, as its own protocol buffer says it."""
    options = built.job.options.get_all_options()
    hints = [e.resource_hints for e in built.job.proto_pipeline.components.environments.values()]
    wanted = {urn.split(":")[2]: value.decode() for hint in hints for urn, value in hint.items()}
    units = "units not known yet" if built.units is None else f"{built.units} units"
    ram = wanted.get("min_ram_bytes")
    facts = [
        units,
        f"image {options['sdk_container_image']}",
        f"machine {options['machine_type'] or _THEIRS}",
        f"accelerator {wanted.get('accelerator', 'none')}",
        f"memory {f'{int(ram) / 2**30:g} GiB' if ram else _THEIRS}",
        f"graph {built.job.proto_pipeline.ByteSize() / 1000:.0f} kB",
    ]
    return f"{built.kind.name} ({', '.join(built.kind.phases)}): {'; '.join(facts)}"
