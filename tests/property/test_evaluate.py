"""Figures do not depend on row order, and equal those of slow, obvious loops."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mining.evaluate.bitext import best_score, label_pairs, pr_curve, precision_recall_f1, score_at
from mining.evaluate.controls import Lengths, length_pairs, log_lengths
from mining.evaluate.gold import PairKey, pair_gold
from mining.evaluate.retrieval import Pools, retrieve

KEY = PairKey(src_lang="deu", tgt_lang="eng")
segment = st.integers(0, 7)
# few scores, so that ties abound
pair_rows = st.lists(
    st.tuples(segment, segment, st.sampled_from([0.5, 1.0, 1.25, 1.5])), max_size=30
)
gold_rows = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from(["deu", "eng"]), segment), max_size=24
)


def _gold_table(rows: list[tuple[int, str, int]]) -> pa.Table:
    return pa.table(
        {
            "meaning_id": pa.array([f"m{m}" for m, _, _ in rows], pa.string()),
            "lang": pa.array([lang for _, lang, _ in rows], pa.string()),
            "modality": pa.array(["text"] * len(rows), pa.string()),
            "segment_id": pa.array([f"{lang}{s}" for _, lang, s in rows], pa.string()),
        }
    )


def _pair_table(rows: list[tuple[int, int, float]]) -> pa.Table:
    return pa.table(
        {
            "src_segment_id": pa.array([f"deu{s}" for s, _, _ in rows], pa.string()),
            "tgt_segment_id": pa.array([f"eng{t}" for _, t, _ in rows], pa.string()),
            "margin_score": pa.array([score for _, _, score in rows], pa.float32()),
        }
    )


def _slow_meanings(rows: list[tuple[int, str, int]]) -> list[set[str]]:
    """Meanings that both languages have, as sets of segments; those that share one are merged."""
    groups: dict[int, set[str]] = {}
    for meaning, lang, number in rows:
        groups.setdefault(meaning, set()).add(f"{lang}{number}")
    merged: list[set[str]] = []
    for group in groups.values():
        if len({name[:3] for name in group}) == 2:
            touching = [other for other in merged if other & group]
            merged = [other for other in merged if not other & group]
            merged.append(group.union(*touching))
    return merged


def _slow_score(rows: list, meanings: list[set[str]], threshold: float) -> tuple[int, int]:
    """Pairs that count, and meanings found, at a threshold."""
    found, wrong = set(), 0
    for source, target, score in rows:
        if score >= threshold:
            hits = [
                i for i, m in enumerate(meanings) if f"deu{source}" in m and f"eng{target}" in m
            ]
            found.update(hits)
            wrong += not hits
    return len(found) + wrong, len(found)


@settings(deadline=None)
@given(pair_rows, gold_rows)
def test_every_prefix_is_that_of_a_loop(pairs, gold):
    meanings = _slow_meanings(gold)
    resolved = pair_gold(_gold_table(gold), KEY)
    curve = pr_curve(label_pairs(_pair_table(pairs), resolved))
    assert curve.golds == len(meanings)
    scores = sorted({score for _, _, score in pairs}, reverse=True)
    assert curve.lowest.tolist() == scores
    for index, lowest in enumerate(scores):
        expected = _slow_score(pairs, meanings, lowest)
        assert (curve.mined[index], curve.right[index]) == expected
        score = score_at(curve, lowest)
        assert (score.mined, score.right) == expected


@settings(deadline=None)
@given(pair_rows, gold_rows)
def test_the_best_threshold_is_the_best_and_gives_its_own_figures(pairs, gold):
    resolved = pair_gold(_gold_table(gold), KEY)
    table = _pair_table(pairs)
    curve = pr_curve(label_pairs(table, resolved))
    best = best_score(curve)
    assert best.f1 == max(curve.f1, default=0)
    again = precision_recall_f1(table, resolved, best.threshold)
    assert again == best
    # a hair's breadth more or less changes nothing, unless all pairs are kept
    if best.mined and best.threshold > min(score for _, _, score in pairs):
        for nudge in (-1e-6, 1e-6):
            nudged = precision_recall_f1(table, resolved, best.threshold + nudge)
            assert (nudged.mined, nudged.right) == (best.mined, best.right)


@settings(deadline=None)
@given(st.data(), pair_rows, gold_rows)
def test_row_order_is_irrelevant(data, pairs, gold):
    shuffled_pairs = data.draw(st.permutations(pairs))
    shuffled_gold = data.draw(st.permutations(gold))
    one = precision_recall_f1(_pair_table(pairs), pair_gold(_gold_table(gold), KEY))
    other = precision_recall_f1(
        _pair_table(shuffled_pairs), pair_gold(_gold_table(shuffled_gold), KEY)
    )
    assert one == other


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 12), st.integers(1, 5))
def test_retrieval_does_not_depend_on_pool_order(seed, sources, targets, k):
    rng = np.random.default_rng(seed)
    src = rng.standard_normal((sources, 5)).astype(np.float16)
    tgt = rng.standard_normal((targets, 5)).astype(np.float16)
    src_gold, tgt_gold = rng.integers(-1, 4, sources), rng.integers(-1, 4, targets)
    rows, columns = rng.permutation(sources), rng.permutation(targets)
    one = retrieve(Pools(src_vectors=src, src_gold=src_gold, tgt_vectors=tgt, tgt_gold=tgt_gold), k)
    other = retrieve(
        Pools(
            src_vectors=src[rows],
            src_gold=src_gold[rows],
            tgt_vectors=tgt[columns],
            tgt_gold=tgt_gold[columns],
        ),
        k,
    )
    back = np.argsort(rows[src_gold[rows] >= 0])
    assert np.array_equal(one.rank, other.rank[back])
    assert np.array_equal(one.error, other.error[back])


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 9))
def test_length_control_finds_what_a_loop_finds(seed, size):
    """Distinct lengths and distances leave nothing to chance."""
    rng = np.random.default_rng(seed)
    src, tgt = (rng.choice(np.arange(10, 500), size, replace=False) for _ in range(2))
    source, target = log_lengths(src, tgt)
    gold = np.arange(size)
    score = length_pairs(
        Lengths(src=source, src_gold=gold, tgt=target, tgt_gold=gold, golds=size), rng
    )
    distance = np.abs(source[:, None] - target[None])
    # two pairs may lie equally far apart, since the medians are made equal
    assume(len(np.unique(distance.round(12))) == distance.size)
    candidates = {(i, int(distance[i].argmin())) for i in range(size)}
    candidates |= {(int(distance[:, j].argmin()), j) for j in range(size)}
    chosen: list[tuple[int, int]] = []
    for i, j in sorted(candidates, key=lambda c: distance[c]):
        if all(i != s and j != t for s, t in chosen):
            chosen.append((i, j))
    best = 0.0
    for count in range(1, len(chosen) + 1):
        right = sum(i == j for i, j in chosen[:count])
        best = max(best, 2 * right / (count + size))
    assert abs(score.f1 - best) < 1e-12
