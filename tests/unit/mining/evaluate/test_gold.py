"""Gold files become segment ids and meanings."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mining.contract.errors import InputError
from mining.contract.ids import text_segment_id
from mining.evaluate.gold import GOLD, PairKey, pair_gold, read_gold
from mining.io.filesystem import Storage

STORAGE = Storage()
DEU_ENG = PairKey(src_lang="deu", tgt_lang="eng")
ROWS = [
    {"meaning_id": "1", "lang": "de", "text": 'Er sagte:  "Ja".'},
    {"meaning_id": "1", "lang": "en", "text": "He said yes."},
    {"meaning_id": "2", "lang": "deu", "text": "Guten Abend!"},
    {"meaning_id": "2", "lang": "eng", "text": "Good evening!"},
]


def _write(path: Path, rows: list[dict[str, str]]) -> str:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif ".jsonl" in path.name:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        lines = ["\t".join(rows[0]), *("\t".join(row.values()) for row in rows)]
        data = ("\n".join(lines) + "\n").encode()
        path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return str(path)


@pytest.mark.parametrize("name", ["g.tsv", "g.tsv.gz", "g.jsonl", "g.parquet"])
def test_every_format_gives_the_ids_of_normalised_texts(tmp_path: Path, name: str):
    gold = read_gold(_write(tmp_path / name, ROWS), STORAGE)
    assert gold["segment_id"].to_pylist() == [
        text_segment_id("deu", 'Er sagte: "Ja".'),
        text_segment_id("eng", "He said yes."),
        text_segment_id("deu", "Guten Abend!"),
        text_segment_id("eng", "Good evening!"),
    ]
    assert gold["meaning_id"].to_pylist() == ["1", "1", "2", "2"]
    assert set(gold["modality"].to_pylist()) == {"text"}


def test_a_row_may_bring_its_segment_id(tmp_path: Path):
    row = {"meaning_id": "1", "lang": "eng", "modality": "speech", "segment_id": "abc"}
    gold = read_gold(_write(tmp_path / "g.tsv", [row]), STORAGE)
    assert gold.to_pylist() == [dict.fromkeys(GOLD.names) | row]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"meaning_id": "1", "lang": "german!", "text": "x"}, "row 0: lang.*'german!'"),
        ({"meaning_id": "", "lang": "deu", "text": "x"}, "row 0: meaning_id"),
        ({"meaning_id": "1", "lang": "deu", "text": "  "}, "row 0: gold must have a text"),
        ({"meaning_id": "1", "lang": "deu", "modality": "sign", "text": "x"}, "row 0: modality"),
        ({"meaning": "1", "lang": "deu", "text": "x"}, "'meaning_id' is not among"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, row: dict[str, str], message: str):
    with pytest.raises(InputError, match=message):
        read_gold(_write(tmp_path / "g.jsonl", [row]), STORAGE)


@pytest.mark.parametrize("name", ["g.parquet", "g.xlsx"])
def test_what_is_no_gold_file_is_named(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(b"not a table")
    with pytest.raises(InputError, match=name):
        read_gold(str(tmp_path / name), STORAGE)


def _gold(*rows: tuple[str, str, str]) -> pa.Table:
    names = ("meaning_id", "lang", "segment_id")
    return pa.Table.from_pylist(
        [{**dict(zip(names, r, strict=True)), "modality": "text"} for r in rows]
    )


def test_only_meanings_that_both_languages_have_are_gold():
    gold = pair_gold(
        _gold(
            ("m1", "deu", "d1"),
            ("m1", "eng", "e1"),
            ("m2", "deu", "d2"),
            ("m3", "eng", "e3"),
            ("m3", "fra", "f3"),
        ),
        DEU_ENG,
    )
    assert gold.meanings == ("m1",)
    assert gold.of_sources(pa.array(["d1", "d2", "?"])).tolist() == [0, -1, -1]
    assert gold.of_targets(pa.chunked_array([["e3"], ["e1"]])).tolist() == [-1, 0]


def test_meanings_that_share_a_segment_are_one():
    gold = pair_gold(
        _gold(
            *(("m4", "deu", "d4"), ("m4", "eng", "e4"), ("m1", "deu", "d1"), ("m1", "eng", "e1")),
            *(("m2", "deu", "d1"), ("m2", "eng", "e2"), ("m3", "deu", "d3"), ("m3", "eng", "e2")),
        ),
        DEU_ENG,
    )
    assert gold.meanings == ("m1", "m4")
    assert gold.of_sources(pa.array(["d1", "d3", "d4"])).tolist() == [0, 0, 1]
    assert gold.of_targets(pa.array(["e1", "e2", "e4"])).tolist() == [0, 0, 1]


def test_a_pair_without_gold_knows_nothing():
    gold = pair_gold(_gold(("m1", "deu", "d1")), DEU_ENG)
    assert gold.meanings == ()
    assert np.array_equal(gold.of_sources(pa.array(["d1"])), [-1])


CLIP = {"meaning_id": "1", "lang": "de", "modality": "speech", "source_uri": "clips/a.mp3"}


@pytest.mark.parametrize("name", ["g.tsv", "g.jsonl", "g.parquet"])
def test_speech_is_known_by_its_place(tmp_path: Path, name: str):
    rows = [
        {**CLIP, "channel": "1", "start_s": "1.5", "end_s": "4", "speaker": "ann"},
        {**CLIP, "channel": "", "start_s": "", "end_s": "", "speaker": ""},
    ]
    gold = read_gold(_write(tmp_path / name, rows), STORAGE).to_pylist()
    names = ("lang", "source_uri", "channel", "start_s", "end_s", "speaker", "best")
    assert [tuple(row[name] for name in names) for row in gold] == [
        ("deu", "clips/a.mp3", 1, 1.5, 4.0, "ann", None),
        ("deu", "clips/a.mp3", None, None, None, None, None),
    ]
    assert gold[0]["segment_id"] != gold[1]["segment_id"]


def test_numbers_and_missing_numbers_of_parquet_are_understood(tmp_path: Path):
    rows = [
        {**CLIP, "channel": 0.0, "start_s": 0.0, "end_s": 2.0},
        {**CLIP, "channel": float("nan"), "start_s": float("nan"), "end_s": None},
    ]
    gold = read_gold(_write(tmp_path / "g.parquet", rows), STORAGE)
    assert gold["channel"].to_pylist() == [0, None]
    assert gold["start_s"].to_pylist() == [0.0, None]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"start_s": 3, "end_s": 3}, "row 0: start_s must lie before end_s"),
        ({"start_s": 3}, "row 0: start_s must lie before end_s"),
        ({"end_s": 3}, "row 0: start_s must lie before end_s"),
        ({"start_s": "soon", "end_s": 3}, "row 0: start_s must be a number"),
        ({"start_s": -1, "end_s": 3}, "row 0: start_s must be a number"),
        ({"channel": 0.5}, "row 0: channel must be a whole number"),
        ({"channel": 99999}, "row 0: channel must be a whole number"),
        ({"source_uri": ""}, "row 0: gold must have a text .*source_uri"),
    ],
)
def test_a_bad_place_is_named(tmp_path: Path, values: dict[str, object], message: str):
    with pytest.raises(InputError, match=message):
        read_gold(_write(tmp_path / "g.jsonl", [CLIP | values]), STORAGE)


def test_gold_may_be_located_in_other_corpora_on_either_side():
    def side(segment_id: str) -> pa.Table:
        row = {"meaning_id": "m", "lang": "deu", "modality": "speech", "segment_id": segment_id}
        return pa.Table.from_pylist([row], schema=GOLD)

    key = PairKey(src_modality="speech", tgt_modality="speech", src_lang="deu", tgt_lang="deu")
    gold = pair_gold(side("one"), key, side("other"))
    ids = pa.array(["one", "other"])
    assert gold.of_sources(ids).tolist() == [0, -1]
    assert gold.of_targets(ids).tolist() == [-1, 0]
