"""Hubs: rows that are near to everything, and rows that are near to nothing.

Radovanovic, Nanopoulos and Ivanovic, "Hubs in Space", JMLR 11 (2010): N_k of a row is how often it
stands among the k nearest of others. In many dimensions its distribution leans: a few hubs take many
places, and many rows, the anti-hubs, are nobody's neighbour and can be mined from one side only.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_SHOWN = 5  # largest hubs


@dataclass(frozen=True, kw_only=True)
class Hubness:
    """How unevenly the rows of one side are found by those of the other.

    Attributes:
        rows: M, rows that are searched.
        places: neighbours of all queries together, the sum of N_k.
        largest: up to five rows with the highest N_k, and it; equal ones by id.
        skewness: third standardised moment of N_k over all M rows; None where all are equal.
        anti_hubs: share of the M rows with N_k = 0.
    """

    rows: int
    places: int
    largest: tuple[tuple[str, int], ...]
    skewness: float | None
    anti_hubs: float

    @property
    def skewness_by_chance(self) -> float | None:
        """What independent draws would give: N_k is then Poisson with mean places / rows."""
        return math.sqrt(self.rows / self.places) if self.places else None

    @property
    def anti_hubs_by_chance(self) -> float:
        """The same of the share that is never drawn."""
        return math.exp(-self.places / self.rows)


def hubness(neighbors: Iterable[pa.Table], rows: int) -> Hubness:
    """Count how often each row is found.

    Memory: the ids of the rows found, and one table.

    Args:
        neighbors: NEIGHBOR tables of one direction, all of them together; ``index_id`` is read.
        rows: M, rows of the side that they search, at least 1. Those are the queries of the other
            direction.
    """
    seen = pa.table({"values": pa.array([], pa.string()), "counts": pa.array([], pa.int64())})
    for table in neighbors:
        counts = pc.value_counts(table["index_id"])
        new = pa.table({"values": counts.field("values"), "counts": counts.field("counts")})
        both = pa.concat_tables([seen, new]).group_by("values").aggregate([("counts", "sum")])
        seen = both.select(["values", "counts_sum"]).rename_columns(["values", "counts"])
    found = seen["counts"].to_numpy()
    order = [("counts", "descending"), ("values", "ascending")]
    largest = seen.sort_by(order).slice(0, _SHOWN).to_pylist()
    missing = rows - len(found)
    values, times = np.unique(np.append(found, 0), return_counts=True)
    times[0] += missing - 1  # zero stands there once more than it was counted
    return Hubness(
        rows=rows,
        places=int(found.sum()),
        largest=tuple((one["values"], one["counts"]) for one in largest),
        skewness=_skewness(values.astype(np.float64), times),
        anti_hubs=missing / rows,
    )


def _skewness(values: np.ndarray, times: np.ndarray) -> float | None:
    """Of values that stand ``times`` times each."""
    rows = times.sum()
    away = values - (values * times).sum() / rows
    variance = float((away**2 * times).sum() / rows)
    return float((away**3 * times).sum() / rows) / variance**1.5 if variance > 0 else None
