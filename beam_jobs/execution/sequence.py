"""The stages of a run in their order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from beam_jobs.plan import Plan
from beam_jobs.stage import Stage


def stages_of(plan: Plan, name: str) -> Sequence[Stage]:
    """The stages of a name, one a corpus or task; those before must be finished.

    Raises:
        MiningError: if they are not, or what they found is of no use.
    """
    planned: Mapping[str, Callable[[], Sequence[Stage]]] = {
        "prepare": plan.prepare,
        "transcribe": plan.transcribe,
        "tokenize": plan.tokenize,
        "embed": plan.embed,
        "knn": plan.knn,
        "pairs": plan.pairs,
    }
    return planned[name]()


def by_kind(stages: Sequence[Stage]) -> list[list[Stage]]:
    """Stages of one class each: text and speech, for instance, are prepared in phases of their own."""
    return [[s for s in stages if type(s) is kind] for kind in dict.fromkeys(map(type, stages))]
