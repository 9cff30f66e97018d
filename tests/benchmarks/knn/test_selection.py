"""Selection beside the plain loops: LASER's ``--retrieval max`` (sort, then two sets).

The loops here walk lists, which is two to three times as fast as LASER's own walk over rows of an
array (``source/mine_bitexts.py``), and stop at the threshold, where LASER's goes on. Both sides get the
same arrays and must choose the same pairs. Ratios are printed; run with ``-m benchmark -s``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mining.score import Nearest, ScoreSettings, select_arrays
from mining.score.margins import best_first
from mining.score.one_to_one import one_to_one

CANDIDATES, SIDE, K, ROUNDS = 10_000_000, 1_430_000, 4, 2
Pairs = tuple[list[int], list[int], list[float]]


def interleaved(ours: Callable[[], Any], loop: Callable[[], Any], what: str) -> tuple[Any, Any]:
    """Run both in turns, print the ratio of their CPU seconds, return what they found."""
    seconds: dict[str, list[float]] = {"ours": [], "loop": []}
    found = {}
    for _ in range(ROUNDS):
        for name, call in (("ours", ours), ("loop", loop)):
            began = time.process_time()  # of the CPU: others may use the machine
            found[name] = call()
            seconds[name].append(time.process_time() - began)
    mean = {name: float(np.mean(some)) for name, some in seconds.items()}
    print(
        f"\n{what}: {mean['ours']:.2f} CPU seconds here, {mean['loop']:.2f} in the plain loop, "
        f"{mean['loop'] / mean['ours']:.1f} times as fast"
    )
    return found["ours"], found["loop"]


def greedy(src: np.ndarray, tgt: np.ndarray, score: np.ndarray, threshold: float) -> Pairs:
    order = np.argsort(-score, kind="stable")
    seen_src: set[int] = set()
    seen_tgt: set[int] = set()
    kept: Pairs = [], [], []
    rows = zip(src[order].tolist(), tgt[order].tolist(), score[order].tolist(), strict=True)
    for i, j, value in rows:
        if value < threshold:
            break
        if i not in seen_src and j not in seen_tgt:
            seen_src.add(i)
            seen_tgt.add(j)
            kept[0].append(i)
            kept[1].append(j)
            kept[2].append(value)
    return kept


def vectorised(src: np.ndarray, tgt: np.ndarray, score: np.ndarray, threshold: float) -> Pairs:
    same = np.zeros(len(score), np.float32)  # similarities: ties stay as they stand
    if threshold == -np.inf:
        rows = best_first(score, same)
    else:
        rows = np.flatnonzero(score.astype(np.float64) >= threshold)
        rows = rows[best_first(score[rows], same[rows])]
    rows = rows[one_to_one(src[rows], tgt[rows])]
    return src[rows], tgt[rows], score[rows]


@pytest.mark.benchmark
@pytest.mark.parametrize("threshold", [-np.inf, 1.06], ids=["no threshold", "threshold 1.06"])
def test_one_to_one_of_ten_million_candidates(threshold: float) -> None:
    rng = np.random.default_rng(0)
    half = CANDIDATES // 2
    src = np.concatenate([np.arange(half), rng.integers(0, half, half)])
    tgt = np.concatenate([rng.integers(0, half, half), np.arange(half)])
    score = rng.normal(1.03, 0.05, CANDIDATES).astype(np.float32)
    vectorised(src[:100_000], tgt[:100_000], score[:100_000], threshold)  # compiles
    ours, loop = interleaved(
        lambda: vectorised(src, tgt, score, threshold),
        lambda: greedy(src, tgt, score, threshold),
        f"one-to-one of {CANDIDATES:,} candidates, threshold {threshold}",
    )
    assert len(loop[0]) > 100_000
    for one, other in zip(ours, loop, strict=True):
        assert np.array_equal(one, np.array(other, one.dtype))


def planted(rng: np.random.Generator) -> tuple[Nearest, Nearest]:
    """Neighbours of as many sources as targets; row i of both mean the same."""
    own = rng.uniform(0.5, 0.95, SIDE).astype(np.float32)

    def side() -> Nearest:
        steps = np.cumsum(rng.integers(1, SIDE // K, (SIDE, K - 1)), axis=1)
        others = (np.arange(SIDE)[:, None] + steps) % SIDE
        index = np.concatenate([np.arange(SIDE)[:, None], others], axis=1)
        far = rng.uniform(0.3, 0.7, (SIDE, K - 1)).astype(np.float32)
        similarity = np.concatenate([own[:, None], far], axis=1)
        order = np.argsort(-similarity, axis=1, kind="stable")
        return Nearest(
            index=np.take_along_axis(index, order, axis=1),
            similarity=np.take_along_axis(similarity, order, axis=1),
        )

    return side(), side()


def loops(forward: Nearest, backward: Nearest, threshold: float) -> Pairs:
    """Margin of every neighbour, each row's best, both directions together, sort, two sets."""
    sides = [(n.index.tolist(), n.similarity.tolist()) for n in (forward, backward)]
    fwd_mean, bwd_mean = ([sum(row) / len(row) for row in values] for _, values in sides)
    best: list[list[int]] = []
    scores: list[float] = []
    for (index, values), mean, others in zip(
        sides, (fwd_mean, bwd_mean), (bwd_mean, fwd_mean), strict=True
    ):
        chosen = []
        for i, (found, near) in enumerate(zip(index, values, strict=True)):
            ratios = [a / ((mean[i] + others[j]) / 2) for j, a in zip(found, near, strict=True)]
            top = max(ratios)
            chosen.append(found[ratios.index(top)])
            scores.append(top)
        best.append(chosen)
    src = np.array([*range(len(best[0])), *best[1]])
    tgt = np.array([*best[0], *range(len(best[1]))])
    return greedy(src, tgt, np.array(scores, np.float64).astype(np.float32), threshold)


@pytest.mark.benchmark
def test_from_neighbours_to_pairs_with_the_margin() -> None:
    forward, backward = planted(np.random.default_rng(0))
    how = ScoreSettings(k=K, threshold=1.06)
    candidates = len(np.unique(np.concatenate([
        np.repeat(np.arange(SIDE), K) * SIDE + forward.index.ravel(),
        backward.index.ravel() * SIDE + np.repeat(np.arange(SIDE), K),
    ])))  # fmt: skip
    ours, loop = interleaved(
        lambda: select_arrays(forward, backward, how),
        lambda: loops(forward, backward, 1.06),
        f"margin and one-to-one of {candidates:,} candidates ({SIDE:,} rows a side, k = {K})",
    )
    assert len(loop[0]) > 100_000
    found = zip(ours.src.tolist(), ours.tgt.tolist(), ours.margin_score.tolist(), strict=True)
    assert set(found) == set(zip(*loop, strict=True))
