"""All figures in one file, a table for people, and a plot."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from corpus import ENGLISH, TEXTS, UNSEEN
from judging import OWN

_TARGETS = (OWN, ENGLISH)
_TIES = {"own": "separate", "spelling": "tied"}

Row = dict[str, str]
Key = tuple[str, str, str, str, str]  # system, tie, kind, target, language


def write_table(output: Path) -> None:
    """Write ``results.tsv``, ``table.md`` and, where matplotlib is installed, ``plot.svg``."""
    rows = gathered(output / "results")
    with (output / "results.tsv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    (output / "table.md").write_text(markdown(rows), encoding="utf-8")
    try:
        import matplotlib
    except ImportError:
        print("matplotlib is not installed: no plot")
        return
    matplotlib.use("svg")
    matplotlib.rcParams["svg.fonttype"] = "none"  # a tenth of the size
    matplotlib.rcParams["svg.hashsalt"] = "unseen"  # else ids differ from run to run
    _plot(rows, output / "plot.svg")


def gathered(folder: Path) -> list[Row]:
    """The figures of all pieces, with what each piece was."""
    rows = []
    for path in sorted(folder.glob("*.tsv")):
        parts = path.stem.split("-")
        if parts[0] == "letters":
            system, tie, seed = f"letters ({parts[1]} own speech)", "", ""
        else:
            speech, text, tie, seed = parts
            system = "topline" if speech == "with" else text
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                rows.append({"system": system, "tie": _TIES.get(tie, tie), "seed": seed, **row})
    return rows


def markdown(rows: Sequence[Row]) -> str:
    """A table of each kind of speech: R@1 in per cent, the mean over seeds and the range."""
    found = by_key(rows)
    kinds = sorted({key[2] for key in found}, key=("synthetic", "clips", "prompts").index)
    return "\n".join(_of_kind(rows, found, kind) for kind in kinds)


def by_key(rows: Sequence[Row]) -> dict[Key, list[float]]:
    """R@1 of each seed, in per cent."""
    found: dict[Key, list[float]] = defaultdict(list)
    for row in rows:
        key = (row["system"], row["tie"], row["kind"], row["target"], row["lang"])
        found[key].append(100 * float(row["recall"]))
    return found


def _of_kind(rows: Sequence[Row], found: dict[Key, list[float]], kind: str) -> str:
    columns = [
        (target, lang)
        for target in _TARGETS
        for lang in UNSEEN
        if any(key[2:] == (kind, target, lang) for key in found)
    ]
    names = [f"{lang} -> {lang if target == OWN else target}" for target, lang in columns]
    lines = [f"| {kind} | audio tokens | {' | '.join(names)} |", "|---" * (2 + len(names)) + "|"]
    systems = [(text, tie) for text in (*TEXTS, "topline") for tie in _TIES.values()]
    systems += sorted({(key[0], "") for key in found if not key[1]})
    for system, tie in systems:
        cells = [shown(found.get((system, tie, kind, *column), [])) for column in columns]
        if any(cells):
            lines.append(f"| {system} | {tie} | {' | '.join(cells)} |")
    lengths, sizes = [], []
    for target, lang in columns:
        mine = [r for r in rows if (r["kind"], r["target"], r["lang"]) == (kind, target, lang)]
        lengths.append(f"{100 * mean(float(row['by_length']) for row in mine):.1f}")
        sizes.append(f"{mine[0]['queries']} in {mine[0]['pool']}")
    lines += [f"| length only | | {' | '.join(lengths)} |"]
    lines += [f"| queries, texts | | {' | '.join(sizes)} |", ""]
    return "\n".join(lines)


def shown(figures: Sequence[float]) -> str:
    """Mean and range: ``62 (60-65)``; one digit where it is small."""
    if not figures:
        return ""
    digits = 0 if max(figures) >= 10 else 1
    text = f"{mean(figures):.{digits}f}"
    if len(figures) == 1:
        return text
    return f"{text} ({min(figures):.{digits}f}-{max(figures):.{digits}f})"


def _plot(rows: Sequence[Row], path: Path) -> None:
    from matplotlib import pyplot as plt

    found = by_key(rows)
    figure, axes = plt.subplots(
        2, len(UNSEEN), figsize=(9, 4.6), sharex=True, sharey=True, layout="constrained"
    )
    for target, line in zip(_TARGETS, axes, strict=True):
        for lang, panel in zip(UNSEEN, line, strict=True):
            for tie, colour in zip(_TIES.values(), ("tab:orange", "tab:blue"), strict=True):
                keys = [(text, tie, "synthetic", target, lang) for text in TEXTS]
                there = [place for place, key in enumerate(keys) if key in found]
                some = [found[keys[place]] for place in there]
                means = [mean(one) for one in some]
                below = [m - min(one) for m, one in zip(means, some, strict=True)]
                above = [max(one) - m for m, one in zip(means, some, strict=True)]
                panel.errorbar(there, means, [below, above], color=colour, marker="o", capsize=3,
                               label=f"audio tokens {tie}")  # fmt: skip
            level = found.get(("letters (without own speech)", "", "synthetic", target, lang), [])
            top = found.get(("topline", "tied", "synthetic", target, lang), [])
            if top:
                panel.axhline(mean(top), color="tab:green", ls="--", label="topline, tied")
            if level:
                panel.axhline(mean(level), color="grey", ls=":", label="shared letters, untrained")
            panel.set_title(f"{lang} -> {lang if target == OWN else target}", fontsize=9)
            panel.set_xticks(range(len(TEXTS)), TEXTS, fontsize=8)
            panel.set_ylim(0, 100)
        line[0].set_ylabel("R@1, %")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
