"""Which documents are translations of each other, as another tool aligned them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
from numpy.typing import NDArray

from mining.contract.errors import InputError
from mining.contract.ids import content_id, partitions_of
from mining.io.filesystem import Storage, open_decompressed

_MOST_GROUPS = 4096

DOCUMENT_PAIR = pa.schema(
    [
        pa.field("src_doc_id", pa.string(), nullable=False),
        pa.field("tgt_doc_id", pa.string(), nullable=False),
    ]
)


def read_document_pairs(uri: str, storage: Storage) -> pa.Table:
    """Read a TSV file (also .gz .zst .bz2 .xz) with columns src_doc_id and tgt_doc_id.

    A document may stand in many pairs. Other columns are not looked at; nothing is quoted.

    Returns:
        DOCUMENT_PAIR table, distinct and sorted.

    Raises:
        InputError: if the file is missing, is no such table, or holds no pair.
    """
    names = DOCUMENT_PAIR.names
    try:
        with open_decompressed(uri, storage) as file:
            table = csv.read_csv(
                file,
                read_options=csv.ReadOptions(use_threads=False),
                parse_options=csv.ParseOptions(delimiter="\t", quote_char=False),
                convert_options=csv.ConvertOptions(
                    include_columns=names, column_types=dict.fromkeys(names, pa.string())
                ),
            )
    except (KeyError, pa.ArrowException) as error:
        first = str(error).strip("'\"").splitlines()[0]
        raise InputError(
            f"{uri}: must be a table of two columns, {' and '.join(names)}, with tabs between and their "
            f"names in the first line, but cannot be read so: {first}"
        ) from None
    pairs = table.group_by(names, use_threads=False).aggregate([])
    pairs = pairs.select(names).cast(DOCUMENT_PAIR).sort_by([(name, "ascending") for name in names])
    if not pairs.num_rows:
        raise InputError(f"{uri}: must hold a pair of documents, but holds none")
    return pairs.combine_chunks()


def digest_of(pairs: pa.Table) -> str:
    """Hex digest of document pairs: equal pairs, whatever order they were written in."""
    lines = pc.binary_join_element_wise(pairs["src_doc_id"], pairs["tgt_doc_id"], "\t")
    return hashlib.sha256("\n".join(lines.to_pylist()).encode("utf-8")).hexdigest()


@dataclass(frozen=True, kw_only=True)
class DocumentGroups:
    """Document pairs dealt into groups: a pair is in the group of its source document, by hash.

    Attributes:
        pairs: DOCUMENT_PAIR table; None: documents of one id are paired.
        count: groups.
    """

    pairs: pa.Table | None
    count: int

    def of(self, documents: pa.Array | pa.ChunkedArray) -> NDArray[np.int32]:
        """Group of each document as a source: int32 [N]."""
        column = documents.combine_chunks() if isinstance(documents, pa.ChunkedArray) else documents
        encoded = column.dictionary_encode()
        names = (content_id(name) for name in encoded.dictionary.to_pylist())
        of_name: NDArray[np.int32] = partitions_of(names, self.count)
        found: NDArray[np.int32] = of_name[encoded.indices.to_numpy()]
        return found

    def deal(self, stood: pa.Table, *, source: bool) -> tuple[pa.Table, NDArray[np.int32]]:
        """Rows in paired documents, once for each group that needs them, and that group.

        Args:
            stood: with a column doc_id.
            source: whether they are of the source side.
        """
        if self.pairs is None:
            return stood, self.of(stood["doc_id"])
        if source:
            named = pc.unique(self.pairs["src_doc_id"])
            held = stood.filter(pc.is_in(stood["doc_id"], value_set=named))
            return held, self.of(held["doc_id"])
        targets, starts, groups = self._of_targets
        held = stood.filter(pc.is_in(stood["doc_id"], value_set=targets))
        code = pc.index_in(held["doc_id"], value_set=targets).to_numpy()
        counts = starts[code + 1] - starts[code]
        rows = np.repeat(np.arange(held.num_rows), counts)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        return held.take(pa.array(rows)), groups[np.repeat(starts[code], counts) + within]

    @cached_property
    def _of_targets(self) -> tuple[pa.Array, NDArray[np.int64], NDArray[np.int32]]:
        """Distinct target documents, where the groups of each begin (and the last end), the groups."""
        pairs = self._named_pairs
        table = pa.table({"doc": pairs["tgt_doc_id"], "group": self.of(pairs["src_doc_id"])})
        found = table.group_by(["doc", "group"], use_threads=False).aggregate([]).sort_by("doc")
        runs = pc.run_end_encode(found["doc"].combine_chunks())
        starts = np.concatenate([[0], runs.run_ends.to_numpy()]).astype(np.int64)
        return runs.values, starts, found["group"].to_numpy()

    @property
    def _named_pairs(self) -> pa.Table:
        if self.pairs is None:
            raise ValueError("documents of one id are named nowhere")
        return self.pairs

    def pairs_of(self, group: int, source: pa.Table, target: pa.Table) -> pa.Table:
        """DOCUMENT_PAIR rows of a group.

        Args:
            group: which.
            source: its rows of the source side, with a column doc_id.
            target: of the target side.
        """
        if self.pairs is None:
            both = pc.unique(source["doc_id"])
            both = both.filter(pc.is_in(both, value_set=pc.unique(target["doc_id"])))
            return pa.table([both, both], schema=DOCUMENT_PAIR)
        return self.pairs.filter(pa.array(self.of(self.pairs["src_doc_id"]) == group))

    def named(self, column: str, group: int) -> pa.Array:
        """Distinct documents of one side that the pairs name, those whose own group is ``group``."""
        names = pc.unique(self._named_pairs[column])
        return names.filter(pa.array(self.of(names) == group))


def groups_of(rows: int, pairs: pa.Table | None, group_rows: int) -> int:
    """Into how many groups document pairs are dealt, so that one holds about ``group_rows`` rows.

    Args:
        rows: of both sides of the largest language pair.
        pairs: DOCUMENT_PAIR table, whose targets are in the group of each of their sources; None: every
            document has one partner.
        group_rows: wanted.
    """
    copies = 1.0
    if pairs is not None:
        copies = pairs.num_rows / pc.count_distinct(pairs["tgt_doc_id"]).as_py()
    return min(_MOST_GROUPS, max(1, round(rows * copies / group_rows)))
