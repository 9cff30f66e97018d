from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from mining.contract.errors import InputError
from mining.contract.schemas import BACKWARD, FORWARD
from mining.score import ScoreSettings, score_candidates, spans
from mining.score.spans import Spans, apart
from tests.reference.neighbors import neighbor_rows, neighbor_table
from tests.reference.speech import spans_of

# three versions of one stretch, one elsewhere, text, and another channel at the same time
HERE = spans_of(
    {
        "a": (0, 0, 4),
        "b": (0, 0, 8),
        "c": (0, 4, 8),
        "d": (0, 8, 9),
        "t": (None, 0, 0),
        "e": (1, 0, 4),
    }
)


def of(*rows: tuple) -> Spans:
    names = ["segment_id", "recording_id", "channel", "start_sample", "num_samples"]
    types = [pa.string(), pa.string(), pa.int16(), pa.int64(), pa.int64()]
    columns = [pa.array(c, t) for c, t in zip(zip(*rows, strict=True), types, strict=True)]
    return Spans.of(pa.table(columns, names=names))


def test_recordings_and_channels_are_groups_and_text_is_none():
    found = of(
        ("a", "x", None, 5, 2), ("b", "x", 0, 5, 2), ("c", "x", 1, 5, 2), ("d", "y", 1, 0, 1),
        ("e", "x", 0, 9, 1), ("f", None, None, None, None),
    )  # fmt: skip
    groups = found.group.tolist()
    assert len(set(groups)) == 5
    assert groups[1] == groups[4]
    assert found.is_speech.tolist() == [True] * 5 + [False]
    assert (found.start[0], found.end[0]) == (5, 7)


def test_speech_without_a_place_or_a_length_is_refused():
    for bad in (("b", "x", None, None, 2), ("b", "x", None, 3, 0), ("b", "x", None, -1, 2)):
        with pytest.raises(InputError, match="segment 'b' has not"):
            of(("a", "x", None, 0, 2), bad)


def test_take_orders_by_id_and_refuses_strangers():
    assert HERE.take(pa.array(["d", "a"])).start.tolist() == [8, 0]
    with pytest.raises(InputError, match="'z' has not"):
        HERE.take(pa.array(["a", "z"]))


def test_found_in_names_what_is_overlapped():
    rows = np.arange(6)
    assert HERE.found_in(rows, np.array([0, 3])).tolist() == [0, 0, -1, 3, -1, -1]
    assert HERE.found_in(rows, np.array([2, 0])).tolist() == [0, 2, 2, -1, -1, -1]
    assert HERE.found_in(rows, np.array([], np.int64)).tolist() == [-1] * 6


def test_the_best_that_lie_apart_are_taken_by_rank():
    query = np.array([0, 0, 0, 0, 1, 1, 1])
    index = np.array([0, 1, 2, 3, 1, 2, 4])
    assert apart(query, index, HERE, 2).tolist() == [True, False, True, False, True, False, True]
    assert apart(query, index, HERE, 9).tolist() == [True, False, True, True, True, False, True]


def test_text_and_other_channels_overlap_nothing():
    index = np.array([4, 4, 0, 5])
    assert apart(np.zeros(4, np.int64), index, HERE, 4).all()


def test_chunks_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    query, index = np.sort(rng.integers(0, 40, 300)), rng.integers(0, 6, 300)
    whole = apart(query, index, HERE, 3)
    monkeypatch.setattr(spans, "_CHUNK_ROWS", 7)
    assert np.array_equal(apart(query, index, HERE, 3), whole)


def test_the_mean_leaves_out_other_versions_of_the_stretch():
    # three sources a, b, c on one stretch and d elsewhere, one text p
    similarity = np.array([[0.75], [0.5], [0.5], [0.25]], np.float32)
    names = ["a", "b", "c", "d"]
    forward = neighbor_table(neighbor_rows(similarity, names, ["p"], 2), FORWARD)
    backward = neighbor_table(neighbor_rows(similarity.T, ["p"], names, 4), BACKWARD)
    how = ScoreSettings(k=2, speech_k=3, margin="absolute")
    plain = score_candidates(forward, backward, how).to_pylist()
    aware = score_candidates(forward, backward, how, HERE).to_pylist()
    assert {row["tgt_mean_similarity"] for row in plain} == {0.625}  # a and b
    assert {row["tgt_mean_similarity"] for row in aware} == {0.625}  # a and c: b overlaps a
    assert [row["backward_rank"] for row in plain] == [1, 2, None, None]
    assert [row["backward_rank"] for row in aware] == [1, 2, 3, None]
    wide = ScoreSettings(k=3, speech_k=4, margin="absolute")
    aware = score_candidates(forward, backward, wide, HERE).to_pylist()
    assert {row["tgt_mean_similarity"] for row in aware} == {0.5}  # a, c and d


def test_a_segment_without_a_span_is_refused():
    tables = (
        neighbor_table([("z", "p", 0.5, 1)], FORWARD),
        neighbor_table([("p", "z", 0.5, 1)], BACKWARD),
    )
    with pytest.raises(InputError, match="'z' has not"):
        score_candidates(*tables, ScoreSettings(), HERE)
