"""What ``mining run`` prints at its end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from beam_jobs.evaluation import judge
from beam_jobs.plan import Plan
from mining.evaluate.judge import Figure, Judged
from mining.io.dataset import read_manifest

_METRICS = ("precision", "recall", "f1")
_HEADER = f"{'task':<8} {'languages':<16} {'pairs':>8} {'threshold':>10}"


def summarise(plan: Plan) -> str:
    """Pairs of each task and language pair; with gold, their precision, recall and F1."""
    return "\n".join(_lines(plan))


def _lines(plan: Plan) -> Iterator[str]:
    gold = plan.run.config.evaluate is not None
    yield _HEADER + ("      P  [95 %]        R  [95 %]       F1  [95 %]" if gold else "")
    for task in plan.run.config.tasks:
        manifest = read_manifest(plan.run.dataset("pairs", task), plan.run.storage)
        evaluation = judge(plan, task, retrieval=False) if gold else None
        if gold and evaluation is None:
            yield f"{task:<8} (the gold holds none of its language pairs)"
        judged: dict[str, Judged] = {}
        if evaluation is not None:
            judged = {one.key.name: one for one in evaluation.pairs}
        for pair, threshold in manifest.attributes["thresholds"].items():
            shown = "none" if threshold is None else f"{threshold:.3f}"
            line = f"{task:<8} {pair:<16} {manifest.counters[f'kept.{pair}']:>8} {shown:>10}"
            yield line + (_figures(judged[pair].figures) if pair in judged else "")
        if evaluation is not None:
            yield f"{task:<8} {'macro':<16} {'':>8} {'':>10}" + _figures(evaluation.macro)
            yield _controls(task, evaluation.macro)
    yield f"pairs are in {plan.run.dataset('pairs')}"


def _figures(figures: Mapping[str, Figure]) -> str:
    return "".join(
        f"   {figures[m].value:.2f} [{figures[m].low:.2f},{figures[m].high:.2f}]" for m in _METRICS
    )


def _controls(task: str, macro: Mapping[str, Figure]) -> str:
    f1 = macro["f1"]
    return f"{task:<8} macro F1 by length alone {f1.length_only:.2f}, at random {f1.random:.2f}"
