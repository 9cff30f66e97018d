"""The rounds as a table for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any


def rounds_table(report: Mapping[str, Any], seconds: Mapping[str, Mapping[str, float]]) -> str:
    """One line a round: what it learned from, what that gave, how long it took.

    Args:
        report: of the rounds, as ``report.json`` holds it.
        seconds: of each round, by step.
    """
    return "\n".join(_lines(report, seconds))


def _lines(report: Mapping[str, Any], seconds: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    title = f"{report['task']} {report['metric']} [95 %]"
    wide = max(len(title), 20)
    yield f"round    mined     kept  {title:<{wide}} {'seconds':>8}  refused"
    for one in report["rounds"]:
        number, best = one["round"], "*" if one["round"] == report["best"] else " "
        mined = kept = "-"
        reasons: Counter[str] = Counter()
        if one["learned"] is not None:
            tasks = one["learned"].values()
            mined, kept = (str(sum(task[name] for task in tasks)) for name in ("mined", "kept"))
            for task in tasks:
                reasons.update(task["rejected"])
        took = sum(seconds.get(str(number), {}).values())
        refused = ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items()))
        shown = _shown(one["figure"])
        yield f"{number:>4}{best} {mined:>8} {kept:>8}  {shown:<{wide}} {took:>8.1f}  {refused or '-'}"
    yield f"best: round {report['best']}; over: {report['over']}"


def _shown(figure: Mapping[str, Any]) -> str:
    low, high = figure["low"], figure["high"]
    if low is None or high is None:
        return f"{figure['value']:.3f}"
    return f"{figure['value']:.3f} [{low:.3f},{high:.3f}]"
