"""Margin scores and selection, as plain loops over rows (S sources, T targets)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mining.score import ScoreSettings

Pair = tuple[int, int]


@dataclass(frozen=True)
class Candidate:
    """One candidate; a rank is None where the direction did not find it."""

    similarity: float
    score: float
    forward_rank: int | None
    backward_rank: int | None
    src_mean: float
    tgt_mean: float


def nearest(similarities: list[float], k: int) -> list[int]:
    """The k highest, equal ones by position."""
    return sorted(range(len(similarities)), key=lambda j: (-similarities[j], j))[:k]


def margin(a: float, b: float, kind: str) -> float:
    """Artetxe and Schwenk 2019, section 3.1, rounded to float32."""
    if kind == "absolute":
        return float(np.float32(a))
    if kind == "distance":
        return float(np.float32(a - b))
    return float(np.float32(a / b)) if b > 0 else 0.0


def candidates(similarity: NDArray[np.float32], settings: ScoreSettings) -> dict[Pair, Candidate]:
    """Every pair that is a neighbour in some direction."""
    rows, columns = similarity.tolist(), similarity.T.tolist()
    forward = [nearest(row, settings.k) for row in rows]
    backward = [nearest(column, settings.k) for column in columns]
    src_mean = [sum(rows[i][j] for j in found) / len(found) for i, found in enumerate(forward)]
    tgt_mean = [sum(columns[j][i] for i in found) / len(found) for j, found in enumerate(backward)]
    pairs = {(i, j) for i, found in enumerate(forward) for j in found}
    pairs |= {(i, j) for j, found in enumerate(backward) for i in found}
    return {
        (i, j): Candidate(
            similarity=rows[i][j],
            score=margin(rows[i][j], (src_mean[i] + tgt_mean[j]) / 2, settings.margin),
            forward_rank=forward[i].index(j) + 1 if j in forward[i] else None,
            backward_rank=backward[j].index(i) + 1 if i in backward[j] else None,
            src_mean=float(np.float32(src_mean[i])),
            tgt_mean=float(np.float32(tgt_mean[j])),
        )
        for i, j in pairs
    }


def given(
    similarity: NDArray[np.float32], pairs: list[Pair], settings: ScoreSettings
) -> list[tuple[Candidate, bool]]:
    """Figures of pairs that somebody else made, and whether each is the other's best candidate."""
    rows, columns = similarity.tolist(), similarity.T.tolist()
    found = candidates(similarity, settings)
    forward, backward = bests(found, settings)
    figures = []
    for i, j in pairs:
        near = [rows[i][t] for t in nearest(rows[i], settings.k)]
        back = [columns[j][s] for s in nearest(columns[j], settings.k)]
        src_mean, tgt_mean = sum(near) / len(near), sum(back) / len(back)
        known = found.get((i, j))
        one = Candidate(
            similarity=rows[i][j],
            score=margin(rows[i][j], (src_mean + tgt_mean) / 2, settings.margin),
            forward_rank=None if known is None else known.forward_rank,
            backward_rank=None if known is None else known.backward_rank,
            src_mean=float(np.float32(src_mean)),
            tgt_mean=float(np.float32(tgt_mean)),
        )
        figures.append((one, (i, j) in forward & backward))
    return figures


def ranked(found: dict[Pair, Candidate]) -> list[Pair]:
    """Best first."""
    return sorted(found, key=lambda p: (-found[p].score, -found[p].similarity, p))


def bests(found: dict[Pair, Candidate], settings: ScoreSettings) -> tuple[set[Pair], set[Pair]]:
    """Each source's best among its own neighbours, and each target's."""
    of_src: dict[int, list[Pair]] = defaultdict(list)
    of_tgt: dict[int, list[Pair]] = defaultdict(list)
    for pair in ranked(found):
        if found[pair].forward_rank is not None:
            of_src[pair[0]].append(pair)
        if found[pair].backward_rank is not None:
            of_tgt[pair[1]].append(pair)
    if settings.best == "nearest":
        forward = {min(pairs, key=lambda p: found[p].forward_rank) for pairs in of_src.values()}
        backward = {min(pairs, key=lambda p: found[p].backward_rank) for pairs in of_tgt.values()}
    else:
        forward = {pairs[0] for pairs in of_src.values()}
        backward = {pairs[0] for pairs in of_tgt.values()}
    return forward, backward


def greedy(pairs: list[Pair]) -> list[bool]:
    """One to one, in the order given."""
    sources: set[int] = set()
    targets: set[int] = set()
    taken = []
    for src, tgt in pairs:
        taken.append(src not in sources and tgt not in targets)
        if taken[-1]:
            sources.add(src)
            targets.add(tgt)
    return taken


def choose(
    found: dict[Pair, Candidate], settings: ScoreSettings
) -> tuple[list[Pair], dict[Pair, str]]:
    """Pairs kept, best first, and the reason of every other candidate."""
    forward, backward = bests(found, settings)
    wanted = {
        "forward": forward,
        "backward": backward,
        "intersection": forward & backward,
        "union": forward | backward,
        "max": forward | backward,
        "all": set(found),
    }[settings.select]
    kept, reasons = [], {}
    for pair in ranked(found):
        score = found[pair].score
        if pair not in wanted:
            one_sided = settings.select == "intersection" and pair in forward | backward
            reasons[pair] = "not_mutual" if one_sided else "not_best"
        elif settings.score_max is not None and score > settings.score_max:
            reasons[pair] = "above_score_max"
        elif settings.threshold is not None and (
            score < settings.threshold or (settings.strict and score == settings.threshold)
        ):
            reasons[pair] = "below_threshold"
        else:
            kept.append(pair)
    if settings.select == "max":
        taken = greedy(kept)
        reasons |= {p: "not_best" for p, t in zip(kept, taken, strict=True) if not t}
        kept = [p for p, t in zip(kept, taken, strict=True) if t]
    return kept, reasons
