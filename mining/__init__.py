"""Mining of parallel text and speech: pure functions on Arrow tables and arrays, no Beam, no models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mining.mine import mine_pairs

__all__ = ["mine_pairs"]


def __getattr__(name: str) -> Any:
    # on demand: it brings FAISS, which a reader of datasets does not need
    if name == "mine_pairs":
        from mining.mine import mine_pairs

        return mine_pairs
    raise AttributeError(f"module 'mining' has no attribute {name!r}")
