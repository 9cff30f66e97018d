"""Neighbours within paired documents: many small searches, merged a query.

A segment that stands in several documents is compared with the segments of all documents that are
paired with one of them, each once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mining.contract.errors import DatasetError
from mining.contract.schemas import NEIGHBOR
from mining.contract.vectors import unpack
from mining.knn.merge import merge_neighbors
from mining.knn.planner import AUTO
from mining.knn.tile import Vectors, search_tile_both

# How many distinct segments a query was compared with.
REACH = pa.schema(
    [
        pa.field("query_id", pa.string(), nullable=False),
        pa.field("reach", pa.int64(), nullable=False),
    ]
)

Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class DocumentSearch:
    """How paired documents are searched.

    Attributes:
        k: neighbours of a source segment.
        backward_k: of a target segment.
        block_rows: rows a side compared at a time; decides memory, never the result.
        backend: a key of :data:`mining.knn.BACKENDS`, or ``auto``; decides time, never the result.
        threads: of the backend; None: one a core.
    """

    k: int
    backward_k: int
    block_rows: int = 65536
    backend: str = AUTO
    threads: int | None = None


@dataclass(frozen=True, kw_only=True)
class Within:
    """One direction of a search within documents.

    Attributes:
        neighbors: NEIGHBOR table sorted by (query_id, rank).
        reach: REACH table, one row for each segment of the side, also those that reach none.
    """

    neighbors: pa.Table
    reach: pa.Table


class _Side:
    """Members of one side, by document."""

    def __init__(self, members: pa.Table, dim: int) -> None:
        table = members.sort_by([("doc_id", "ascending"), ("segment_id", "ascending")])
        table = table.combine_chunks()
        self.ids = table["segment_id"].combine_chunks()
        self._values = unpack(table["vector"], dim)
        encoded = self.ids.dictionary_encode()
        self.names: pa.Array = encoded.dictionary
        self.codes: Ints = encoded.indices.to_numpy().astype(np.int64)
        runs = pc.run_end_encode(table["doc_id"].combine_chunks())
        ends = runs.run_ends.to_pylist()
        spans = zip([0, *ends[:-1]], ends, strict=True) if ends else ()
        self.documents = dict(zip(runs.values.to_pylist(), spans, strict=True))

    @property
    def repeats(self) -> bool:
        """Whether a segment stands in more than one document."""
        return len(self.names) < len(self.ids)

    def blocks(self, document: str, rows: int) -> Iterator[Vectors]:
        start, end = self.documents[document]
        for low in range(start, end, rows):
            high = min(low + rows, end)
            yield Vectors(self.ids[low:high], self._values[low:high])

    def segments(self, document: str) -> Ints:
        """Codes of a document's segments."""
        start, end = self.documents[document]
        return self.codes[start:end]


def search_documents(
    source: pa.Table, target: pa.Table, pairs: pa.Table, dim: int, search: DocumentSearch
) -> tuple[Within, Within]:
    """The nearest segments of each segment within the documents that are paired with its own.

    Args:
        source: columns doc_id, segment_id and vector, a row for each segment in each of its documents;
            a segment has one vector.
        target: the same of the other side.
        pairs: columns src_doc_id and tgt_doc_id, distinct; documents without members are passed over.
        dim: D, of the vectors.
        search: k and how.

    Returns:
        Forward and backward.

    Raises:
        DatasetError: if the law does not hold: neighbours = sum over queries of min(k, reach).
    """
    x, y = _Side(source, dim), _Side(target, dim)
    named = (pairs[name].to_pylist() for name in ("src_doc_id", "tgt_doc_id"))
    paired = [
        (src, tgt)
        for src, tgt in zip(*named, strict=True)
        if src in x.documents and tgt in y.documents
    ]
    forward, backward = [NEIGHBOR.empty_table()], [NEIGHBOR.empty_table()]
    for src, tgt in paired:
        for rows in x.blocks(src, search.block_rows):
            for columns in y.blocks(tgt, search.block_rows):
                found = search_tile_both(
                    rows,
                    columns,
                    search.k,
                    backward_k=search.backward_k,
                    backend=search.backend,
                    threads=search.threads,
                )
                forward.append(found[0])
                backward.append(found[1])
    again = x.repeats or y.repeats
    turned = [(tgt, src) for src, tgt in paired]
    return (
        _within(forward, _reach(x, y, paired), search.k, again),
        _within(backward, _reach(y, x, turned), search.backward_k, again),
    )


def _within(tables: list[pa.Table], reach: pa.Table, k: int, repeated: bool) -> Within:
    """Merge what document pairs gave, and check the law."""
    found = Within(neighbors=merge_distinct(tables, k, repeated), reach=reach)
    due = _capped(reach["reach"], k)
    if found.neighbors.num_rows != due:
        raise _fault(f"{due} neighbours", found.neighbors.num_rows)
    return found


def _capped(reach: pa.ChunkedArray, k: int) -> int:
    """Sum of min(k, reach)."""
    return int(pc.sum(pc.min_element_wise(reach, k)).as_py() or 0)


def _fault(due: str, found: object) -> DatasetError:
    return DatasetError(
        f"knn within documents: must have {due}, but has {found}; this is a fault of the program"
    )


def merge_within(neighbors: list[pa.Table], reach: list[pa.Table], k: int) -> Within:
    """Merge what the same queries found in several groups of document pairs.

    Args:
        neighbors: NEIGHBOR tables of one direction.
        reach: REACH tables of the same groups.
        k: neighbours kept a query.

    Returns:
        The neighbours, and of each query the most that it reaches in one group.

    Raises:
        DatasetError: if the law does not hold: a query reaches at least what it reaches in one group and
            at most the sum over groups.
    """
    grouped = pa.concat_tables([REACH.empty_table(), *reach]).group_by(
        "query_id", use_threads=False
    )
    reached = grouped.aggregate([("reach", "max"), ("reach", "sum")]).sort_by("query_id")
    merged = merge_distinct(neighbors, k, repeated=len(neighbors) > 1)
    low, high = _capped(reached["reach_max"], k), _capped(reached["reach_sum"], k)
    if not low <= merged.num_rows <= high:
        raise _fault(f"{low} to {high} neighbours", merged.num_rows)
    queries = pc.sum(pc.greater(reached["reach_max"], 0)).as_py() or 0
    if pc.count_distinct(merged["query_id"]).as_py() != queries:
        raise _fault(f"neighbours of {queries} rows", pc.count_distinct(merged["query_id"]))
    most = pa.table([reached["query_id"], reached["reach_max"]], schema=REACH)
    return Within(neighbors=merged, reach=most)


def merge_distinct(tables: Iterable[pa.Table], k: int, repeated: bool = True) -> pa.Table:
    """Merge neighbours of one direction in which a pair of segments may stand more than once.

    Args:
        tables: NEIGHBOR tables of one direction. Of each of its documents a query has its k nearest
            or all; equal pairs have equal similarities.
        k: neighbours kept a query.
        repeated: whether there may be a pair that stands more than once.
    """
    table = pa.concat_tables([NEIGHBOR.empty_table(), *tables])
    if repeated and table.num_rows:
        table = table.sort_by(
            [("query_id", "ascending"), ("index_id", "ascending")]
        ).combine_chunks()
        new = np.ones(table.num_rows, dtype=np.bool_)
        columns = (table[name].combine_chunks() for name in ("query_id", "index_id"))
        same = [pc.equal(one[1:], one[:-1]).to_numpy(zero_copy_only=False) for one in columns]
        new[1:] = ~(same[0] & same[1])
        table = table.filter(pa.array(new))
    return merge_neighbors([table], k)


def _reach(queries: _Side, index: _Side, paired: Iterable[tuple[str, str]]) -> pa.Table:
    """REACH of every query, from the documents alone: what the search must have seen."""
    partners: Mapping[str, list[str]] = defaultdict(list)
    for document, other in paired:
        partners[document].append(other)
    reach = np.zeros(len(queries.names), dtype=np.int64)
    in_documents = np.bincount(queries.codes, minlength=len(queries.names))
    several: dict[int, list[Ints]] = defaultdict(list)  # what queries of several documents reach
    for document, others in partners.items():
        found = index.segments(others[0])
        if len(others) > 1:
            found = np.unique(np.concatenate([index.segments(other) for other in others]))
        mine = queries.segments(document)
        alone = in_documents[mine] == 1
        reach[mine[alone]] = len(found)
        for code in mine[~alone].tolist():
            several[code].append(found)
    for code, some in several.items():
        reach[code] = len(np.unique(np.concatenate(some)))
    return pa.table([queries.names, reach], schema=REACH)
