"""A pair among its neighbours: what :func:`mining.score.score_candidates` makes of it, without the rest.

Scoring a language pair takes all its neighbours in memory. Of one pair, the neighbours of its own
source and target, and of those they found, are enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mining.score import CANDIDATE, ScoreSettings, Spans
from mining.score.margins import margin_score
from mining.score.spans import apart


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A candidate, its columns as in :data:`mining.score.CANDIDATE`."""

    src_segment_id: str
    tgt_segment_id: str
    similarity: float
    margin_score: float
    forward_rank: int | None
    backward_rank: int | None
    src_mean_similarity: float
    tgt_mean_similarity: float
    src_best: bool = False
    tgt_best: bool = False

    @property
    def order(self) -> tuple[float, float, str, str]:
        """Best first."""
        ids = self.src_segment_id, self.tgt_segment_id
        return -self.margin_score, -self.similarity, *ids

    def to_table(self) -> pa.Table:
        """One row of schema :data:`mining.score.CANDIDATE`."""
        row = {name: getattr(self, name) for name in CANDIDATE.names if name != "mutual"}
        return pa.Table.from_pylist(
            [row | {"mutual": self.src_best and self.tgt_best}], schema=CANDIDATE
        )


@dataclass(frozen=True, kw_only=True)
class Neighbourhood:
    """What a pair competed with.

    Attributes:
        pair: None: it is no candidate, since neither found the other.
        src_best: best candidate of the source among its own k nearest.
        tgt_best: of the target.
        src_last: (rank, similarity) of the source's last neighbour that is a candidate.
        tgt_last: of the target's.
    """

    pair: Candidate | None
    src_best: Candidate | None
    tgt_best: Candidate | None
    src_last: tuple[int, float] | None
    tgt_last: tuple[int, float] | None


@dataclass(frozen=True, kw_only=True)
class _Side:
    """One direction: the neighbours of each query, by rank; ``spans`` of those that are found."""

    found: dict[str, list[tuple[str, float, int]]]
    spans: Spans | None
    k: int

    def mean(self, query: str) -> float:
        """Mean similarity to the k nearest that do not overlap, float64, added up by rank."""
        rows = self.found[query]
        if self.spans is not None:
            spans = self.spans.take(pa.array([name for name, _, _ in rows], pa.string()))
            places = np.arange(len(rows))
            taken = apart(np.zeros(len(rows), np.int64), places, spans, self.k)
            rows = [row for row, keep in zip(rows, taken.tolist(), strict=True) if keep]
        return sum(similarity for _, similarity, _ in rows) / len(rows)

    def rank(self, query: str, index: str) -> tuple[int | None, float | None]:
        """Rank and similarity of one that was found; None where it was not."""
        for name, similarity, rank in self.found.get(query, ()):
            if name == index:
                return rank, similarity
        return None, None

    def last(self, query: str) -> tuple[int, float] | None:
        """Rank and similarity of the last neighbour."""
        rows = self.found.get(query)
        return (rows[-1][2], rows[-1][1]) if rows else None


def touched(forward: pa.Table, backward: pa.Table, src: str, tgt: str) -> tuple[pa.Array, pa.Array]:
    """Sources and targets whose neighbours decide about a pair.

    Args:
        forward: NEIGHBOR rows of sources, at least those with query ``src`` or index ``tgt``.
        backward: of targets, at least those with query ``tgt`` or index ``src``.
        src: segment id of the source.
        tgt: of the target.

    Returns:
        Their ids, sorted: all that stand with the source or the target in a candidate.
    """
    targets = [tgt, *_others(forward, "query_id", src), *_others(backward, "index_id", src)]
    sources = [src, *_others(forward, "index_id", tgt), *_others(backward, "query_id", tgt)]
    return pa.array(sorted(set(sources))), pa.array(sorted(set(targets)))


def _others(table: pa.Table, column: str, name: str) -> list[str]:
    other = "index_id" if column == "query_id" else "query_id"
    rows = table.filter(pc.equal(table[column], name))
    return [one for one in rows[other].to_pylist() if one is not None]


def neighbourhood(
    tables: tuple[pa.Table, pa.Table],
    settings: ScoreSettings,
    ids: tuple[str, str],
    spans: tuple[Spans | None, Spans | None] = (None, None),
) -> Neighbourhood:
    """A pair and its rivals.

    Args:
        tables: NEIGHBOR rows, forward and backward: at least those whose query :func:`touched` names.
        settings: of the run.
        ids: of the source and the target.
        spans: of all sources and all targets, as for :func:`mining.score.score_candidates`.

    Returns:
        The same scores, ranks and bests as there (tested for every candidate).
    """
    src, tgt = ids
    src_spans, tgt_spans = spans
    forward = _side(tables[0], settings, tgt_spans)
    backward = _side(tables[1], settings, src_spans)
    targets = {name for name, _, _ in forward.found.get(src, ())}
    targets |= {query for query in backward.found if backward.rank(query, src)[0]}
    sources = {name for name, _, _ in backward.found.get(tgt, ())}
    sources |= {query for query in forward.found if forward.rank(query, tgt)[0]}
    of_source = _scored([(src, one) for one in targets], forward, backward, settings)
    of_target = _scored([(one, tgt) for one in sources], forward, backward, settings)
    own = next((one for one in of_source if one.tgt_segment_id == tgt), None)
    src_best = _best(of_source, "forward_rank", settings)
    tgt_best = _best(of_target, "backward_rank", settings)
    if own is not None:
        is_best = [best is not None and best.order == own.order for best in (src_best, tgt_best)]
        own = Candidate(**(vars(own) | {"src_best": is_best[0], "tgt_best": is_best[1]}))
    return Neighbourhood(
        pair=own,
        src_best=src_best,
        tgt_best=tgt_best,
        src_last=forward.last(src),
        tgt_last=backward.last(tgt),
    )


def _side(table: pa.Table, settings: ScoreSettings, spans: Spans | None) -> _Side:
    most = settings.neighbors(of_speech=spans is not None)
    found: dict[str, list[tuple[str, float, int]]] = {}
    table = table.sort_by([("query_id", "ascending"), ("rank", "ascending")])
    columns = (table[name].to_pylist() for name in ("query_id", "index_id", "similarity", "rank"))
    for query, index, similarity, rank in zip(*columns, strict=True):
        if rank <= most:
            found.setdefault(query, []).append((index, similarity, rank))
    return _Side(found=found, spans=spans, k=settings.k)


def _scored(
    pairs: Sequence[tuple[str, str]], forward: _Side, backward: _Side, settings: ScoreSettings
) -> list[Candidate]:
    """Candidates, best first."""
    scored = []
    for src, tgt in pairs:
        forward_rank, there = forward.rank(src, tgt)
        backward_rank, back = backward.rank(tgt, src)
        similarity = there if there is not None else back
        if similarity is None:
            continue
        means = forward.mean(src), backward.mean(tgt)
        average = np.array([sum(means) / 2.0])
        score = margin_score(np.array([similarity]), average, settings.margin)
        scored.append(
            Candidate(
                src_segment_id=src,
                tgt_segment_id=tgt,
                similarity=similarity,
                margin_score=float(np.float32(score[0])),
                forward_rank=forward_rank,
                backward_rank=backward_rank,
                src_mean_similarity=float(np.float32(means[0])),
                tgt_mean_similarity=float(np.float32(means[1])),
            )
        )
    return sorted(scored, key=lambda one: one.order)


def _best(found: Sequence[Candidate], rank: str, settings: ScoreSettings) -> Candidate | None:
    """The best of a row's candidates among its own nearest."""
    own = (one for one in found if getattr(one, rank) is not None)
    if settings.best == "nearest":
        own = (one for one in own if getattr(one, rank) == 1)
    return next(own, None)
