"""What holds for every text: reading, normal form, splitting, collapsing."""

import csv
import io
import unicodedata
from collections import Counter, defaultdict

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mining.io.collapse import ROW_ID, collapse, reject_duplicate_ids
from mining.io.filesystem import Storage, write_atomic
from mining.text import (
    PrepareSettings,
    TextSource,
    list_files,
    normalise,
    read_batches,
    records,
    segment_batch,
    split_sentences,
)
from mining.text.batch import ROWS

HERE = Storage()
CALM = settings(deadline=None)  # seconds say nothing on a machine shared by several
LANGS = ("eng", "rus", "deu", "ell", "zho", "jpn", "ara", "hin", "tha")
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
PIECES = st.one_of(
    st.sampled_from(["a", "Bb", "Mr", "z", "5", "Ende", "é", "e\u0301", "是", "\u0301"]),
    st.sampled_from([*'」「»«“”"().?。।;', ". ", "! ", "… ", "...", "؟ "]),
    st.sampled_from([*" \t\0\u200b\u200c\u200d\u00a0\u2028", "  "]),
    st.sampled_from([*"☝∯ȸ", "1. ", "2) ", "U.S.", "Ph.D. "]),  # pysbd's own marks and lists
)
PROSE = st.one_of(ANY_TEXT, st.lists(PIECES, max_size=40).map("".join))


@CALM
@given(PROSE)
def test_normalising_twice_changes_nothing(text):
    once = normalise(text)
    assert normalise(once) == once
    assert unicodedata.is_normalized("NFC", once)
    assert once == " ".join(once.split())


@CALM
@given(PROSE, PROSE)
def test_normal_form_of_clean_text_is_nfc_with_single_spaces(left, right):
    text = normalise(left) + " " + normalise(right)
    if not any(joiner in text for joiner in "\u200c\u200d"):
        assert normalise(text) == unicodedata.normalize("NFC", " ".join(text.split()))


@settings(CALM, max_examples=300)
@given(PROSE.map(normalise), st.sampled_from(LANGS))
def test_splitting_loses_and_invents_nothing(text, lang):
    parts = split_sentences(text, lang)
    assert "".join(parts).replace(" ", "") == text.replace(" ", "")
    assert all(part and part == part.strip() for part in parts)
    assert all(normalise(part) == part for part in parts)
    assert parts == split_sentences(text, lang)


def lines_by_hand(data: bytes, max_bytes: int):
    """The slow obvious reading of a file of plain lines: text, or None for a reject."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    raws = data.split(b"\n")
    if raws[-1] == b"":
        raws.pop()
    out = []
    for raw in raws:
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            text = None
        if text is not None and text.endswith("\r"):
            text = text[:-1]
        out.append(None if len(raw) > max_bytes else text)
    return out


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("property")


def read_all(uri, **fields):
    source = TextSource(uri=uri, lang="deu", **fields)
    (file,) = list_files(source, HERE)
    found, refused = {}, {}
    for batch in read_batches(file, source, HERE):
        for row in batch.rows.to_pylist():
            assert row["row"] not in found
            found[row["row"]] = row
        for reject in batch.rejects.to_pylist():
            refused[int(reject["row_id"].rpartition("#")[2])] = reject["reason"]
    assert not found.keys() & refused.keys()
    assert sorted([*found, *refused]) == list(range(len(found) + len(refused)))
    return found, refused


BYTES = st.lists(
    st.sampled_from([b"a", b"\n", b"\r\n", b"\r", "ü".encode(), b"\xff", b"\0", b"xyz" * 5, b"\t"])
    | st.binary(max_size=3),
    max_size=30,
).map(b"".join)


@CALM
@given(BYTES, st.integers(1, 40), st.integers(1, 50))
def test_lines_equal_the_slow_reading_whatever_the_block_size(folder, data, max_bytes, block):
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return
    path = folder / "a.txt"
    path.write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "BLOCK_BYTES", max(block, 3))
        found, refused = read_all(str(path), max_record_bytes=max_bytes)
    expected = lines_by_hand(data, max_bytes)
    assert len(expected) == len(found) + len(refused)
    assert {n: t for n, t in enumerate(expected) if t is not None} == {
        n: row["text"] for n, row in found.items()
    }


FIELD = st.text(st.sampled_from('ab",\n\tü '), max_size=6)


@CALM
@given(st.lists(st.tuples(FIELD, FIELD), max_size=12), st.integers(3, 40))
def test_csv_that_was_written_by_the_rules_is_read_back(folder, pairs, block):
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerows([("text", "more"), *pairs])
    (folder / "a.csv").write_bytes(text.getvalue().encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "BLOCK_BYTES", block)
        found, refused = read_all(str(folder / "a.csv"))
    assert not refused
    assert [found[n]["text"] for n in range(len(pairs))] == [first for first, _ in pairs]


@CALM
@given(BYTES, st.sampled_from(["tsv", "csv", "jsonl"]))
def test_any_bytes_obey_the_row_law(folder, data, suffix):
    head = b'{"text": "a"}\n' if suffix == "jsonl" else b"text\n"
    path = folder / f"b.{suffix}"
    path.write_bytes(head + data)
    found, refused = read_all(str(path))
    if suffix == "tsv":
        assert len(found) + len(refused) == len(lines_by_hand(data, 1 << 20))


ROW = st.tuples(
    st.sampled_from(["a", "b", "c"]),  # file
    st.sampled_from([None, "1", "2"]),  # id
    st.sampled_from(["deu", "de", "eng", "?"]),
    st.sampled_from(["Ja.", "Ja.  Nein.", "Nein.", " ", "X" * 30, "Ja. " + "X" * 30, "Wer? Ja."]),
)
SETTINGS = PrepareSettings(corpus="c", min_chars=1, max_chars=20)


def batches(rows, size):
    """Rows numbered within their file, in batches of ``size``: [(file, batch)]."""
    by_file = defaultdict(list)
    for file, *record in rows:
        by_file[file].append((len(by_file[file]), *record))
    for file, records_of_file in by_file.items():
        for start in range(0, len(records_of_file), size):
            columns = zip(*records_of_file[start : start + size], strict=True)
            arrays = [pa.array(c, f.type) for c, f in zip(columns, ROWS, strict=True)]
            yield file, pa.record_batch(arrays, ROWS)


@CALM
@given(st.lists(ROW, max_size=25), st.integers(1, 9), st.randoms(use_true_random=False))
def test_collapse_depends_on_neither_order_nor_batches_and_obeys_the_law(rows, size, random):
    def run(size, shuffle):
        parts = [segment_batch(batch, file, SETTINGS) for file, batch in batches(rows, size)]
        if shuffle:
            random.shuffle(parts)
        tables = [part.candidates for part in parts]
        ids = pa.concat_tables([ROW_ID.empty_table(), *(part.row_ids for part in parts)])
        return parts, collapse(tables, reject_duplicate_ids(ids))

    parts, result = run(size, shuffle=True)
    _, other = run(100, shuffle=False)
    for name in ("segments", "occurrences", "rejects"):
        assert getattr(result, name).equals(getattr(other, name), check_metadata=True)
    candidates = sum(part.candidates.num_rows for part in parts)
    assert candidates == result.occurrences.num_rows + result.rejects.num_rows
    segments = result.segments.to_pylist()
    counts = Counter(result.occurrences.column("segment_id").to_pylist())
    assert {s["segment_id"]: s["occurrences"] for s in segments} == counts
    assert [s["segment_id"] for s in segments] == [
        s["segment_id"]
        for s in sorted(segments, key=lambda s: (s["lang"], s["length"], s["segment_id"]))
    ]
    places = [
        (o["segment_id"], o["source_uri"], o["row"], o["part"])
        for o in result.occurrences.to_pylist()
    ]
    assert places == sorted(places)
    # Every row is refused as a whole once, or every part of it is somewhere, once.
    refused = [r for part in parts for r in part.rejects.column("row_id").to_pylist()]
    refused += result.rejects.column("row_id").to_pylist()
    kept = [f"{uri}#{row}.{part}" for _, uri, row, part in places]
    everything = Counter(refused + kept)
    assert set(everything.values()) <= {1}
    by_row = defaultdict(list)
    for place in everything:
        row, _, part = place.partition(".")
        by_row[row].append(part)
    assert len(by_row) == len(rows)
    assert all(sorted(p) in ([""], [str(i) for i in range(len(p))]) for p in by_row.values())


@CALM
@given(st.lists(st.tuples(*[st.sampled_from("ab")] * 3, st.integers(0, 9), st.sampled_from("xyz"))))
def test_duplicate_ids_equal_the_slow_rule(records_):
    unique = {(uri, row): (doc, lang, uri, row, text) for doc, lang, uri, row, text in records_}
    owners, expected = {}, []
    for _, (doc, lang, uri, row, text) in sorted(unique.items()):
        if owners.setdefault((doc, lang), text) != text:
            expected.append({"source_uri": uri, "row": row})
    columns = list(zip(*unique.values(), strict=True)) or [()] * 5
    arrays = [pa.array(c, f.type) for c, f in zip(columns, ROW_ID, strict=True)]
    table = pa.Table.from_arrays(arrays, schema=ROW_ID)
    assert reject_duplicate_ids(table).to_pylist() == expected


@CALM
@given(st.lists(st.text("ab_.", min_size=1, max_size=3), max_size=8))
def test_listing_is_sorted_and_without_hidden_names(names):
    from mining.io.filesystem import list_glob, remove

    uris = {f"memory://listing/{name}.txt" for name in names}
    for uri in uris:
        write_atomic(uri, b"", HERE)
    visible = sorted(uri for uri in uris if uri.rsplit("/", 1)[1][0] not in "._")
    assert list_glob("memory://listing/*.txt", HERE) == visible
    for uri in uris:
        remove(uri, HERE)
