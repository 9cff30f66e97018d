"""How far the ends of found speech are from those of the gold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mining.evaluate.bitext import Labelled, first_of_each
from mining.evaluate.gold import PairGold

_HIGH = 0.9


@dataclass(frozen=True, kw_only=True)
class Boundary:
    """Absolute differences between the segments that were found and the gold, of one side.

    Attributes:
        side: source or target.
        hits: meanings found whose gold has times.
        start_median_ms: of abs(start - gold start), milliseconds; ``start_p90_ms`` its 90th percentile.
        end_median_ms: of abs(end - gold end); ``end_p90_ms`` its 90th percentile.
    """

    side: str
    hits: int
    start_median_ms: float
    start_p90_ms: float
    end_median_ms: float
    end_p90_ms: float

    def metrics(self) -> dict[str, float]:
        """Every figure under a name of its own, for tables."""
        names = ("start_median_ms", "start_p90_ms", "end_median_ms", "end_p90_ms")
        return {
            f"{self.side}_boundary_hits": float(self.hits),
            **{f"{self.side}_{name}": getattr(self, name) for name in names},
        }


def hit_errors_ms(
    labelled: Labelled, pairs: pa.Table, gold: PairGold
) -> dict[str, NDArray[np.float64]]:
    """Errors of the best pair of every meaning found, by side: float64 [H, 2], start and end.

    Args:
        labelled: what the pairs are worth.
        pairs: columns src_segment_id and tgt_segment_id.
        gold: of the language pair.

    Returns:
        Sides that are speech with gold times.
    """
    order = np.argsort(-labelled.score, kind="stable")
    hits = pairs.take(pa.array(order[first_of_each(labelled.gold[order])]))
    errors = {
        "source": gold.source_errors_ms(hits["src_segment_id"]),
        "target": gold.target_errors_ms(hits["tgt_segment_id"]),
    }
    known = {side: rows[np.isfinite(rows).all(axis=1)] for side, rows in errors.items()}
    return {side: rows for side, rows in known.items() if len(rows)}


def boundaries(errors: Mapping[str, NDArray[np.float64]]) -> tuple[Boundary, ...]:
    """Medians and 90th percentiles (interpolated linearly) of each side's errors."""
    found = []
    for side, rows in errors.items():
        (start, start_high), (end, end_high) = np.quantile(rows, [0.5, _HIGH], axis=0).T.tolist()
        found.append(
            Boundary(
                side=side,
                hits=len(rows),
                start_median_ms=start,
                start_p90_ms=start_high,
                end_median_ms=end,
                end_p90_ms=end_high,
            )
        )
    return tuple(found)


def pooled(
    errors: Sequence[Mapping[str, NDArray[np.float64]]],
) -> dict[str, NDArray[np.float64]]:
    """The errors of several language pairs together, by side."""
    sides: Iterable[str] = dict.fromkeys(side for one in errors for side in one)
    return {side: np.concatenate([one[side] for one in errors if side in one]) for side in sides}
