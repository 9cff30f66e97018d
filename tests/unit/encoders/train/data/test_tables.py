from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoders.train.data.tables import read_escaped, read_table, table_files, unquoted
from mining.contract.errors import InputError

ROWS = [
    {"row": 0, "a": "eins", "b": 'zwei "drei"'},
    {"row": 1, "a": "é ü 文", "b": ""},
]


def read(path: Path, required: list[str], reader: Any = read_table) -> tuple[Any, Any]:
    refused: list[tuple[str, str]] = []

    def refuse(row_id: str, reason: str, detail: str) -> None:
        refused.append((row_id.rpartition("#")[2], reason))

    given = (str(path), ["a", "b"])
    tables = list(
        reader(*given, required, refuse) if reader is read_table else reader(*given, refuse)
    )
    return pa.concat_tables(tables).to_pylist(), refused


def test_all_formats_give_the_same_rows(tmp_path: Path) -> None:
    tsv = 'x\tb\ta\r\n0\tzwei "drei"\teins\r\n1\t\té ü 文\r\n'
    (tmp_path / "t.tsv").write_text(tsv, newline="")
    with gzip.open(tmp_path / "t.tsv.gz", "wt", encoding="utf-8", newline="") as file:
        file.write("\ufeff" + tsv)
    (tmp_path / "t.csv").write_text('a,b\neins,"zwei ""drei"""\né ü 文,\n')
    lines = [json.dumps({"a": "eins", "b": 'zwei "drei"'}), json.dumps({"a": "é ü 文"})]
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    table = pa.table({"a": ["eins", "é ü 文"], "b": ['zwei "drei"', None]})
    pq.write_table(table, tmp_path / "t.parquet")
    for name in ("t.tsv", "t.tsv.gz", "t.csv", "t.jsonl", "t.parquet"):
        assert read(tmp_path / name, ["a"]) == (ROWS, []), name


def test_numbers_are_text(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"a": 1.5, "b": 2}\n')
    pq.write_table(pa.table({"a": [1.5], "b": [2]}), tmp_path / "t.parquet")
    for name in ("t.jsonl", "t.parquet"):
        assert read(tmp_path / name, ["a"])[0] == [{"row": 0, "a": "1.5", "b": "2"}]


def test_damaged_records_are_refused_and_the_rest_is_read(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_bytes(b"a\tb\n1\t2\nonly one\n\n\xff\t4\n5\t6\n")
    assert read(tmp_path / "t.tsv", ["a"]) == (
        [{"row": 0, "a": "1", "b": "2"}, {"row": 4, "a": "5", "b": "6"}],
        [("1", "ragged_row"), ("2", "empty"), ("3", "undecodable")],
    )
    bad = ["{", "[1]", '{"a": [1]}', '{"a": true}', '{"a": "\\ud800"}', '{"a": "x"}', ""]
    (tmp_path / "t.jsonl").write_text("\n".join(bad) + "\n")
    rows, refused = read(tmp_path / "t.jsonl", ["a"])
    assert [row["row"] for row in rows] == [5]
    assert [reason for _, reason in refused] == [
        "bad_json", "bad_json", "not_text", "not_text", "undecodable", "empty",
    ]  # fmt: skip
    broken = pa.array([b"fine", b"\xff"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"a": broken, "b": ["x", "y"]}), tmp_path / "t.parquet")
    assert read(tmp_path / "t.parquet", ["a"]) == (
        [{"row": 0, "a": "fine", "b": "x"}],
        [("1", "undecodable")],
    )


def test_what_cannot_be_used_as_a_table_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("x\ty\n1\t2\n")
    (tmp_path / "t.wav").write_text("")
    (tmp_path / "t.parquet").write_text("no")
    with pytest.raises(InputError, match=r"must have one column 'a', but its columns are 'x', 'y'"):
        read(tmp_path / "t.tsv", ["a"])
    with pytest.raises(InputError, match=r"suffix must be one of .* but is '\.wav'"):
        read(tmp_path / "t.wav", ["a"])
    with pytest.raises(InputError, match="must be a Parquet file"):
        read(tmp_path / "t.parquet", ["a"])
    with pytest.raises(InputError, match=r"seeds\.x\.manifest: must name at least one file"):
        table_files(f"{tmp_path}/*.csv", "seeds.x.manifest")


def test_covost_tables_are_read_by_their_own_rules(tmp_path: Path) -> None:
    r"""As pandas reads them with quoting=QUOTE_NONE and escapechar="\\"."""
    lines = ["a\tb", '"one"\t"two', r"back\\slash" + "\t" + r"quote\"", "tab\\\tin\tx", "end\\\tx"]
    (tmp_path / "t.tsv").write_text("\n".join(lines) + "\n")
    rows, refused = read(tmp_path / "t.tsv", ["a"], read_escaped)
    assert [(row["a"], row["b"]) for row in rows] == [
        ('"one"', '"two'), ("back\\slash", 'quote"'), ("tab\tin", "x"),
    ]  # fmt: skip
    assert refused == [("3", "ragged_row")]


@given(st.text(st.characters(exclude_characters="\r\n\t"), max_size=8))
def test_quotes_of_a_whole_field_are_taken_off(text: str) -> None:
    assert unquoted('"' + text.replace('"', '""') + '"') == text
    if not text.startswith('"'):
        assert unquoted(text) == text
