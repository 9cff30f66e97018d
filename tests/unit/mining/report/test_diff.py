"""What differs between two sets of pairs is what a plain comparison of dictionaries finds."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mining.contract.errors import DatasetError, InputError, MiningError, SchemaError
from mining.contract.schemas import PAIR, SEGMENT, checked
from mining.io.filesystem import Storage
from mining.report import PAIR_CHANGE, differences, examples_of, find_pairs, table_of

STORAGE = Storage()
Scores = dict[int, tuple[float, float]]  # pair -> margin score, similarity


def pair_table(scores: Scores, langs: str = "deu-eng") -> pa.Table:
    src, tgt = langs.split("-")
    rows = []
    for number, (margin, similarity) in scores.items():
        row = dict.fromkeys(PAIR.names)
        row |= {"pair_id": f"p{number}", "src_lang": src, "tgt_lang": tgt}
        row |= {"src_segment_id": f"s{number}", "tgt_segment_id": f"t{number}"}
        row |= {"src_modality": "text", "tgt_modality": "text", "mutual": True, "run_id": "r"}
        row |= {"src_text": f"Satz {number}", "tgt_text": f"sentence {number}"}
        row |= {"margin_score": margin, "similarity": similarity}
        row |= {"src_mean_similarity": 0.5, "tgt_mean_similarity": 0.5}
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=PAIR)


def write(path: Path, table: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


scores = st.dictionaries(
    st.integers(0, 12), st.tuples(st.sampled_from([1.0, 1.25]), st.sampled_from([0.5, 0.75]))
)
outputs = st.dictionaries(
    st.tuples(st.sampled_from(["tt", "st"]), st.sampled_from(["deu-eng", "fra-zho_Hant"])), scores,
    min_size=1,
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(a=outputs, b=outputs, parts=st.integers(1, 3))
def test_changes_are_those_of_a_plain_comparison(
    tmp_path_factory: pytest.TempPathFactory, a: dict, b: dict, parts: int
) -> None:
    folder = tmp_path_factory.mktemp("diff")
    for name, output in (("a", a), ("b", b)):
        for (task, langs), some in output.items():
            for part in range(parts):
                mine = {n: s for n, s in some.items() if n % parts == part}
                path = folder / name / "pairs" / task / langs / f"part-{part:05d}.parquet"
                write(path, pair_table(mine, langs))
    sides = [find_pairs(str(folder / name), STORAGE) for name in "ab"]
    seen = set()
    for one in differences(*sides):
        key = (one.counts.task, one.counts.languages)
        seen.add(key)
        before, after = a.get(key, {}), b.get(key, {})
        expected = {("added", f"p{n}", None, after[n]) for n in after.keys() - before.keys()}
        expected |= {("removed", f"p{n}", before[n], None) for n in before.keys() - after.keys()}
        both = before.keys() & after.keys()
        expected |= {
            ("rescored", f"p{n}", before[n], after[n]) for n in both if before[n] != after[n]
        }
        rows = checked(one.rows, PAIR_CHANGE, "diff").to_pylist()
        found = set()
        for row in rows:
            scores = [
                (row[f"margin_score_{when}"], row[f"similarity_{when}"])
                for when in ("before", "after")
            ]
            found.add(
                (row["change"], row["pair_id"], *(s if s[0] is not None else None for s in scores))
            )
            assert row["src_text"] == f"Satz {row['pair_id'][1:]}"
            assert (row["task"], f"{row['src_lang']}-{row['tgt_lang']}") == key
        assert found == expected
        assert len(rows) == len(expected)
        counts = one.counts
        assert (counts.before, counts.after) == (len(before), len(after))
        assert counts.same + counts.rescored == len(both)
        assert counts.added + counts.removed + counts.rescored == len(rows)
        assert counts.changed == bool(rows)
    assert seen == a.keys() | b.keys()


def test_a_file_a_task_and_an_output_compare(tmp_path: Path) -> None:
    write(tmp_path / "out/pairs/tt/deu-eng/part-00000.parquet", pair_table({1: (1.0, 0.5)}))
    flat = pa.concat_tables(
        [pair_table({1: (1.1, 0.5), 2: (1.2, 0.5)}), pair_table({3: (1, 0.5)}, "deu-fra")]
    )
    write(tmp_path / "flat.parquet", flat)
    write(tmp_path / "flat/some.parquet", flat)
    for name in ("flat.parquet", "flat"):
        for pairs in ("out", "out/pairs", "out/pairs/tt", "out/pairs/tt/deu-eng"):
            sides = [find_pairs(str(tmp_path / one), STORAGE) for one in (pairs, name)]
            found = {one.counts.languages: one.counts for one in differences(*sides, rows=False)}
            assert (found["deu-eng"].added, found["deu-eng"].rescored) == (1, 1)
            assert found["deu-fra"].added == 1
    lines = list(examples_of(next(differences(*sides)).rows, 1))
    assert lines == [
        "  added    1.2000            Satz 2  |  sentence 2",
        "  rescored 1.0000 -> 1.1000  Satz 1  |  sentence 1",
    ]
    assert table_of(list(found.values())).splitlines()[-1].split() == [
        "all",
        "1",
        "3",
        "0",
        "2",
        "0",
        "1",
    ]


def test_pairs_of_version_1_and_pairs_out_of_pandas_are_read(tmp_path: Path) -> None:
    table = pair_table({1: (1.0, 0.5)})
    old = pa.schema([*PAIR][:25], PAIR.metadata | {b"mining.schema_version": b"1"})
    write(tmp_path / "old.parquet", table.select(old.names).cast(old))
    table.to_pandas().to_parquet(tmp_path / "pandas.parquet")
    write(tmp_path / "new.parquet", table)
    sides = {name: find_pairs(str(tmp_path / f"{name}.parquet"), STORAGE)
             for name in ("old", "pandas", "new")}  # fmt: skip
    for name in ("old", "pandas"):
        (one,) = differences(sides[name], sides["new"])
        assert (one.counts.same, one.counts.changed) == (1, False)


def test_what_holds_no_pairs_is_one_line(tmp_path: Path) -> None:
    table = pair_table({1: (1.0, 0.5)})
    newer = PAIR.with_metadata(PAIR.metadata | {b"mining.schema_version": b"99"})
    write(tmp_path / "newer.parquet", table.cast(newer))
    write(tmp_path / "segments.parquet", SEGMENT.empty_table())
    write(tmp_path / "columns.parquet", pa.table({"pair_id": ["a"]}))
    (tmp_path / "damaged.parquet").write_bytes(b"PAR1 and no more")
    (tmp_path / "empty").mkdir()
    for name, kind, words in (
        ("newer.parquet", SchemaError, "version 99"),
        ("segments.parquet", SchemaError, "rows of segment"),
        ("columns.parquet", SchemaError, "without src_lang"),
        ("damaged.parquet", DatasetError, "whole Parquet file"),
        ("empty", InputError, "holds no pairs"),
        ("gone", InputError, "holds no pairs"),
    ):
        with pytest.raises(MiningError, match=words) as raised:
            find_pairs(str(tmp_path / name), STORAGE)
        assert isinstance(raised.value, kind)
        assert "\n" not in str(raised.value)


def test_a_pair_that_stands_twice_and_tasks_that_are_not_named(tmp_path: Path) -> None:
    table = pair_table({1: (1.0, 0.5)})
    write(tmp_path / "twice.parquet", pa.concat_tables([table, table]))
    write(tmp_path / "once.parquet", table)
    for task in ("tt", "st"):
        write(tmp_path / f"out/pairs/{task}/deu-eng/part-00000.parquet", table)
    twice, once, both = (find_pairs(str(tmp_path / name), STORAGE)
                         for name in ("twice.parquet", "once.parquet", "out"))  # fmt: skip
    with pytest.raises(InputError, match="p1 stands in deu-eng twice"):
        list(differences(twice, once))
    with pytest.raises(InputError, match="st, tt; name the folder"):
        list(differences(once, both))
