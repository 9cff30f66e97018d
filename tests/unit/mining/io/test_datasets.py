"""Parts, manifests, receipts and spills: whole or absent, and the same bytes for the same rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mining.contract.errors import DatasetError, SchemaError
from mining.contract.schemas import NEIGHBOR, REJECT, embedding_schema
from mining.io.dataset import (
    Manifest,
    Receipt,
    count_receipts,
    has_manifest,
    read_manifest,
    read_receipt,
    remove_strays,
    sum_counters,
    write_manifest,
    write_receipt,
)
from mining.io.filesystem import Storage
from mining.io.parquet import Part, read_part, write_part
from mining.io.spill import read_spill, write_spill

STORAGE = Storage()
SCHEMA = embedding_schema(2, "space", "model")


def embeddings(langs: list[str]) -> pa.Table:
    rows = len(langs)
    return pa.table(
        [
            pa.array([f"{i:032x}" for i in range(rows)]),
            pa.array(langs, pa.string()),
            pa.array([bytes([i, 0, 0, 1]) for i in range(rows)], pa.binary(4)),
        ],
        schema=SCHEMA,
    )


def test_equal_rows_are_equal_bytes_however_they_are_chunked(tmp_path: Path) -> None:
    table = embeddings(["deu"] * 3 + ["eng"] * 4)
    chunked = pa.concat_tables([table.slice(0, 2), table.slice(2, 5)])
    parts = [
        write_part(str(tmp_path), name, rows, SCHEMA, STORAGE)
        for name, rows in (("a.parquet", table), ("b.parquet", chunked))
    ]
    assert parts[0].sha256 == parts[1].sha256
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert parts[0].langs == {"deu": 3, "eng": 4}


def test_one_language_is_read_without_the_others(tmp_path: Path) -> None:
    table = embeddings(["cym"] * 2 + ["deu"] + ["eng"] * 3)
    write_part(str(tmp_path), "x.parquet", table, SCHEMA, STORAGE)
    uri = f"{tmp_path}/x.parquet"
    assert read_part(uri, SCHEMA, STORAGE) == table
    assert read_part(uri, SCHEMA, STORAGE, lang="eng") == table.slice(3)
    ids = read_part(uri, SCHEMA, STORAGE, lang="deu", columns=["segment_id"])
    assert ids["segment_id"].to_pylist() == [f"{2:032x}"]
    assert read_part(uri, SCHEMA, STORAGE, lang="fra").num_rows == 0


def test_an_empty_part_is_a_part(tmp_path: Path) -> None:
    part = write_part(str(tmp_path), "x.parquet", embeddings([]), SCHEMA, STORAGE)
    assert (part.rows, part.langs) == (0, {})
    assert read_part(f"{tmp_path}/x.parquet", SCHEMA, STORAGE).num_rows == 0


def test_parts_are_checked_at_both_edges(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="sorted by language"):
        write_part(str(tmp_path), "x.parquet", embeddings(["b", "a", "b"]), SCHEMA, STORAGE)
    write_part(str(tmp_path), "x.parquet", embeddings(["a"]), SCHEMA, STORAGE)
    with pytest.raises(SchemaError, match=r"mining.schema must be 'neighbor', but is 'embedding'"):
        read_part(f"{tmp_path}/x.parquet", NEIGHBOR, STORAGE)
    null = pa.table({"row_id": [None], "stage": ["a"], "reason": ["b"], "detail": ["c"]})
    with pytest.raises(SchemaError, match="null values to non-nullable"):
        write_part(
            str(tmp_path), "y.parquet",
            null.cast(pa.schema([pa.field(n, pa.string()) for n in REJECT.names])), REJECT, STORAGE,
        )  # fmt: skip
    (tmp_path / "x.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(DatasetError, match="damaged"):
        read_part(f"{tmp_path}/x.parquet", SCHEMA, STORAGE)


def test_a_dataset_exists_when_its_manifest_does(tmp_path: Path) -> None:
    folder = str(tmp_path / "d")
    with pytest.raises(DatasetError, match="must be a finished dataset"):
        read_manifest(folder, STORAGE)
    parts = (
        Part(path="a", rows=2, sha256="x", langs={"deu": 2}),
        Part(path="b", rows=3, sha256="y", langs={"cym": 1, "deu": 2}),
    )
    manifest = Manifest(kind="segments", name="c", hash="h", parts=parts, counters={"kept": 5})
    write_manifest(folder, manifest, STORAGE)
    again = read_manifest(folder, STORAGE)
    assert again == manifest
    assert (again.rows, again.langs, list(again.langs)) == (5, {"cym": 1, "deu": 4}, ["cym", "deu"])
    assert has_manifest(folder, "h", STORAGE)
    assert not has_manifest(folder, "other", STORAGE)
    changed = Manifest(kind="segments", name="c", hash="h", parts=parts[:1])
    assert changed.content != manifest.content


def test_receipts(tmp_path: Path) -> None:
    folder = str(tmp_path / "r")
    assert read_receipt(folder, "u", STORAGE) is None
    part = Part(path="a", rows=1, sha256="x")
    one = Receipt(unit="u", parts={"k": (part,)}, counters={"kept": 1}, notes={"n": [1]})
    write_receipt(folder, one, STORAGE)
    assert read_receipt(folder, "u", STORAGE) == one
    assert count_receipts(folder, STORAGE) == 1
    two = Receipt(unit="v", counters={"kept": 2, "in": 3})
    assert sum_counters([one, two]) == {"in": 3, "kept": 3}


def test_strays_of_an_earlier_run_are_removed(tmp_path: Path) -> None:
    for name in ("a/1.parquet", "a/2.parquet", "b/1.parquet", "a/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    remove_strays(str(tmp_path), ["a/1.parquet"], STORAGE)
    left = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())
    assert left == ["a/1.parquet", "a/notes.txt"]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=60))
def test_a_spill_gives_each_partition_its_rows_in_order(
    tmp_path_factory: pytest.TempPathFactory, partitions: list[int]
) -> None:
    uri = str(tmp_path_factory.mktemp("spill") / "x.arrow")
    table = pa.table({"row": list(range(len(partitions)))})
    held = write_spill(uri, table, np.array(partitions, np.int32), STORAGE)
    assert held == sorted(set(partitions))
    for index, partition in enumerate(held):
        rows = read_spill(uri, [index], STORAGE)["row"].to_pylist()
        assert rows == [row for row, p in enumerate(partitions) if p == partition]


def test_a_damaged_spill_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.arrow").write_bytes(b"nothing")
    with pytest.raises(DatasetError, match=r"x\.arrow"):
        read_spill(str(tmp_path / "x.arrow"), [0], STORAGE)
