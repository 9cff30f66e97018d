"""Ranks and xsim against loops."""

from __future__ import annotations

import numpy as np
import pytest

from mining.evaluate import retrieval
from mining.evaluate.retrieval import Pools, retrieve


def pools(seed: int, sources: int = 30, targets: int = 40, dim: int = 6) -> Pools:
    rng = np.random.default_rng(seed)
    src, tgt = rng.standard_normal((sources, dim)), rng.standard_normal((targets, dim))
    tgt[:15] = src[:15] + 0.5 * tgt[:15]
    src_gold, tgt_gold = np.full(sources, -1), np.full(targets, -1)
    src_gold[:15], tgt_gold[:15] = np.arange(15), np.arange(15)
    src_gold[15], tgt_gold[16], tgt_gold[17] = 0, 1, 1  # two sources, three targets of a meaning
    src_gold[16] = 15  # its target is not in the pool
    unit = [(v / np.linalg.norm(v, axis=1, keepdims=True)).astype(np.float16) for v in (src, tgt)]
    return Pools(src_vectors=unit[0], src_gold=src_gold, tgt_vectors=unit[1], tgt_gold=tgt_gold)


def slow(p: Pools, k: int, margin: str) -> tuple[list[float], list[bool]]:
    s, t = p.src_vectors.astype(np.float64), p.tgt_vectors.astype(np.float64)
    similarity = [[float(np.dot(x, y)) for y in t] for x in s]

    def mean_of_nearest(values: list[float]) -> float:
        return float(np.mean(sorted(values, reverse=True)[:k]))

    ranks, errors = [], []
    for i, wanted in enumerate(p.src_gold):
        if wanted < 0:
            continue
        right = [j for j, gold in enumerate(p.tgt_gold) if gold == wanted]
        others = [similarity[i][j] for j in range(len(t)) if j not in right]
        best = max((similarity[i][j] for j in right), default=-np.inf)
        ranks.append(1 + sum(o >= best for o in others) if right else np.inf)
        nearest = sorted(range(len(t)), key=lambda j, i=i: -similarity[i][j])[:k]
        scores = {}
        for j in nearest:
            b = (
                mean_of_nearest(similarity[i]) + mean_of_nearest([row[j] for row in similarity])
            ) / 2
            a = similarity[i][j]
            scores[j] = {"ratio": a / b if b > 0 else 0.0, "distance": a - b, "absolute": a}[margin]
        errors.append(max(scores, key=scores.__getitem__) not in right)
    return ranks, errors


@pytest.mark.parametrize("margin", ["ratio", "distance", "absolute"])
@pytest.mark.parametrize("k", [1, 4, 100])
def test_retrieval_equals_the_loops(k: int, margin: str):
    p = pools(k)
    found = retrieve(p, k, margin)
    ranks, errors = slow(p, k, margin)
    assert found.rank.tolist() == ranks
    assert found.error.tolist() == errors
    assert 0 < sum(errors) < len(errors)


def test_tiles_do_not_move_a_figure(monkeypatch: pytest.MonkeyPatch):
    whole = retrieve(pools(3))
    monkeypatch.setattr(retrieval, "_CHUNK_ROWS", 7)
    monkeypatch.setattr(retrieval, "_TILE_VALUES", 21)
    tiled = retrieve(pools(3))
    assert np.array_equal(whole.rank, tiled.rank)
    assert np.array_equal(whole.error, tiled.error)


def test_ties_count_against():
    same = np.tile(np.array([[1, 0]], np.float16), (3, 1))
    p = Pools(
        src_vectors=same[:1],
        src_gold=np.array([0]),
        tgt_vectors=same,
        tgt_gold=np.array([-1, 0, 0]),
    )
    found = retrieve(p)
    assert found.rank.tolist() == [2.0]
    assert found.error.tolist() == [True]


def test_an_empty_pool_finds_nothing():
    p = pools(1)
    empty = Pools(
        src_vectors=p.src_vectors,
        src_gold=p.src_gold,
        tgt_vectors=p.tgt_vectors[:0],
        tgt_gold=p.tgt_gold[:0],
    )
    found = retrieve(empty)
    assert np.isinf(found.rank).all()
    assert found.error.all()
