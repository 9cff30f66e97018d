"""R@1 a language of one or two systems, with what length alone and shuffled audio give."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

_METRIC = "recall_at_1"

Row = dict[str, object]


def write_table(figures: dict[str, Path], output: Path) -> None:
    """Write a Markdown table.

    Args:
        figures: what ``mining evaluate --table`` wrote, by the system's name.
        output: file that is written.
    """
    output.write_text(markdown({name: recalls(path) for name, path in figures.items()}), "utf-8")


def recalls(path: Path) -> dict[str, Row]:
    """R@1 of speech against text of its own language, by language; ``macro`` last."""
    rows = pq.read_table(path).to_pylist()
    own = [row for row in rows if row["metric"] == _METRIC and row["task"] == "own"]
    return {str(row["pair"]).rpartition(" ")[2].partition("-")[0]: row for row in own}


def markdown(systems: dict[str, dict[str, Row]]) -> str:
    """One line a language; the controls are the first system's."""
    names = list(systems)
    first = systems[names[0]]
    lines = [
        f"| R@1 | {' | '.join(names)} | by length | shuffled |",
        "|" + "---|" * (len(names) + 3),
    ]
    for lang, row in first.items():
        values = [_value(systems[name].get(lang)) for name in names]
        controls = [_number(row["length_only"]), _number(row["shuffled"])]
        lines.append(f"| {' | '.join([lang, *values, *controls])} |")
    return "\n".join(lines) + "\n"


def _value(row: Row | None) -> str:
    if row is None:
        return ""
    return f"{_number(row['value'])} [{_number(row['low'])}, {_number(row['high'])}]"


def _number(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else ""
