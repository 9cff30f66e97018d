"""Neighbours in both directions beside two FAISS searches, and ``mine_pairs`` beside a whole miner.

Ratios are of CPU seconds, both sides in turns in one process, with as many threads. Nothing fails on
time; neighbours must be equal. Run with ``-m benchmark -s``; $MINING_BENCHMARK_ROWS rows a side.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
import torch

from mining.contract.vectors import to_stored
from mining.knn import search_arrays
from mining.mine import Search, mine_pairs

pytestmark = pytest.mark.benchmark
BACKENDS = ("exact", "exact-int8", "exact-prefix")

ROWS = int(os.environ.get("MINING_BENCHMARK_ROWS", "10240"))
THREADS, ROUNDS = 1, 3
REAL = Path(os.environ.get("MINING_REAL_DATA", "../shared/data")) / "text/packages"
Side = np.ndarray[Any, np.dtype[np.float16]]


def random(dim: int) -> tuple[Side, Side]:
    """Planted pairs in noise."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((ROWS, dim), dtype=np.float32)
    y = x[rng.permutation(ROWS)] + rng.standard_normal((ROWS, dim), dtype=np.float32)
    return to_stored(x)[0], to_stored(y)[0]


def clustered(dim: int) -> tuple[Side, Side]:
    """A hundred topics."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((100, dim), dtype=np.float32)

    def side() -> Side:
        noise = rng.standard_normal((ROWS, dim), dtype=np.float32)
        return to_stored(centres[rng.integers(0, 100, ROWS)] + 0.5 * noise)[0]

    return side(), side()


def texts(lang: str) -> list[str]:
    import csv
    import gzip

    found: dict[str, None] = {}
    for source in ("office_help", "story_game", "desktop_guide", "office_interface"):
        with gzip.open(REAL / source / f"{lang}.tsv.gz", "rt", encoding="utf-8") as file:
            rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            found |= dict.fromkeys(row["text"] for row in rows if len(row["text"] or "") > 15)
    return list(found)[:ROWS]


def real(dim: int) -> tuple[Side, Side]:
    """What builtin makes of help texts and stories, German and English; 768 dimensions."""
    if not REAL.is_dir():
        pytest.skip(f"needs real texts at {REAL}")
    from encoders import embed_texts, load_encoder

    encoder = load_encoder("builtin")
    sides = (to_stored(embed_texts(encoder, texts(la), la))[0] for la in ("deu", "eng"))
    return next(sides), next(sides)


def in_turns(calls: dict[str, Callable[[], Any]]) -> tuple[dict[str, Any], dict[str, list[float]]]:
    found, seconds = {}, {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            began = time.process_time()
            found[name] = call()
            seconds[name].append(time.process_time() - began)
    return found, seconds


def ratio(seconds: dict[str, list[float]], slow: str, fast: str) -> str:
    each = [a / b for a, b in zip(seconds[slow], seconds[fast], strict=True)]
    return f"{np.median(each):.2f} [{min(each):.2f}, {max(each):.2f}]"


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(THREADS)
    faiss.omp_set_num_threads(THREADS)


@pytest.mark.parametrize("k", [4, 16])
@pytest.mark.parametrize(
    ("kind", "dim"), [(random, 1024), (random, 256), (clustered, 1024), (real, 768)]
)
def test_both_directions_beside_two_faiss_searches(kind, dim, k):
    x, y = kind(dim)
    x32, y32 = x.astype(np.float32), y.astype(np.float32)
    buffer = torch.empty(1024, len(y))

    def floor() -> None:
        for start in range(0, len(x), 1024):
            part = torch.from_numpy(x32[start : start + 1024])
            torch.mm(part, torch.from_numpy(y32).T, out=buffer[: len(part)])

    def two_searches() -> list[Any]:
        metric = faiss.METRIC_INNER_PRODUCT
        return [faiss.knn(*sides, k, metric=metric)[1] for sides in ((x32, y32), (y32, x32))]

    def ours(backend: str) -> Callable[[], Any]:
        return lambda: search_arrays(x, y, k, backend=backend, threads=THREADS)

    for backend in BACKENDS:
        some = slice(0, 500 if backend == "exact" else 8200)  # so many that there are bounds
        search_arrays(x[some], y[some], k, backend=backend, threads=THREADS)  # compiles
    calls = {"floor": floor, "faiss": two_searches} | {name: ours(name) for name in BACKENDS}
    found, seconds = in_turns(calls)
    for name in BACKENDS:
        for one, other in zip(found["exact"], found[name], strict=True):
            assert np.array_equal(one.row, other.row)
            assert np.array_equal(one.similarity, other.similarity)
        rescanned = sum(one.rescanned for one in found[name])
        print(
            f"\n{kind.__name__} {len(x)} x {len(y)}, D={dim}, k={k}, {THREADS} thread: {name} is "
            f"{ratio(seconds, 'faiss', name)} times as fast as two FAISS searches, takes "
            f"{ratio(seconds, name, 'floor')} of one GEMM, {rescanned} rows scanned again"
        )
    same = np.mean([
        set(a) == set(b) for a, b in zip(found["exact"][0].row.tolist(), found["faiss"][0].tolist(),
                                         strict=True)
    ])  # fmt: skip
    print(f"rows with FAISS' set of neighbours: {same:.5f}")


@pytest.mark.parametrize("dim", [1024, 256])
def test_mine_pairs_beside_the_steps_of_a_miner(dim):
    """sentence-transformers' bitext-mining example: FAISS both ways, its scoring loops, greedy."""
    x, y = random(dim)
    x32, y32 = x.astype(np.float32), y.astype(np.float32)
    k = 4

    def score(a: Any, b: Any, fwd: Any, bwd: Any) -> float:
        return float(a.dot(b) / ((fwd + bwd) / 2))

    def score_candidates(x: Any, y: Any, index: Any, means: tuple[Any, Any]) -> Any:
        scores = np.zeros(index.shape)
        for i in range(scores.shape[0]):
            for j in range(scores.shape[1]):
                found = index[i, j]
                scores[i, j] = score(x[i], y[found], means[0][i], means[1][found])
        return scores

    def miner() -> set[tuple[int, int]]:
        metric = faiss.METRIC_INNER_PRODUCT
        (x_sim, x_ind), (y_sim, y_ind) = (
            faiss.knn(*sides, k, metric=metric) for sides in ((x32, y32), (y32, x32))
        )
        x_mean, y_mean = x_sim.mean(axis=1), y_sim.mean(axis=1)
        fwd = score_candidates(x32, y32, x_ind, (x_mean, y_mean))
        bwd = score_candidates(y32, x32, y_ind, (y_mean, x_mean))
        pairs = [(fwd[i].max(), i, x_ind[i, fwd[i].argmax()]) for i in range(len(x))]
        pairs += [(bwd[j].max(), y_ind[j, bwd[j].argmax()], j) for j in range(len(y))]
        seen_x: set[int] = set()
        seen_y: set[int] = set()
        taken = set()
        for value, i, j in sorted(pairs, key=lambda pair: -pair[0]):
            if value < 1.0:
                break
            if i not in seen_x and j not in seen_y:
                seen_x.add(i)
                seen_y.add(j)
                taken.add((int(i), int(j)))
        return taken

    calls = {
        "miner": miner,
        "mine_pairs": lambda: mine_pairs(x, y, k=k, threshold=1.0, search=Search(threads=THREADS)),
    }
    mine_pairs(x[:8200], y[:8200], search=Search(threads=THREADS))  # compiles
    found, seconds = in_turns(calls)
    table = found["mine_pairs"]
    ours = set(zip(table["src_row"].to_pylist(), table["tgt_row"].to_pylist(), strict=True))
    print(
        f"\nmine_pairs, random {len(x)} x {len(y)}, D={dim}: "
        f"{ratio(seconds, 'miner', 'mine_pairs')} times as fast as the steps of a miner; "
        f"{len(ours & found['miner'])} of {len(found['miner'])} pairs are the same"
    )
    assert len(ours & found["miner"]) > 0.999 * len(found["miner"])
