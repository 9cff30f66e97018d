"""What ``mining run`` prints at its end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from beam_jobs.evaluation import judge
from beam_jobs.plan import Plan
from mining.evaluate.judge import Figure, Judged
from mining.io.dataset import read_manifest

_METRICS = ("precision", "recall", "f1")


def summarise(plan: Plan) -> str:
    """Pairs of each task and language pair; with gold, their precision, recall and F1."""
    return "\n".join(_lines(plan))


def _lines(plan: Plan) -> Iterator[str]:
    config = plan.run.config
    for corpus in plan.corpora:
        yield f"{corpus}: {_read(plan.segments(corpus).counters)}"
    gold = config.evaluate is not None
    width = max(len("task"), *map(len, config.tasks))
    yield f"{'task':<{width}} {'languages':<16} {'pairs':>8} {'threshold':>10}" + (
        "      P  [95 %]        R  [95 %]       F1  [95 %]" if gold else ""
    )
    for task in config.tasks:
        manifest = read_manifest(plan.run.dataset("pairs", task), plan.run.storage)
        evaluation = judge(plan, task, retrieval=False) if gold else None
        judged: dict[str, Judged] = {}
        if evaluation is not None:
            judged = {one.key.name: one for one in evaluation.pairs}
        for pair, threshold in manifest.attributes["thresholds"].items():
            shown = "none" if threshold is None else f"{threshold:.3f}"
            line = f"{task:<{width}} {pair:<16} {manifest.counters[f'kept.{pair}']:>8} {shown:>10}"
            yield line + (_figures(judged[pair].figures) if pair in judged else "")
        if evaluation is not None:
            yield f"{task:<{width}} {'macro':<16} {'':>8} {'':>10}" + _figures(evaluation.macro)
            f1 = evaluation.macro["f1"]
            yield (
                f"{task:<{width}} macro F1 by length alone {f1.length_only:.2f}, at random "
                f"{f1.random:.2f}"
            )
        elif gold:
            yield f"{task:<{width}} (the gold holds none of its language pairs)"
    yield f"pairs are in {plan.run.dataset('pairs')}"


def _read(counters: Mapping[str, int]) -> str:
    """``183 rows, 380 segments, rejected: bad_json 1``."""
    rejected = [
        f"{name.removeprefix('rejected.')} {count}"
        for name, count in counters.items()
        if name.startswith("rejected.")
    ]
    read = f"{counters.get('rows_in', 0)} rows, {counters.get('segments', 0)} segments"
    return f"{read}, rejected: {', '.join(rejected) or 'none'}"


def _figures(figures: Mapping[str, Figure]) -> str:
    return "".join(
        f"   {figures[m].value:.2f} [{figures[m].low:.2f},{figures[m].high:.2f}]" for m in _METRICS
    )
