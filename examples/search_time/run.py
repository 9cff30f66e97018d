"""Time of the search for neighbours against the number of rows: ``run.py OUT [--rows 10000 30000 ...]``.

One thread, processor seconds, both directions, k = 4. ``OUT/times.tsv`` holds what is measured, and is
gone on with; ``OUT/search_time.png`` is drawn where matplotlib is installed.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path

import numpy as np

from mining.contract.vectors import to_stored
from mining.knn import approximate_arrays, measure_recall, search_arrays

DIM, TOPICS, K, PROBES = 128, 1000, 4, 32
# Rows up to which a search is made whole; beyond, the first rows of one side against all of the other,
# times as many. An index is always built and searched whole.
WHOLE = {"faiss-flat": 100_000, "exact": 100_000, "exact-int8": 300_000}
PART = 10_240
COLUMNS = ("rows", "search", "cpu_s", "whole", "recall", "best_kept")


def vectors(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Planted pairs: topics, sentences in them, and a translation's noise; float16 [rows, DIM] each."""
    rng = np.random.default_rng(rows)
    topics = rng.standard_normal((TOPICS, DIM), np.float32)
    sides = np.empty((2, rows, DIM), np.float16)
    for start in range(0, rows, 65536):
        count = min(65536, rows - start)
        meaning = topics[rng.integers(0, TOPICS, count)] + rng.standard_normal(
            (count, DIM), np.float32
        )
        for side in range(2):
            noise = 0.5 * rng.standard_normal((count, DIM), np.float32)
            sides[side, start : start + count] = to_stored(meaning + noise)[0]
    return sides[0], sides[1][rng.permutation(rows)]


def measure(x: np.ndarray, y: np.ndarray, search: str) -> dict[str, str]:
    """One row of the table."""
    rows = len(x)
    began = time.process_time()
    if search.startswith("ivf"):
        found = approximate_arrays(x, y, K, index=search, probes=PROBES, threads=1)
        seconds = time.process_time() - began
        seen = measure_recall(x, y, found, sample=500, threads=1)
        return {"cpu_s": f"{seconds:.1f}", "whole": "yes",
                "recall": f"{seen.recall:.4f}", "best_kept": f"{seen.best_kept:.4f}"}  # fmt: skip
    whole = rows <= WHOLE[search]
    part = x if whole else x[:PART]
    search_arrays(part, y, K, backend=search, threads=1)
    seconds = (time.process_time() - began) * rows / len(part)
    return {
        "cpu_s": f"{seconds:.1f}",
        "whole": "yes" if whole else "no",
        "recall": "1",
        "best_kept": "1",
    }


def read(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def draw(rows: list[dict[str, str]], path: Path) -> None:
    """Seconds against rows, both on a scale of powers of ten."""
    try:
        import matplotlib
    except ImportError:
        print("matplotlib is not installed: no plot")
        return
    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.5))
    for search in dict.fromkeys(row["search"] for row in rows):
        own = sorted(
            (int(r["rows"]), float(r["cpu_s"]), r["whole"]) for r in rows if r["search"] == search
        )
        (line,) = axes.plot([n for n, *_ in own], [s for _, s, _ in own], label=search)
        for whole, face in (("yes", line.get_color()), ("no", "white")):
            some = [(n, s) for n, s, w in own if w == whole]
            axes.scatter(*zip(*some, strict=True) if some else ([], []), color=line.get_color(),
                         facecolor=face, zorder=3)  # fmt: skip
    axes.set(
        xscale="log", yscale="log", xlabel="rows a side", ylabel="processor seconds, one thread"
    )
    axes.set_title(
        f"k-NN both ways, D = {DIM}, k = {K} (hollow: from a part of the rows)", fontsize=10
    )
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110, metadata={"Software": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--rows", type=int, nargs="+", default=[10_000, 30_000, 100_000, 300_000, 1_000_000]
    )
    parser.add_argument(
        "--searches", nargs="+", default=["faiss-flat", "exact", "exact-int8", "ivf-flat"]
    )
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    path = asked.out / "times.tsv"
    done = read(path)
    for rows in asked.rows:
        left = [s for s in asked.searches if not any(
            (r["rows"], r["search"]) == (str(rows), s) for r in done)]  # fmt: skip
        if not left:
            continue
        x, y = vectors(rows)
        for search in left:
            if not search.startswith("ivf"):
                search_arrays(x[:500], y[:500], K, backend=search, threads=1)  # compiles
            done.append({"rows": str(rows), "search": search} | measure(x, y, search))
            print(done[-1], flush=True)
            with path.open("w", newline="") as stream:
                table = csv.DictWriter(stream, COLUMNS, delimiter="\t", lineterminator="\n")
                table.writeheader()
                table.writerows(done)
    draw(done, asked.out / "search_time.png")


if __name__ == "__main__":
    main()
