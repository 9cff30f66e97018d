"""Exact nearest neighbours in both directions, tile by tile; no tile shape changes the result."""

from mining.knn.approximate import INDEXES, approximate_arrays, check_dim, fewest_rows
from mining.knn.arrays import search_arrays
from mining.knn.backend import Nominator, Nominees, Stored
from mining.knn.backends import BACKENDS, available
from mining.knn.distinct import first_rows
from mining.knn.documents import DocumentSearch, Within, merge_within, search_documents
from mining.knn.exact import TopK
from mining.knn.merge import merge_neighbors
from mining.knn.planner import AUTO, Choice, choose_backend
from mining.knn.recall import Recall, measure_recall
from mining.knn.rescore import exact_similarity
from mining.knn.tile import Vectors, search_tile_both

__all__ = [
    "AUTO",
    "BACKENDS",
    "INDEXES",
    "Choice",
    "DocumentSearch",
    "Nominator",
    "Nominees",
    "Recall",
    "Stored",
    "TopK",
    "Vectors",
    "Within",
    "approximate_arrays",
    "available",
    "check_dim",
    "choose_backend",
    "exact_similarity",
    "fewest_rows",
    "first_rows",
    "measure_recall",
    "merge_neighbors",
    "merge_within",
    "search_arrays",
    "search_documents",
    "search_tile_both",
]
