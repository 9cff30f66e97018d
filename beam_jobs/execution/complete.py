"""What every run says before its first unit, and does after its last: with Beam and without."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from beam_jobs.forgotten import forgotten_list
from beam_jobs.plan import Plan
from beam_jobs.stage import STAGES
from beam_jobs.stages.reading import ReadingStage
from mining.contract.errors import IncompleteError

_NAMED = 3  # files that a message names


def warn_of_forgetting(plan: Plan) -> None:
    """Tell that something was not forgotten to the end."""
    if forgotten_list(plan.run).pending:
        plan.progress.warn(
            f"{plan.run.output}: something was not forgotten to the end: old results still hold it; run "
            "mining forget again"
        )


def conclude(plan: Plan, stages: Sequence[str]) -> None:
    """When the named stages are finished: state licences anew that the config names otherwise.

    Raises:
        IncompleteError: all is done but for files that had to be left out.
    """
    if "pairs" in stages:
        for stage in plan.pairs():
            stage.restate()
    require_complete(plan, stages)


def require_complete(plan: Plan, stages: Sequence[str]) -> None:
    """Refuse to end as if all were well when files of a corpus were left out.

    Args:
        plan: of the run.
        stages: that are finished; those before them are, too.

    Raises:
        IncompleteError: naming them, and how to try again.
    """
    lines = []
    for stage in _reading(plan, max(map(STAGES.index, stages))):
        lacking = stage.incomplete() if stage.is_done() else {}
        files = [file for unit in lacking.values() for file in unit]
        if files:
            more = f" and {len(files) - _NAMED} more" if len(files) > _NAMED else ""
            note = stage.note(next(iter(lacking)))
            by = "" if stage.name == "prepare" else f" by {stage.name}"
            where = note if len(lacking) == 1 else f"the {len(lacking)} notes beside {note}"
            lines.append(
                f"corpora.{stage.subject}: must be read whole{by}, but processes died at "
                f"{', '.join(files[:_NAMED])}{more}: left out, and the rest done; to try again, remove "
                f"{where} or raise execution.tries"
            )
    if lines:
        raise IncompleteError("\n".join(lines))


def _reading(plan: Plan, last: int) -> Iterator[ReadingStage]:
    """The stages that read files, up to a place in the order of stages."""
    yield from plan.prepare()
    if last >= STAGES.index("transcribe"):
        yield from plan.transcribe()
    if last >= STAGES.index("tokenize"):
        yield from plan.tokenize()
