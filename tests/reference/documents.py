"""Neighbours within paired documents, slowly and obviously."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from tests.reference.neighbors import Row, neighbor_rows, similarity_matrix


def neighbors_within(
    queries: Mapping[str, NDArray[np.float16]],
    index: Mapping[str, NDArray[np.float16]],
    documents: tuple[Iterable[tuple[str, str]], Iterable[tuple[str, str]]],
    pairs: Iterable[tuple[str, str]],
    k: int,
) -> list[Row]:
    """Rows of NEIGHBOR sorted by (query_id, rank).

    Args:
        queries: id -> stored vector.
        index: likewise.
        documents: (document, id) of the queries, and of the index.
        pairs: (document of queries, document of the index).
        k: neighbours a query.
    """
    rows: list[Row] = []
    pairs = set(pairs)
    for name in sorted(queries):
        mine = {document for document, held in documents[0] if held == name}
        reached = sorted({
            other for document, other in documents[1] if any((own, document) in pairs for own in mine)
        })  # fmt: skip
        if reached:
            stored = np.stack([index[other] for other in reached])
            similarity = similarity_matrix(queries[name][None], stored)
            rows += neighbor_rows(similarity, [name], reached, k)
    return rows
