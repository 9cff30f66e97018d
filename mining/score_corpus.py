"""Every row of a corpus of pairs with its margin score, its neighbours' figures, or the reason why not.

N rows, M distinct sentences, D dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mining.score import Scored, ScoreSettings
from mining.score_pairs import score_pairs
from mining.text.pair_rows import PairRows

Ints = NDArray[np.int64]

FIGURES = pa.schema(
    [
        pa.field("similarity", pa.float32()),
        pa.field("margin_score", pa.float32()),
        pa.field("src_mean_similarity", pa.float32()),  # over the source's k nearest targets
        pa.field("tgt_mean_similarity", pa.float32()),
        pa.field("forward_rank", pa.int16()),  # null: not among the source's k nearest
        pa.field("backward_rank", pa.int16()),
        pa.field("mutual", pa.bool_()),  # each is the other's best candidate
        pa.field("reason", pa.string()),  # why the row has no figures; null: it has
        pa.field("detail", pa.string()),
    ]
)
_OWN = "input_"  # put before a column of the corpus that is named as a figure


@dataclass(frozen=True, kw_only=True)
class LangFigures:
    """What was scored of one language pair.

    Attributes:
        langs: source and target language.
        rows: rows scored.
        sources: distinct source sentences, the pool that targets search.
        targets: distinct target sentences.
        mutual: rows in which each is the other's best candidate.
        mean_score: mean margin_score of the rows.
    """

    langs: tuple[str, str]
    rows: int
    sources: int
    targets: int
    mutual: int
    mean_score: float


@dataclass(frozen=True, kw_only=True)
class ScoredCorpus:
    """Figures of all rows.

    Attributes:
        figures: FIGURES table, N rows.
        langs: one entry a language pair, in alphabetical order.
    """

    figures: pa.Table
    langs: tuple[LangFigures, ...]


def score_corpus(
    rows: PairRows,
    vectors: NDArray[np.float16],
    refused: Mapping[int, tuple[str, str]],
    settings: ScoreSettings,
    *,
    threads: int | None = None,
) -> ScoredCorpus:
    """Score every row among the sentences of its language pair.

    The neighbourhood of a source is the distinct targets of all rows of its language pair, its own
    partner among them, and the pool's sentences of the target language; and the other way round (Artetxe
    and Schwenk 2019, equation 2; as Speech-Vecalign's ``score_align.py``). Rows with equal sentences get
    equal figures. Equal similarities are ranked by segment_id, as in a run.

    Args:
        rows: the pairs and their M sentences.
        vectors: float16 [M, D] of the sentences, L2-normalised; unused where refused.
        refused: sentence -> reason and detail, for those without a vector.
        settings: k, margin and best are used here.
        threads: of the search; None: one a core.
    """
    reason, detail = _reasons(rows, refused)
    open_rows = np.array([row for row, why in enumerate(reason) if why is None], np.int64)
    langs = np.array(rows.sentences["lang"].to_pylist(), dtype=object)
    pool = rows.pool[~np.isin(rows.pool, list(refused))]
    columns = _Columns(len(reason))
    told = []
    for pair, some in _by_langs(rows, open_rows, langs):
        src_ids, src = _pool(rows, rows.src[some], pool[langs[pool] == pair[0]])
        tgt_ids, tgt = _pool(rows, rows.tgt[some], pool[langs[pool] == pair[1]])
        found = score_pairs(
            vectors[src_ids], vectors[tgt_ids], (src, tgt), settings,
            threads=threads,
        )  # fmt: skip
        columns.put(some, found)
        told.append(
            LangFigures(
                langs=pair,
                rows=len(some),
                sources=len(src_ids),
                targets=len(tgt_ids),
                mutual=int(found.mutual.sum()),
                mean_score=float(found.margin_score.astype(np.float64).mean()),
            )
        )
    return ScoredCorpus(figures=columns.table(reason, detail), langs=tuple(told))


def _reasons(
    rows: PairRows, refused: Mapping[int, tuple[str, str]]
) -> tuple[list[str | None], list[str | None]]:
    """Why each row cannot be scored, and one line about it; None: it can."""
    count = len(rows.src)
    reason: list[str | None] = [None] * count
    detail: list[str | None] = [None] * count
    for row, what in rows.damage.items():
        reason[row], detail[row] = what.reason, what.detail
    lost = np.zeros(rows.sentences.num_rows + 1, dtype=bool)  # the last: no sentence
    lost[list(refused)] = True
    for row in np.flatnonzero(lost[rows.src] | lost[rows.tgt]).tolist():
        for side, sentence in (("source", int(rows.src[row])), ("target", int(rows.tgt[row]))):
            if sentence in refused and reason[row] is None:
                reason[row] = refused[sentence][0]
                detail[row] = f"{side}: {refused[sentence][1]}"
    return reason, detail


def with_figures(own: pa.Table, figures: pa.Table) -> tuple[pa.Table, dict[str, str]]:
    """The corpus' own columns, then the figures.

    A column of the corpus that is named as a figure (pairs that a run wrote have such) is kept under
    another name.

    Returns:
        The table, and old name -> new name of the corpus' columns that were renamed.
    """
    renamed: dict[str, str] = {}
    for name in own.column_names:
        new = name
        while new in FIGURES.names or (new != name and new in own.column_names):
            new = _OWN + new
        if new != name:
            renamed[name] = new
    table = own.rename_columns([renamed.get(name, name) for name in own.column_names])
    for field in FIGURES:
        table = table.append_column(field, figures[field.name])
    return table, renamed


class _Columns:
    """Figures of N rows, filled in language pair by language pair."""

    def __init__(self, count: int) -> None:
        self._known = np.zeros(count, dtype=bool)
        self._values = {
            field.name: np.zeros(count, field.type.to_pandas_dtype())
            for field in FIGURES
            if not pa.types.is_string(field.type)
        }

    def put(self, rows: Ints, found: Scored) -> None:
        self._known[rows] = True
        for name, values in (
            ("similarity", found.similarity),
            ("margin_score", found.margin_score),
            ("src_mean_similarity", found.src_mean),
            ("tgt_mean_similarity", found.tgt_mean),
            ("forward_rank", found.forward_rank),
            ("backward_rank", found.backward_rank),
            ("mutual", found.mutual),
        ):
            self._values[name][rows] = values

    def table(self, reason: list[str | None], detail: list[str | None]) -> pa.Table:
        columns = {}
        for name, values in self._values.items():
            missing = values == 0 if name.endswith("_rank") else ~self._known
            columns[name] = pa.array(values, mask=missing)
        return pa.table(columns | {"reason": reason, "detail": detail}, schema=FIGURES)


def _by_langs(
    rows: PairRows, open_rows: Ints, langs: NDArray[np.object_]
) -> list[tuple[tuple[str, str], Ints]]:
    """Language pairs in alphabetical order, and the rows of each."""
    found: dict[tuple[str, str], list[int]] = {}
    src, tgt = langs[rows.src[open_rows]].tolist(), langs[rows.tgt[open_rows]].tolist()
    for row, pair in zip(open_rows.tolist(), zip(src, tgt, strict=True), strict=True):
        found.setdefault(pair, []).append(row)
    return [(pair, np.array(found[pair], np.int64)) for pair in sorted(found)]


def _pool(rows: PairRows, sentences: Ints, others: Ints) -> tuple[Ints, Ints]:
    """Distinct sentences by segment_id, and each of ``sentences`` as a position among them."""
    distinct, place = np.unique(np.concatenate([sentences, others]), return_inverse=True)
    place = place[: len(sentences)]
    ids = rows.sentences["segment_id"].combine_chunks().take(pa.array(distinct))
    order = pc.sort_indices(ids).to_numpy().astype(np.int64)
    position = np.empty(len(order), dtype=np.int64)
    position[order] = np.arange(len(order))
    return distinct[order], position[place]
