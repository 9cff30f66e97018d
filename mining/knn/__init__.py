"""Exact nearest neighbours in both directions, tile by tile; no tile shape changes the result."""

from mining.knn.backend import BACKENDS, Nominator, Nominees
from mining.knn.documents import DocumentSearch, Within, merge_within, search_documents
from mining.knn.merge import merge_neighbors
from mining.knn.tile import Vectors, search_tile, search_tile_both

__all__ = [
    "BACKENDS",
    "DocumentSearch",
    "Nominator",
    "Nominees",
    "Vectors",
    "Within",
    "merge_neighbors",
    "merge_within",
    "search_documents",
    "search_tile",
    "search_tile_both",
]
