"""What is refused whatever its score: sentences of evaluation sets."""

from mining.filter.contamination import Guard, digest_of_sets, load_guard, shipped_sets
from mining.filter.refuse import refuse_benchmarks

__all__ = ["Guard", "digest_of_sets", "load_guard", "refuse_benchmarks", "shipped_sets"]
