"""Reading text files: what a user's file becomes, row by row."""

import gzip
import json
import os
import pickle
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mining.contract.errors import ConfigError, InputError
from mining.contract.schemas import REJECT, REJECT_REASONS, checked
from mining.io.filesystem import Storage
from mining.text import TextSource, list_files, read_batches
from mining.text.batch import ROWS

HERE = Storage()


def read(path, **settings):
    """(rows as dicts, {row number: reason}) of one file; checks the row law on the way."""
    if "lang" not in settings and "lang_column" not in settings:
        settings["lang"] = "deu"
    source = TextSource(uri=str(path), **settings)
    (file,) = list_files(source, HERE)
    rows, refused = [], {}
    for batch in read_batches(file, source, HERE):
        assert batch.rows.schema.equals(ROWS)
        rejects = checked(pa.Table.from_batches([batch.rejects]), REJECT, "test")
        rows += batch.rows.to_pylist()
        for reject in rejects.to_pylist():
            uri, _, number = reject["row_id"].rpartition("#")
            assert uri == file.uri
            assert reject["stage"] == "prepare"
            assert reject["reason"] in REJECT_REASONS
            assert int(number) not in refused
            refused[int(number)] = reject["reason"]
    numbers = [row["row"] for row in rows]
    assert numbers == sorted(numbers)
    assert sorted([*numbers, *refused]) == list(range(len(rows) + len(refused)))
    return rows, refused


def texts(path, **settings):
    rows, refused = read(path, **settings)
    assert not refused
    return [row["text"] for row in rows]


def write(path: Path, data: bytes | str) -> Path:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"one", ["one"]),
        (b"one\ntwo\n", ["one", "two"]),
        (b"one\r\ntwo", ["one", "two"]),
        (b"one\n\n two \n", ["one", "", " two "]),
        (b"\xef\xbb\xbfone\n\xef\xbb\xbftwo", ["one", "\ufefftwo"]),
        (b"nul\0in\n", ["nul\0in"]),
        ("a\u2028b\x85c\x0bd\re\n".encode(), ["a\u2028b\x85c\x0bd\re"]),  # none of them ends a line
    ],
)
def test_lines(tmp_path, data, expected):
    assert texts(write(tmp_path / "a.txt", data)) == expected


def test_undecodable_lines_are_refused_and_the_rest_goes_on(tmp_path):
    path = write(tmp_path / "a.txt", b"gut\n" + b"caf\xe9\n" + "schön\r\n\xff".encode("latin1"))
    rows, refused = read(path)
    assert [row["text"] for row in rows] == ["gut"]
    assert refused == {1: "undecodable", 2: "undecodable", 3: "undecodable"}
    path = write(tmp_path / "a.txt", b"caf\xe9\n" + "schön\r\n".encode() + b"\xed\xa0\x80\n")
    rows, refused = read(path)
    assert [(row["row"], row["text"]) for row in rows] == [(1, "schön")]
    assert refused == {0: "undecodable", 2: "undecodable"}


def test_utf16_is_named(tmp_path):
    with pytest.raises(InputError, match=r"a\.txt.*UTF-16"):
        read(write(tmp_path / "a.txt", "text".encode("utf-16")))


@pytest.mark.parametrize("max_bytes", [1, 5, 8])
def test_a_line_is_too_long_by_its_bytes(tmp_path, max_bytes):
    lines = ["a" * n for n in range(10)] + ["ä" * n for n in range(6)]
    rows, refused = read(write(tmp_path / "a.txt", "\n".join(lines)), max_record_bytes=max_bytes)
    assert set(refused.values()) == {"too_long"}
    kept = [line for line in lines if len(line.encode()) <= max_bytes]
    assert [row["text"] for row in rows] == kept
    _, refused = read(write(tmp_path / "b.txt", "ü" * 5 + "\n"), max_record_bytes=9)
    assert refused == {0: "too_long"}


@pytest.mark.parametrize("suffix", ["txt", "txt.gz", "tsv", "csv", "jsonl"])
def test_one_line_of_50_mb_is_one_reject_and_never_held(tmp_path, suffix):
    before = {"tsv": "text\nx\n", "csv": "text\nx\n", "jsonl": '{"text": "x"}\n'}.get(suffix, "x\n")
    after = '\n{"text": "y"}\n' if suffix == "jsonl" else "\ny\n"
    data = before.encode() + b"a" * 50_000_000 + after.encode()
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(gzip.compress(data, 1) if suffix.endswith("gz") else data)
    del data
    tracemalloc.start()
    rows, refused = read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [row["text"] for row in rows] == ["x", "y"]
    assert refused == {1: "too_long"}
    assert peak < 16 << 20


def test_tsv_takes_quotes_as_text(tmp_path):
    path = write(tmp_path / "a.tsv", 'id\ttext\tlang\n1\tsay "hi\tdeu\n2\t"x"\teng\r\n3\t\tfra\n')
    rows, refused = read(path, id="id", lang_column="lang")
    assert not refused
    assert rows == [
        {"row": 0, "doc_id": "1", "lang_raw": "deu", "text": 'say "hi'},
        {"row": 1, "doc_id": "2", "lang_raw": "eng", "text": '"x"'},
        {"row": 2, "doc_id": "3", "lang_raw": "fra", "text": ""},
    ]


def test_csv_unquotes(tmp_path):
    path = write(tmp_path / "a.csv", 'text,id\n"a, ""b""\nc",1\nplain 5" disk,2\n')
    assert texts(path, id="id") == ['a, "b"\nc', 'plain 5" disk']
    assert texts(write(tmp_path / "b.csv", 'text\n"a"\n'), quoting=False) == ['"a"']
    assert texts(write(tmp_path / "c.tsv", 'text\tid\n"a\tb"\t1\n'), quoting=True) == ["a\tb"]


@pytest.mark.parametrize("quoting", [False, True])
def test_bad_rows_of_a_delimited_file(tmp_path, quoting):
    lines = [b"id\ttext", b"1\tgood", b"2", b"3\ta\tb", b"", b"\tno id", b"6\t\xff", b"7\tlast"]
    path = write(tmp_path / "a.tsv", b"\n".join(lines))
    rows, refused = read(path, id="id", quoting=quoting)
    assert [(row["row"], row["doc_id"], row["text"]) for row in rows] == [
        (0, "1", "good"),
        (6, "7", "last"),
    ]
    assert refused == {
        1: "ragged_row",
        2: "ragged_row",
        3: "empty",
        4: "missing_value",
        5: "undecodable",
    }


def test_a_quote_left_open_costs_one_row(tmp_path):
    good = [f"{i},row {i}" for i in range(20_000)]
    lines = ["id,text", *good[:10], '10,"left open', *good[11:]]
    rows, refused = read(write(tmp_path / "a.csv", "\n".join(lines)), id="id")
    assert refused == {10: "ragged_row"}
    assert [row["text"] for row in rows] == [f"row {i}" for i in range(20_000) if i != 10]
    rows, refused = read(write(tmp_path / "b.csv", 'text\n"a"b\nc\n"end'))
    assert [row["text"] for row in rows] == ["c"]
    assert refused == {0: "ragged_row", 2: "ragged_row"}


def test_undecodable_line_within_a_quoted_record(tmp_path):
    path = write(tmp_path / "a.csv", b'id,text\n1,"a\n\xff\nb"\n2,c\n')
    rows, refused = read(path, id="id")
    assert [row["doc_id"] for row in rows] == ["2"]
    assert refused == {0: "undecodable"}


def test_positions_without_a_header(tmp_path):
    path = write(tmp_path / "a.tsv", "a\tb\tdeu\nc\td\teng\n")
    rows, refused = read(path, header=False, text=1, id=0, lang_column=2)
    assert not refused
    assert [(r["doc_id"], r["text"], r["lang_raw"]) for r in rows] == [
        ("a", "b", "deu"),
        ("c", "d", "eng"),
    ]
    with pytest.raises(InputError, match=r"a\.tsv.*text column 3.*3 without names"):
        read(path, header=False, text=3)
    with pytest.raises(ConfigError, match=r"a\.tsv.*position.*'text'"):
        read(path, header=False)


def test_jsonl(tmp_path):
    good = {"id": 7, "text": "ü\n\u200b", "x": [1]}
    lines = [
        json.dumps(good),
        "{not json",
        '["text"]',
        '{"id": "a"}',
        '{"id": "a", "text": null}',
        '{"id": "a", "text": 3}',
        '{"id": 1.5, "text": "a"}',
        '{"id": true, "text": "a"}',
        '{"id": "a", "text": "\\ud800"}',
        "[" * 100_000,
        " ",
        json.dumps(good, ensure_ascii=False),
    ]
    rows, refused = read(write(tmp_path / "a.jsonl", "\n".join(lines)), id="id")
    assert [(row["row"], row["doc_id"], row["text"]) for row in rows] == [
        (0, "7", good["text"]),
        (11, "7", good["text"]),
    ]
    assert refused == {
        1: "bad_json",
        2: "bad_json",
        3: "missing_value",
        4: "missing_value",
        5: "not_text",
        6: "not_text",
        7: "not_text",
        8: "undecodable",
        9: "bad_json",
        10: "empty",
    }
    with pytest.raises(InputError, match=r"b\.jsonl.*'text'.*'id', 'txt'"):
        read(write(tmp_path / "b.jsonl", '{"txt": "a", "id": 1}\n'))


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())]
)
def test_parquet(tmp_path, kind):
    text = pa.array(["a", None, "", "b" * 100, "ç"]).cast(kind)
    ids = pa.array([1, 2, 3, 4, None])
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": text, "n": ids, "more": ids}), path, row_group_size=2)
    rows, refused = read(path, max_record_bytes=99)
    assert [(row["row"], row["text"]) for row in rows] == [(0, "a"), (2, ""), (4, "ç")]
    assert refused == {1: "missing_value", 3: "too_long"}
    rows, refused = read(path, id="n")
    assert [row["doc_id"] for row in rows] == ["1", "3", "4"]
    assert refused == {1: "missing_value", 4: "missing_value"}


def test_parquet_with_bytes_that_are_no_utf8(tmp_path):
    raw = pa.array([b"good", b"\xff\xfe", None, "schön".encode()])
    text = pa.Array.from_buffers(pa.string(), len(raw), raw.buffers(), raw.null_count)
    pq.write_table(pa.table({"text": text}), tmp_path / "a.parquet")
    rows, refused = read(tmp_path / "a.parquet")
    assert [row["text"] for row in rows] == ["good", "schön"]
    assert refused == {1: "undecodable", 2: "missing_value"}


def test_parquet_that_cannot_be_used(tmp_path):
    with pytest.raises(InputError, match=r"a\.parquet"):
        read(write(tmp_path / "a.parquet", "not parquet"))
    with pytest.raises(InputError, match=r"e\.parquet"):
        read(write(tmp_path / "e.parquet", ""))
    pq.write_table(pa.table({"body": ["a"], "n": [1]}), tmp_path / "b.parquet")
    with pytest.raises(InputError, match=r"b\.parquet.*'text'.*'body', 'n'"):
        read(tmp_path / "b.parquet")
    with pytest.raises(InputError, match=r"b\.parquet.*'n' must hold text, but holds int64"):
        read(tmp_path / "b.parquet", text="n")
    data = bytearray((tmp_path / "b.parquet").read_bytes())
    data[4:20] = b"\xff" * 16
    with pytest.raises(InputError, match=r"c\.parquet"):
        read(write(tmp_path / "c.parquet", bytes(data)), text="body")


def test_missing_column_names_the_file_and_its_columns(tmp_path):
    path = write(tmp_path / "a.tsv", "id\tbody\n1\tx\n")
    with pytest.raises(InputError, match=r"a\.tsv.*'text'.*'id', 'body'"):
        read(path)
    with pytest.raises(InputError, match=r"b\.tsv.*one text column 'text'"):
        read(write(tmp_path / "b.tsv", "text\ttext\n1\tx\n"))
    with pytest.raises(InputError, match=r"c\.tsv.*header"):
        read(write(tmp_path / "c.tsv", b"\xff\n1\tx\n"))
    assert read(write(tmp_path / "d.tsv", "")) == ([], {})
    assert read(write(tmp_path / "d.tsv", "text\n")) == ([], {})


def test_truncated_gzip_is_named(tmp_path):
    whole = gzip.compress("\n".join(f"line {i}" for i in range(100_000)).encode())
    with pytest.raises(InputError, match=r"a\.txt\.gz.*cut or damaged"):
        read(write(tmp_path / "a.txt.gz", whole[: len(whole) // 2]))


def test_formats_by_suffix(tmp_path):
    write(tmp_path / "a.TXT", "x")
    write(tmp_path / "b.tsv.gz", gzip.compress(b"text\nx\n"))
    write(tmp_path / "c.ndjson", '{"text": "x"}')
    source = TextSource(uri=str(tmp_path), lang="deu")
    assert [file.format for file in list_files(source, HERE)] == ["lines", "tsv", "jsonl"]
    write(tmp_path / "d.doc", "x")
    with pytest.raises(InputError, match=r"d\.doc.*\.txt"):
        list_files(source, HERE)
    forced = TextSource(uri=f"{tmp_path}/d.doc", lang="deu", format="lines")
    assert [file.format for file in list_files(forced, HERE)] == ["lines"]
    write(tmp_path / "e.parquet.gz", "x")
    with pytest.raises(InputError, match=r"e\.parquet\.gz"):
        list_files(TextSource(uri=f"{tmp_path}/e.parquet.gz", lang="deu"), HERE)


def test_language_from_the_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("deu/a.txt", "eng/a.txt", "eng/b.md", "zh-CN/sub.x.txt"):
        Path("data", name).parent.mkdir(parents=True, exist_ok=True)
        Path("data", name).write_text("x\n")
    source = TextSource(uri="data/{lang}/*.txt")
    files = list_files(source, HERE)
    assert [(file.uri, file.lang) for file in files] == [
        ("data/deu/a.txt", "deu"),
        ("data/eng/a.txt", "eng"),
        ("data/zh-CN/sub.x.txt", "zh-CN"),
    ]
    (batch,) = read_batches(files[2], source, HERE)
    assert batch.rows.column("lang_raw").to_pylist() == ["zh-CN"]
    Path("data/eng/x.deu.txt").write_text("x\n")
    Path("data/deu/x.deu.txt").write_text("x\n")
    twice = list_files(TextSource(uri="data/{lang}/x.{lang}.txt"), HERE)
    assert [(file.uri, file.lang) for file in twice] == [("data/deu/x.deu.txt", "deu")]
    dotted = list_files(TextSource(uri="data/zh-CN/sub.{lang}.txt"), HERE)
    assert [file.lang for file in dotted] == ["x"]
    with pytest.raises(InputError, match=r"data/\{lang\}/\*\.tsv"):
        list_files(TextSource(uri="data/{lang}/*.tsv"), HERE)


def test_the_language_comes_from_one_place():
    for settings in ({}, {"lang": "deu", "lang_column": "l"}):
        with pytest.raises(ConfigError, match="exactly one"):
            TextSource(uri="a.tsv", **settings)
    with pytest.raises(ConfigError, match="exactly one"):
        TextSource(uri="{lang}.tsv", lang="deu")
    with pytest.raises(ConfigError, match=r"format.*'tsw'"):
        TextSource(uri="a.tsv", lang="deu", format="tsw")


@pytest.mark.parametrize(
    ("name", "settings"),
    [("a.txt", {"id": "id"}), ("a.jsonl", {"text": 0}), ("a.parquet", {"id": 1})],
)
def test_columns_that_a_format_cannot_have(tmp_path, name, settings):
    write(tmp_path / name, "x")
    with pytest.raises(ConfigError, match=name):
        list_files(TextSource(uri=f"{tmp_path}/{name}", lang="deu", **settings), HERE)


def test_settings_travel_between_processes():
    source = TextSource(uri="a.tsv", lang="deu")
    storage = Storage(options={"s3": {"key": "k"}})
    assert pickle.loads(pickle.dumps((source, storage))) == (source, storage)


@pytest.mark.realdata
def test_real_corpora():
    root = Path(os.environ.get("MINING_REAL_DATA", "../shared/data"))
    if not (root / "text").is_dir():
        pytest.skip(f"no real corpora under {root}")
    files = list_files(TextSource(uri=f"{root}/text/ntrex/newstest2019-ref.{{lang}}.txt"), HERE)
    assert len(files) == 21
    for file in files:
        assert len(texts(file.uri)) == 1997
    packages = TextSource(uri=f"{root}/text/packages/story_game/{{lang}}.tsv.gz", id="id")
    for file in list_files(packages, HERE)[:5]:
        rows, refused = read(file.uri, id="id")
        assert len(rows) > 500
        assert not refused
