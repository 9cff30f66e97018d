"""The same recording under two names is one recording."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mining.contract.schemas import REGION
from mining.io.collapse import CANDIDATE
from mining.speech.hear import HEARD_REGION


def other_languages(candidates: Sequence[pa.Table]) -> pa.Table:
    """Rows of recordings that stand elsewhere in another language; the first by address is right."""
    rows = pa.concat_tables([CANDIDATE.empty_table(), *candidates])
    rows = rows.select(["recording_id", "source_uri", "row", "lang"]).group_by(
        ["recording_id", "source_uri", "row", "lang"]
    ).aggregate([])  # fmt: skip
    order = [(name, "ascending") for name in ("recording_id", "source_uri", "row")]
    rows = rows.sort_by(order).combine_chunks()
    _, first = np.unique(rows["recording_id"].to_numpy(), return_index=True)
    owners = rows.take(pa.array(first))
    place = pc.index_in(rows["recording_id"], owners["recording_id"].combine_chunks())
    wrong = pc.not_equal(rows["lang"], owners["lang"].take(place))
    return rows.filter(wrong).select(["source_uri", "row"])


def distinct_regions(regions: Sequence[pa.Table]) -> pa.Table:
    """Each recording's regions once, from where it stands first; sorted by language and place."""
    keys = ("recording_id", "channel", "region")
    table = pa.concat_tables([HEARD_REGION.empty_table(), *regions])
    order = [(name, "ascending") for name in (*keys, "source_uri", "row")]
    table = table.sort_by(order).combine_chunks()
    if table.num_rows:
        key = zip(*(table[name].to_pylist() for name in keys), strict=True)
        fresh, last = [], None
        for one in key:
            fresh.append(one != last)
            last = one
        table = table.filter(pa.array(fresh))
    table = table.sort_by([(name, "ascending") for name in ("lang", *keys)])
    return pa.Table.from_arrays([table[name] for name in REGION.names], schema=REGION)
