"""What is refused whatever its score: sentences of evaluation sets."""

from mining.filter.contamination import Guard, load_guard, shipped_sets

__all__ = ["Guard", "load_guard", "shipped_sets"]
