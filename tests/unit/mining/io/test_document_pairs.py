from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from mining.contract.errors import InputError
from mining.io.document_pairs import (
    DOCUMENT_PAIR,
    DocumentGroups,
    digest_of,
    groups_of,
    read_document_pairs,
)
from mining.io.filesystem import Storage

STORAGE = Storage()


def pairs_of(*rows: tuple[str, str]) -> pa.Table:
    return pa.Table.from_pylist(
        [dict(zip(DOCUMENT_PAIR.names, row, strict=True)) for row in rows], schema=DOCUMENT_PAIR
    )


def test_pairs_are_distinct_and_ids_stay_text(tmp_path: Path) -> None:
    text = 'tgt_doc_id\tscore\tsrc_doc_id\n007\t0.5\t"a\n2\t1\tb\n007\t0.9\t"a\n1\tx\tnull\n'
    (tmp_path / "pairs.tsv").write_text(text)
    (tmp_path / "pairs.tsv.gz").write_bytes(gzip.compress(text.encode()))
    for name in ("pairs.tsv", "pairs.tsv.gz"):
        found = read_document_pairs(str(tmp_path / name), STORAGE)
        assert found == pairs_of(('"a', "007"), ("b", "2"), ("null", "1"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "cannot be read so"),
        ("src_doc_id\ttgt_doc_id\n", "holds none"),
        ("src\ttgt_doc_id\na\tb\n", "src_doc_id"),
        ("src_doc_id\ttgt_doc_id\na\tb\na\n", "cannot be read so"),
        ("src_doc_id,tgt_doc_id\na,b\n", "tabs between"),
    ],
)
def test_what_is_no_table_of_pairs_is_one_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text(text)
    with pytest.raises(InputError, match=words) as raised:
        read_document_pairs(str(path), STORAGE)
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith(str(path))


def test_a_file_that_is_not_there_or_not_utf8(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_document_pairs(str(tmp_path / "gone.tsv"), STORAGE)
    (tmp_path / "latin.tsv").write_bytes(b"src_doc_id\ttgt_doc_id\n\xe9\tb\n")
    with pytest.raises(InputError, match="cannot be read so"):
        read_document_pairs(str(tmp_path / "latin.tsv"), STORAGE)


def test_the_digest_is_of_the_pairs() -> None:
    pairs = pairs_of(("a", "b"), ("c", "d"))
    assert digest_of(pairs) == digest_of(pa.concat_tables([pairs[:1], pairs[1:]]))
    assert digest_of(pairs) != digest_of(pairs_of(("a", "d"), ("c", "b")))


def test_every_pair_is_in_one_group_with_the_rows_of_both_sides() -> None:
    draw = np.random.default_rng(1)
    rows = {(f"s{a}", f"t{b}") for a, b in draw.integers(0, 30, size=(90, 2)).tolist()}
    groups = DocumentGroups(pairs=pairs_of(*sorted(rows)), count=4)
    source, of_source = groups.deal(pa.table({"doc_id": [f"s{a}" for a in range(40)]}), source=True)
    target, of_target = groups.deal(
        pa.table({"doc_id": [f"t{b}" for b in range(40)]}), source=False
    )
    seen = []
    for group in range(4):
        held = [
            table.filter(pa.array(of == group))
            for table, of in ((source, of_source), (target, of_target))
        ]
        names = [table["doc_id"].to_pylist() for table in held]
        for pair in groups.pairs_of(group, *held).to_pylist():
            seen.append(tuple(pair.values()))
            assert pair["src_doc_id"] in names[0]
            assert pair["tgt_doc_id"] in names[1]
        assert len(set(names[1])) == len(names[1])
        assert set(names[0]) == {src for src, tgt in rows if src in names[0]}
    assert sorted(seen) == sorted(rows)
    assert source.num_rows == len({src for src, _ in rows})


def test_groups_follow_rows_and_how_often_a_target_is_needed() -> None:
    assert groups_of(1000, None, 100) == 10
    assert groups_of(5, None, 100) == 1
    twice = pairs_of(("a", "x"), ("b", "x"), ("c", "y"), ("d", "y"))
    assert groups_of(1000, twice, 100) == 20
    assert groups_of(10**9, None, 16) == 4096
