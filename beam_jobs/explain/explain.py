"""Follow one pair through a run, stage by stage, to where it was lost or to the file it is in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from beam_jobs.explain.side import (
    Located,
    Segment,
    find_segments,
    locate,
    places,
    read_matching,
)
from beam_jobs.plan import Plan
from beam_jobs.stages.neighbors import Neighbors
from beam_jobs.stages.pairs import Pairs
from beam_jobs.thresholds import origin_of_threshold, score_settings
from mining.contract.errors import DatasetError, MiningError
from mining.contract.ids import pair_id
from mining.contract.schemas import BACKWARD, FORWARD, NEIGHBOR, PAIR, REJECT
from mining.contract.vectors import unpack
from mining.explain import (
    Candidate,
    Neighbourhood,
    loss_of,
    neighbourhood,
    score_lines,
    similarity_of,
    touched,
    true_rank,
)
from mining.io.dataset import MANIFEST, read_manifest
from mining.io.filesystem import exists
from mining.io.pools import blocks_of, read_block

_MOST = 6  # combinations of segments that are explained: a text may stand in many languages
_PLACES = 3

Line = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What became of a pair.

    Attributes:
        lines: label and sentence, in the order of the stages.
        verdict: ``mined``, ``unfinished``, a reason as in ``rejects/``, or where the pair ended
            before it was a candidate.
        pair_id: None: it never was a pair of two segments.
    """

    lines: tuple[Line, ...]
    verdict: str
    pair_id: str | None = None


class _Ended(Exception):  # noqa: N818 - no error: the pair's way ends here
    """Carries the verdict."""


def explain(plan: Plan, task: str, source: str, target: str) -> list[Explanation]:
    """Why a pair was or was not mined.

    Args:
        plan: of the run, finished or not.
        task: its name.
        source: names a segment of the source side: see :func:`mining.explain.read_name`.
        target: of the target side.

    Returns:
        One explanation for every pair of segments that the names may mean and the task mines, or for
        those that it does not mine, if it mines none.
    """
    corpora = plan.run.config.tasks[task]
    names, turned = (source, target), (target, source)
    try:
        for pair in (names, turned):
            src = find_segments(plan, corpora.sources, pair[0])
            tgt = find_segments(plan, corpora.targets, pair[1])
            if src and tgt:
                break
        else:
            sides = zip((corpora.sources, corpora.targets), names, strict=True)
            return [_lost([locate(plan, side, name) for side, name in sides])]
    except DatasetError as error:
        return [Explanation(lines=(("prepare", str(error)),), verdict="unfinished")]
    lines = [] if pair == names else [_EXCHANGED]
    return _of_sides(plan, task, [(one, two) for one in src for two in tgt], lines)


_EXCHANGED = ("sides", "source and target are exchanged: so the task mines them")


def _lost(sides: Sequence[Located]) -> Explanation:
    lines: list[Line] = []
    verdict = []
    for label, side in zip(("source", "target"), sides, strict=True):
        lines += [(label, segment.said()) for segment in side.segments[:1]]
        if not side.segments:
            lines += [(label, sentence) for _, sentence in side.lines]
            verdict.append(f"{label} {side.verdict}")
    return Explanation(lines=tuple(lines), verdict="; ".join(verdict))


def _of_sides(
    plan: Plan, task: str, pairs: Sequence[tuple[Segment, Segment]], lines: list[Line]
) -> list[Explanation]:
    """Explanations of the pairs that the names may mean: of those that are mined, if some are."""
    try:
        knn = next(stage for stage in plan.knn() if stage.subject == task)
    except DatasetError as error:
        return [_unfinished(plan, src, tgt, lines, error) for src, tgt in pairs[:_MOST]]
    mined = [pair for pair in pairs if _langs(pair) in knn.lang_pairs]
    both = plan.run.config.tasks[task]
    if not mined and set(both.sources) == set(both.targets):
        mined = [(tgt, src) for src, tgt in pairs if (tgt.lang, src.lang) in knn.lang_pairs]
        lines = [*lines, _EXCHANGED] if mined else lines
    chosen = mined or pairs
    if len(chosen) > _MOST:
        more = f"the names mean {len(chosen)} pairs of segments, of which {_MOST} are explained"
        lines = [*lines, ("sides", f"{more}; name segments by their ids")]
    return [_Way(plan, knn, *pair).follow(lines) for pair in chosen[:_MOST]]


def _langs(pair: tuple[Segment, Segment]) -> tuple[str, str]:
    return pair[0].lang, pair[1].lang


def _unfinished(
    plan: Plan, src: Segment, tgt: Segment, lines: list[Line], error: MiningError
) -> Explanation:
    found = [*lines, *_segment_lines(plan, src, tgt), ("unfinished", str(error))]
    return Explanation(lines=tuple(found), verdict="unfinished", pair_id=pair_id(src.id, tgt.id))


def _segment_lines(plan: Plan, src: Segment, tgt: Segment) -> Iterator[Line]:
    for label, segment in (("source", src), ("target", tgt)):
        yield label, segment.said()
        if segment.note:
            yield label, segment.note
        where = places(plan, segment)
        more = f" and {len(where) - _PLACES} more" if len(where) > _PLACES else ""
        text = f"read at {', '.join(where[:_PLACES])}{more} ({segment.corpus})"
        if len(where) > 1:
            text = f"{len(where)} occurrences collapsed into this segment: {text}"
        yield label, text


class _Way:
    """The way of a pair of segments from the embeddings on."""

    def __init__(self, plan: Plan, knn: Neighbors, src: Segment, tgt: Segment) -> None:
        self.plan, self.knn = plan, knn
        self.src, self.tgt = src, tgt
        self.langs = f"{src.lang}-{tgt.lang}"
        self.settings = score_settings(plan.run.config.mining)
        self.lines: list[Line] = []

    def follow(self, before: Sequence[Line]) -> Explanation:
        """Every stage in turn."""
        self.lines = [*before, *_segment_lines(self.plan, self.src, self.tgt)]
        own = pair_id(self.src.id, self.tgt.id)
        self.lines.append(("pair", f"{own}, {self.langs} of task {self.knn.subject}"))
        try:
            self._language_pair()
            vectors = self._vectors()
            similarity = similarity_of(*vectors)
            self.lines.append(("similarity", f"{similarity:.6f}"))
            stage = self._pairs_stage()
            found = self._neighbours(stage, vectors, similarity)
            if found.pair is None:
                raise _Ended("not among the nearest")
            self._scores(stage, found)
            verdict = self._outcome(stage, found.pair, own)
        except _Ended as end:
            verdict = str(end)
        return Explanation(lines=tuple(self.lines), verdict=verdict, pair_id=own)

    def _end(self, label: str, sentence: str, verdict: str) -> _Ended:
        self.lines.append((label, sentence))
        return _Ended(verdict)

    def _language_pair(self) -> None:
        if self.src.id == self.tgt.id:
            raise self._end("languages", "source and target are one segment", "one segment")
        pairs = [f"{src}-{tgt}" for src, tgt in self.knn.lang_pairs]
        if self.langs not in pairs:
            raise self._end(
                "languages",
                f"{self.langs} is none of the task's {len(pairs)} language pairs: {', '.join(pairs)}",
                "language pair not mined",
            )

    def _vectors(self) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
        """Stored vectors; ends where one was refused."""
        found = {}
        for label, segment, datasets in (
            ("source", self.src, self.knn.sources), ("target", self.tgt, self.knn.targets),
        ):  # fmt: skip
            dataset = next(one for one in datasets if one.manifest.name == segment.corpus)
            wanted = pc.field("segment_id") == segment.id
            rows = read_matching(self.plan, dataset.folder, dataset.schema(), wanted)
            if not rows.num_rows:
                raise self._refused(label, segment)
            found[label] = unpack(rows["vector"], dataset.manifest.attributes["dim"])[0]
        return found["source"], found["target"]

    def _refused(self, label: str, segment: Segment) -> _Ended:
        stage = next(one for one in self.plan.embed() if one.subject == segment.corpus)
        rows = read_matching(
            self.plan, stage.rejects_folder(), REJECT, pc.field("row_id") == segment.id
        ).to_pylist()
        reason = rows[0]["reason"] if rows else "no_embedding"
        detail = f" ({rows[0]['detail']})" if rows and rows[0]["detail"] else ""
        return self._end(
            "embed", f"the {label} was rejected: {reason}{detail}", f"rejected in embed: {reason}"
        )

    def _pairs_stage(self) -> Pairs:
        try:
            return next(one for one in self.plan.pairs() if one.subject == self.knn.subject)
        except MiningError as error:  # neighbours that are not found yet, or no threshold
            raise self._end("unfinished", str(error), "unfinished") from None

    def _neighbours(
        self,
        stage: Pairs,
        vectors: tuple[NDArray[np.float16], NDArray[np.float16]],
        similarity: float,
    ) -> Neighbourhood:
        """Ranks both ways; ends where neither found the other."""
        ids = self.src.id, self.tgt.id
        spans = stage.spans(stage.sources, self.src.lang), stage.spans(stage.targets, self.tgt.lang)
        found = neighbourhood(self._tables(stage, *ids), self.settings, ids, spans)
        pair = found.pair
        ends = (
            ("source", pair and pair.forward_rank, found.src_last, vectors[0], self.tgt, FORWARD),
            ("target", pair and pair.backward_rank, found.tgt_last, vectors[1], self.src, BACKWARD),
        )
        for label, rank, last, vector, other, direction in ends:
            size = self._size(direction, other.lang)
            if rank is not None:
                self.lines.append(("neighbours", f"rank {rank} of {size} from the {label}"))
                continue
            true = true_rank(vector, self._pool(direction, other.lang), other.id, similarity)
            nearest = f"; the last of those {last[0]} has {last[1]:.6f}" if last else ""
            # only an approximate index leaves out one of the nearest
            missed = true <= self.knn.k_of(direction)
            index = self.plan.run.config.mining.index
            why = f"missed by the index {index}" if missed else "not among its nearest"
            self.lines.append(
                ("neighbours", f"rank {true} of {size} from the {label}: {why}{nearest}")
            )
        return found

    def _tables(self, stage: Pairs, src: str, tgt: str) -> tuple[pa.Table, pa.Table]:
        """NEIGHBOR rows that decide about the pair, in two passes."""
        query, index = pc.field("query_id"), pc.field("index_id")
        forward = self._rows(stage, FORWARD, (query == src) | (index == tgt))
        backward = self._rows(stage, BACKWARD, (query == tgt) | (index == src))
        sources, targets = touched(forward, backward, src, tgt)
        return (
            self._rows(stage, FORWARD, query.isin(sources)),
            self._rows(stage, BACKWARD, query.isin(targets)),
        )

    def _rows(self, stage: Pairs, direction: str, wanted: pc.Expression) -> pa.Table:
        manifest = stage.neighbors
        folder = self.plan.run.dataset("neighbors", stage.subject, manifest.hash)
        parts = {
            part.path
            for part in manifest.parts
            if part.path.startswith(f"{self.langs}.") and f".{direction}." in part.path
        }
        return read_matching(self.plan, folder, NEIGHBOR, wanted, parts)

    def _size(self, direction: str, lang: str) -> str:
        """Rows of a pool: a text that stands in two corpora of it is counted twice here."""
        datasets = self.knn.targets if direction == FORWARD else self.knn.sources
        rows = sum(dataset.manifest.langs.get(lang, 0) for dataset in datasets)
        within = self.plan.run.config.tasks[self.knn.subject].documents is not None
        where = " in all documents, paired or not," if within else ""
        return f"{rows}{where}" if len(datasets) == 1 else f"at most {rows}{where}"

    def _pool(self, direction: str, lang: str) -> Iterator[tuple[pa.Array, NDArray[np.float16]]]:
        """All vectors that were searched, block by block."""
        datasets = self.knn.targets if direction == FORWARD else self.knn.sources
        dim = datasets[0].manifest.attributes["dim"]
        for block in blocks_of(datasets, lang, self.plan.run.config.execution.tile_rows):
            table = read_block(datasets, lang, block, self.plan.run.storage).rows
            yield table["segment_id"].combine_chunks(), unpack(table["vector"], dim)

    def _scores(self, stage: Pairs, found: Neighbourhood) -> None:
        threshold = stage.thresholds[self.langs]
        origin = origin_of_threshold(self.knn, (self.src.lang, self.tgt.lang))
        shown = "none" if threshold is None else f"{threshold:.6f}"
        both = self.plan.run.config.tasks[self.knn.subject]
        corpora = tuple(dict.fromkeys((*both.sources, *both.targets)))

        def said(name: str) -> str:
            return find_segments(self.plan, corpora, name)[0].said()

        self.lines += score_lines(found, self.settings, f"{shown}, from {origin}", said)

    def _outcome(self, stage: Pairs, pair: Candidate, own: str) -> str:
        """What the run wrote of the candidate."""
        if not stage.is_done():
            others = exists(f"{stage.folder}/{MANIFEST}", self.plan.run.storage)
            raise self._end(
                "unfinished",
                f"{stage.folder} holds pairs of other settings; repeat the --set of that run, or run "
                "mining pairs with these" if others else "pairs are not selected yet; run mining pairs",
                "unfinished",
            )  # fmt: skip
        rows = read_matching(
            self.plan, stage.rejects_folder(), REJECT, pc.field("row_id") == own,
            {f"{self.langs}.parquet"},
        ).to_pylist()  # fmt: skip
        if not rows:
            return self._mined(stage, own)
        said = rows[0]["reason"], rows[0]["detail"]
        self.lines.append(("pairs", f"rejected: {said[0]} ({said[1]})"))
        loss = loss_of(pair, self.settings, stage.thresholds[self.langs], said)
        if not loss.by_itself:
            rivals = self._taken(stage, [loss.rival] if loss.rival else [])
            self.lines += [("lost to", _rival(row)) for row, _ in rivals]
        return loss.reason

    def _mined(self, stage: Pairs, own: str) -> str:
        for row, file in self._taken(stage, [own]):
            if row["pair_id"] == own:
                self.lines.append(("pairs", f"mined: {file}"))
                return "mined"
        raise DatasetError(
            f"{stage.folder}: must hold every candidate that was not rejected, but holds no pair {own}; "
            "this is a fault of the program"
        )

    def _taken(self, stage: Pairs, ids: Sequence[str]) -> list[tuple[dict[str, Any], str]]:
        """The pairs of these ids, each with its file; without ids, those of this source or target."""
        wanted = pc.field("pair_id").isin(pa.array(ids, pa.string()))
        if not ids:
            wanted = pc.field("src_segment_id") == self.src.id
            wanted |= pc.field("tgt_segment_id") == self.tgt.id
        folder = stage.folder
        return [
            (row, f"{folder}/{part.path}")
            for part in read_manifest(folder, self.plan.run.storage).parts
            if part.path.startswith(f"{self.langs}/")
            for row in read_matching(self.plan, folder, PAIR, wanted, {part.path}).to_pylist()
        ]


def _rival(row: dict[str, Any]) -> str:
    """A pair that was mined, in one line."""
    sides = []
    for side in ("src", "tgt"):
        place = row[f"{side}_uri"]
        if row[f"{side}_start_s"] is not None:
            place = f"{place}@{row[f'{side}_start_s']:.2f}-{row[f'{side}_end_s']:.2f}"
        text = repr(row[f"{side}_text"]) if row[f"{side}_text"] is not None else place
        sides.append(f"{row[f'{side}_segment_id']} {text}")
    return (
        f"{' with '.join(sides)}: margin {row['margin_score']:.6f}, similarity "
        f"{row['similarity']:.6f} (pair {row['pair_id']})"
    )
