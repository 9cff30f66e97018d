"""What people read: descriptions of datasets, and what changed between two."""

from mining.report.diff import PAIR_CHANGE, Counts, differences, examples_of, find_pairs, table_of
from mining.report.hubness import Hubness, hubness
from mining.report.inspect import inspect

__all__ = [
    "PAIR_CHANGE",
    "Counts",
    "Hubness",
    "differences",
    "examples_of",
    "find_pairs",
    "hubness",
    "inspect",
    "table_of",
]
