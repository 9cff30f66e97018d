"""Take sentences of evaluation sets out of a table of segments."""

from __future__ import annotations

import pyarrow as pa

from mining.contract.schemas import REJECT
from mining.filter.contamination import Guard


def refuse_benchmarks(candidates: pa.Table, guard: Guard) -> tuple[pa.Table, pa.Table]:
    """Split candidates into clean ones and REJECT rows.

    Args:
        candidates: columns text, source_uri, row and part, among others.
        guard: what is refused.

    Returns:
        The clean candidates, and rejects with reason ``benchmark_overlap`` and the set's name.
    """
    found = guard.matches(candidates["text"])
    if found.null_count == len(found):
        return candidates, REJECT.empty_table()
    rows = candidates.filter(found.is_valid())
    places = (rows[name].to_pylist() for name in ("source_uri", "row", "part"))
    ids = [f"{uri}#{row}.{part}" for uri, row, part in zip(*places, strict=True)]
    rejects = pa.table(
        [
            pa.array(ids, pa.string()),
            pa.array(["prepare"] * len(ids), pa.string()),
            pa.array(["benchmark_overlap"] * len(ids), pa.string()),
            found.drop_null(),
        ],
        schema=REJECT,
    )
    return candidates.filter(found.is_null()), rejects
