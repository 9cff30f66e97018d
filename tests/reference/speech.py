"""Overlap of segments, as plain loops. A span is (group, start, end); group None: text."""

from __future__ import annotations

from itertools import combinations

import pyarrow as pa

from mining.score import Spans

Span = tuple[int | None, int, int]


def overlap(a: Span, b: Span) -> bool:
    """Whether two spans share a sample."""
    return a[0] is not None and a[0] == b[0] and a[1] < b[2] and b[1] < a[2]


def spans_of(spans: dict[str, Span]) -> Spans:
    """Spans by segment id, as the table that the pipeline reads."""
    rows = [
        {
            "segment_id": name,
            "recording_id": None if group is None else f"rec{group // 2}",
            "channel": None if group is None or group % 2 == 0 else 1,
            "start_sample": None if group is None else start,
            "num_samples": None if group is None else end - start,
        }
        for name, (group, start, end) in spans.items()
    ]
    schema = pa.schema(
        [
            ("segment_id", pa.string()),
            ("recording_id", pa.string()),
            ("channel", pa.int16()),
            ("start_sample", pa.int64()),
            ("num_samples", pa.int64()),
        ]
    )
    return Spans.of(pa.Table.from_pylist(rows, schema=schema))


def apart(ranked: list[Span], k: int) -> list[int]:
    """Positions of the best k that do not overlap a better one taken."""
    taken: list[int] = []
    for place, span in enumerate(ranked):
        if len(taken) < k and not any(overlap(span, ranked[t]) for t in taken):
            taken.append(place)
    return taken


def worth(spans: list[Span], weights: list[int], chosen: tuple[int, ...]) -> tuple[int, int, int]:
    """What choices are compared by: weight, samples covered, fewness."""
    covered = sum(spans[i][2] - spans[i][1] for i in chosen)
    return sum(weights[i] for i in chosen), covered, -len(chosen)


def best_worth(spans: list[Span], weights: list[int]) -> tuple[int, int, int]:
    """The best of all choices without overlap."""
    return max(
        worth(spans, weights, chosen)
        for size in range(len(spans) + 1)
        for chosen in combinations(range(len(spans)), size)
        if not any(overlap(spans[a], spans[b]) for a, b in combinations(chosen, 2))
    )
