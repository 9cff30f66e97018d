"""An evaluation as text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mining.evaluate.boundary import Boundary
from mining.evaluate.judge import Evaluation, Figure

_BLOCKS = (
    ("as mined", ("precision", "recall", "f1")),
    ("at the threshold of best F1", ("best_precision", "best_recall", "best_f1")),
    ("retrieval", ("xsim", "recall_at_1", "recall_at_5", "mrr")),
)
_TITLES = {
    "precision": "P",
    "recall": "R",
    "f1": "F1",
    "best_precision": "P",
    "best_recall": "R",
    "best_f1": "F1",
    "xsim": "xsim (error)",
    "recall_at_1": "R@1",
    "recall_at_5": "R@5",
    "mrr": "MRR",
}


def render(evaluation: Evaluation) -> str:
    """Tables per block of metrics: one line a language pair, the mean last.

    A figure reads ``.93 [.91,.95] .02 .00``: value, 95 % interval, and two controls: length only,
    then random or, where there is speech, shuffled audio, which leaves the random one nothing to say.
    """
    blocks = []
    for title, metrics in _BLOCKS:
        present = [metric for metric in metrics if metric in evaluation.macro]
        if present:
            header = [title, "gold", "mined", "threshold", *(_TITLES[m] for m in present)]
            lines = [
                [
                    judged.key.name,
                    str(judged.golds),
                    str(judged.mined),
                    f"{judged.best_threshold:.3f}" if metrics is _BLOCKS[1][1] else "",
                    *_cells(judged.figures, present),
                ]
                for judged in evaluation.pairs
            ]
            lines.append(["macro", "", "", "", *_cells(evaluation.macro, present)])
            blocks.append(_aligned([header, *lines]))
    if evaluation.boundaries:
        blocks.append(_aligned(_boundary_lines(evaluation)))
    speech = any(figure.shuffled is not None for figure in evaluation.macro.values())
    chance = "shuffled-audio" if speech else "random"
    legend = f"Each figure: value [95 % interval] length-only control, {chance} control."
    return "\n\n".join([*blocks, legend]) + "\n"


def _boundary_lines(evaluation: Evaluation) -> list[list[str]]:
    title = "boundary errors of hits, ms"
    columns = ["start median", "start p90", "end median", "end p90"]
    named = [(judged.key.name, judged.boundaries) for judged in evaluation.pairs]
    return [
        [title, "side", "hits", *columns],
        *(
            _boundary_line(name, side)
            for name, sides in (*named, ("pooled", evaluation.boundaries))
            for side in sides
        ),
    ]


def _boundary_line(name: str, side: Boundary) -> list[str]:
    figures = (side.start_median_ms, side.start_p90_ms, side.end_median_ms, side.end_p90_ms)
    return [name, side.side, str(side.hits), *(f"{figure:.0f}" for figure in figures)]


def _cells(figures: Mapping[str, Figure], metrics: Sequence[str]) -> list[str]:
    return [_cell(figures[metric]) if metric in figures else "-" for metric in metrics]


def _cell(figure: Figure) -> str:
    control = figure.random if figure.shuffled is None else figure.shuffled
    value, low, high, length, chance = map(
        _share, (figure.value, figure.low, figure.high, figure.length_only, control)
    )
    return f"{value} [{low},{high}] {length} {chance}"


def _share(value: float) -> str:
    """``.93``; ``1.0`` for nothing less than one, so ``.997``."""
    if value == 1:
        return "1.0"
    text = f"{value:.2f}" if value < 0.995 else f"{min(value, 0.999):.3f}"
    return text.removeprefix("0")


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    used = [c for c in range(len(rows[0])) if c == 0 or any(row[c] for row in rows[1:])]
    width = {c: max(len(row[c]) for row in rows) for c in used}
    return "\n".join(
        "  ".join(row[c].ljust(width[c]) if c == 0 else row[c].rjust(width[c]) for c in used)
        for row in rows
    )
