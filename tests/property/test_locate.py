"""Locating speech equals slow, obvious loops."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from mining.evaluate.controls import shuffled_rows
from mining.evaluate.gold import GOLD, PairKey, pair_gold
from mining.evaluate.locate import MIN_IOU, locate_speech

RATE_HZ = 8  # few places, so that equal overlaps abound
KEY = PairKey(src_modality="speech", src_lang="deu", tgt_lang="eng")
uri = st.sampled_from(["a.wav", "b.wav"])
channel = st.sampled_from([None, 0, 1])
stretch = st.tuples(st.integers(0, 10), st.integers(1, 8)).map(lambda s: (s[0], s[0] + s[1]))
gold_rows = st.lists(
    st.tuples(st.integers(0, 4), uri, channel, st.one_of(st.none(), stretch)), max_size=12
)
segment_rows = st.lists(st.tuples(uri, channel, stretch), max_size=30, unique=True)


def gold_table(rows: list) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {
                "meaning_id": f"m{meaning}",
                "lang": "deu",
                "modality": "speech",
                "segment_id": f"?{where}{heard}{times}",
                "source_uri": where,
                "channel": heard,
                "start_s": None if times is None else times[0] / RATE_HZ,
                "end_s": None if times is None else times[1] / RATE_HZ,
            }
            for meaning, where, heard, times in rows
        ],
        schema=GOLD,
    )


def segment_table(rows: list, rate_hz: int = RATE_HZ) -> pa.Table:
    """Ids number the rows."""
    scale = rate_hz // RATE_HZ
    columns = {
        "segment_id": pa.array([f"{n:03d}" for n in range(len(rows))], pa.string()),
        "source_uri": pa.array([where for where, _, _ in rows], pa.string()),
        "channel": pa.array([heard for _, heard, _ in rows], pa.int16()),
        "start_sample": pa.array([scale * start for _, _, (start, _) in rows], pa.int64()),
        "num_samples": pa.array([scale * (end - start) for _, _, (start, end) in rows], pa.int64()),
        "sample_rate_hz": pa.array([rate_hz] * len(rows), pa.int32()),
    }
    return pa.table(columns)


def slow_iou(gold: tuple[int, int], segment: tuple[int, int]) -> float:
    shared = max(0, min(gold[1], segment[1]) - max(gold[0], segment[0]))
    return shared / (gold[1] - gold[0] + segment[1] - segment[0] - shared)


def slow_matches(golds: list, segments: list) -> dict[tuple, list[int]]:
    """Segments of each place, the best first."""
    places = set()
    for _, where, heard, times in golds:
        spans = [span for other, _, span in segments if other == where]
        if times is None and spans:
            times = (min(s for s, _ in spans), max(e for _, e in spans))
        if times is not None:
            places.add((where, *times, -1 if heard is None else heard))
    found: dict[tuple, list[tuple[float, int]]] = {}
    for number, (where, heard, span) in enumerate(segments):
        options = [
            (-slow_iou(place[1:3], span), place)
            for place in sorted(places)
            if place[0] == where and (heard is None or place[3] in (-1, heard))
        ]
        good = [option for option in options if -option[0] >= MIN_IOU]
        if good:
            iou, place = min(good)
            found.setdefault(place, []).append((iou, number))
    return {place: [n for _, n in sorted(hits)] for place, hits in found.items()}


@settings(deadline=None, max_examples=300)
@given(gold_rows, segment_rows)
def test_every_match_is_that_of_a_loop(golds, segments):
    located = locate_speech(gold_table(golds), segment_table(segments)).to_pylist()
    matches = slow_matches(golds, segments)
    expected = []
    for meaning, where, heard, times in golds:
        spans = [span for other, _, span in segments if other == where]
        if times is None and spans:
            whole = (min(s for s, _ in spans), max(e for _, e in spans))
        else:
            whole = times or (0, 0)
        hits = matches.get((where, *whole, -1 if heard is None else heard), [])
        for rank, number in enumerate(hits):
            start, end = segments[number][2]
            errors = (
                (None, None)
                if times is None
                else tuple(
                    1000 * abs(a - b) / RATE_HZ for a, b in zip((start, end), times, strict=True)
                )
            )
            expected.append((f"m{meaning}", f"{number:03d}", rank == 0, *errors))
        if not hits:
            expected.append((f"m{meaning}", f"?{where}{heard}{times}", None, None, None))
    names = ("meaning_id", "segment_id", "best", "start_error_ms", "end_error_ms")
    assert [tuple(row[name] for name in names) for row in located] == expected


@settings(deadline=None)
@given(st.data(), gold_rows, segment_rows)
def test_neither_order_nor_sampling_rate_matters(data, golds, segments):
    located = locate_speech(gold_table(golds), segment_table(segments))
    order = data.draw(st.permutations(range(len(segments))))
    other = segment_table(segments, rate_hz=48000).take(pa.array(order, pa.int64()))
    assert locate_speech(gold_table(golds), other).equals(located)


@settings(deadline=None)
@given(gold_rows, segment_rows)
def test_a_segment_is_right_for_one_place_only_and_each_recording_asks_once(golds, segments):
    located = locate_speech(gold_table(golds), segment_table(segments))
    text = [
        {"meaning_id": f"m{n}", "lang": "eng", "modality": "text", "segment_id": f"eng{n}"}
        for n in range(5)
    ]
    gold = pair_gold(pa.concat_tables([located, pa.Table.from_pylist(text, schema=GOLD)]), KEY)
    ids = pa.array([f"{n:03d}" for n in range(len(segments))], pa.string())
    asked = gold.queries(ids)
    matches = slow_matches(golds, segments)
    assert np.count_nonzero(asked >= 0) == len(matches)
    assert np.count_nonzero(gold.of_sources(ids) >= 0) == sum(map(len, matches.values()))
    assert np.array_equal(asked[asked >= 0], gold.of_sources(ids)[asked >= 0])


lengths = st.lists(st.integers(1, 30), min_size=1, max_size=20)


@settings(deadline=None)
@given(st.integers(2, 50), st.integers(0, 2**32 - 1))
def test_shuffling_leaves_no_row_where_it_was(count, seed):
    to = shuffled_rows(count, np.random.default_rng(seed))
    assert sorted(to.tolist()) == list(range(count))
    assert not np.any(to == np.arange(count))
