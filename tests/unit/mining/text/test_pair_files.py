from __future__ import annotations

import bz2
import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mining.contract.errors import InputError
from mining.io.filesystem import Storage
from mining.text.pair_files import PairFile, read_pair_files


def read(path: Path, **options: bool) -> PairFile:
    return read_pair_files(str(path), Storage(), **options)


def reasons(found: PairFile) -> dict[int, str]:
    return {row: what.reason for row, what in found.damage.items()}


def test_every_record_is_a_row_with_its_columns(tmp_path):
    path = tmp_path / "a.tsv.gz"
    lines = ["id\ta\tb", "1\tx\ty", "2\tz", "", '3\t"q\tr', "4\t1\t2\t3"]
    path.write_bytes(gzip.compress("\r\n".join(lines).encode() + b"\r\n5\t\xff\tw\n"))
    found = read(path)
    assert found.table.to_pydict() == {
        "id": ["1", "2", None, "3", "4", None],
        "a": ["x", "z", None, '"q', "1", None],
        "b": ["y", None, None, "r", "2", None],
    }
    assert reasons(found) == {1: "ragged_row", 2: "empty", 4: "ragged_row", 5: "undecodable"}


def test_csv_is_quoted_and_columns_may_have_no_names(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('"a, b",c\n"d ""e""",f\n')
    assert read(path, header=False).table.to_pydict() == {"0": ["a, b", 'd "e"'], "1": ["c", "f"]}


def test_objects_may_lack_keys_and_mix_types(tmp_path):
    path = tmp_path / "a.jsonl.bz2"
    objects = [{"a": "x", "n": 1}, {"a": "y", "more": [1]}, {"a": "z", "n": "two"}]
    lines = [json.dumps(objects[0]), "{", json.dumps(objects[1]), json.dumps(objects[2])]
    path.write_bytes(bz2.compress("\n".join(lines).encode()))
    found = read(path)
    assert found.table.to_pydict() == {
        "a": ["x", None, "y", "z"],
        "n": ["1", None, None, '"two"'],
        "more": [None, None, [1], None],
    }
    assert reasons(found) == {1: "bad_json"}


def test_parquet_keeps_its_types_and_files_follow_each_other(tmp_path):
    for name, values in (("b", [3, 4]), ("a", [1, 2])):
        table = pa.table({"n": pa.array(values, pa.int16()), "s": ["x", None]})
        pq.write_table(table, tmp_path / f"{name}.parquet")
    (tmp_path / "_manifest.json").write_text("{}")
    found = read(tmp_path).table
    assert found.schema.field("n").type == pa.int16()
    assert found["n"].to_pylist() == [1, 2, 3, 4]


def test_damage_of_a_later_file_is_counted_on(tmp_path):
    (tmp_path / "a.tsv").write_text("a\tb\nx\ty\n")
    (tmp_path / "b.tsv").write_text("a\tb\nx\ty\nz\n")
    found = read(tmp_path)
    assert found.table.num_rows == 3
    assert reasons(found) == {2: "ragged_row"}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.tsv", "a\tb\n", "at least one row"),
        ("a.tsv", "", "at least one row"),
        ("a.jsonl", "", "at least one row"),
        ("a.tsv", "a\ta\nx\ty\n", "distinct names, but 'a'"),
        ("a.tsv", "\nx\ty\n", "must begin with a readable record"),
        ("a.txt", "x\n", "plain lines"),
        ("a.parquet", "x", "must be a Parquet file"),
        ("a.doc", "x", "suffix must be one of"),
    ],
)
def test_what_cannot_be_read_at_all(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        read(tmp_path / name)


def test_files_that_do_not_go_together(tmp_path):
    pq.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"a": ["x"]}), tmp_path / "b.parquet")
    with pytest.raises(InputError, match="must have the same columns"):
        read(tmp_path)
