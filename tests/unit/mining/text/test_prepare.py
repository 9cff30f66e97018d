"""From rows to distinct segments, case by case."""

import pyarrow as pa
import pytest

from mining.contract.errors import ConfigError
from mining.contract.ids import text_segment_id
from mining.contract.schemas import OCCURRENCE, REJECT, SEGMENT, checked
from mining.io.collapse import CANDIDATE, ROW_ID, collapse, reject_duplicate_ids
from mining.text import PrepareSettings, segment_batch
from mining.text.batch import ROWS


def rows(*records):
    """A batch of rows (doc_id, lang_raw, text), numbered from 0."""
    records = [(i, *record) for i, record in enumerate(records)]
    columns = list(zip(*records, strict=True)) or [()] * 4
    return pa.record_batch([pa.array(c, f.type) for c, f in zip(columns, ROWS, strict=True)], ROWS)


def whole(**settings):
    return PrepareSettings(corpus="c", segment="none", **settings)


def reasons(rejects):
    return dict(zip(*(rejects.column(n).to_pylist() for n in ("row_id", "reason")), strict=True))


def test_rows_become_candidates():
    result = segment_batch(
        rows(("7", "de-DE", " Das  ist\u00a0gut. Ja? "), (None, "zh-TW", "好。很好")),
        "a.tsv",
        PrepareSettings(corpus="c"),
    )
    assert result.candidates.schema.equals(CANDIDATE, check_metadata=True)
    assert result.rejects.num_rows == 0
    found = result.candidates.to_pylist()
    expected = [
        ("deu", "Das ist gut.", "7", 0, 0),
        ("deu", "Ja?", "7", 0, 1),
        ("zho_Hant", "好。", None, 1, 0),
        ("zho_Hant", "很好", None, 1, 1),
    ]
    assert [
        tuple(f[n] for n in ("lang", "text", "doc_id", "row", "part")) for f in found
    ] == expected
    for record in found:
        assert record["segment_id"] == text_segment_id(record["lang"], record["text"])
        assert record["length"] == len(record["text"])
        assert record["occurrences"] == 1
        assert (record["corpus"], record["modality"]) == ("c", "text")
        assert record["source_uri"] == "a.tsv"
        assert record["recording_id"] is None
    assert result.row_ids.schema.equals(ROW_ID)
    assert result.row_ids.to_pylist() == [
        {
            "doc_id": "7",
            "lang": "deu",
            "source_uri": "a.tsv",
            "row": 0,
            "text_id": text_segment_id("deu", "Das ist gut. Ja?"),
        }
    ]


def test_rows_that_are_refused():
    batch = rows(
        ("1", "deu", "gut"),
        ("2", "1337", "gut"),
        ("3", "fra", "bon"),
        ("4", "deu", " \u200b\0 "),
        ("5", "deu", "a"),
        ("6", "de", "x" * 11),
        ("7", "deu", "x" * 10),
    )
    settings = whole(min_chars=2, max_chars=10, langs=frozenset({"deu"}))
    result = segment_batch(batch, "s3://b/a.tsv", settings)
    checked(pa.Table.from_batches([result.rejects]), REJECT, "test")
    assert reasons(result.rejects) == {
        "s3://b/a.tsv#1": "unknown_language",
        "s3://b/a.tsv#2": "unwanted_language",
        "s3://b/a.tsv#3": "empty",
        "s3://b/a.tsv#4.0": "too_short",
        "s3://b/a.tsv#5.0": "too_long",
    }
    assert result.rejects.column("detail")[0].as_py() == "1337"
    assert result.candidates.column("row").to_pylist() == [0, 6]
    assert result.row_ids.column("row").to_pylist() == [0, 4, 5, 6]


def test_one_long_sentence_does_not_cost_its_row():
    result = segment_batch(
        rows((None, "deu", f"Kurz. {'X' * 50}. Auch kurz.")),
        "a",
        PrepareSettings(corpus="c", max_chars=20),
    )
    assert result.candidates.column("text").to_pylist() == ["Kurz.", "Auch kurz."]
    assert result.candidates.column("part").to_pylist() == [0, 2]
    assert reasons(result.rejects) == {"a#0.1": "too_long"}


def test_duplicates_collapse_and_keep_their_occurrences():
    late = segment_batch(rows(("z", "deu", "ja"), ("y", "eng", "ja")), "b.tsv", whole())
    early = segment_batch(rows(("q", "deu", "nein!"), ("x", "de", "ja ")), "a.tsv", whole())
    result = collapse([late.candidates, early.candidates])
    checked(result.segments, SEGMENT, "test")
    checked(result.occurrences, OCCURRENCE, "test")
    found = [
        tuple(s[n] for n in ("lang", "text", "doc_id", "source_uri", "occurrences"))
        for s in result.segments.to_pylist()
    ]
    assert found == [
        ("deu", "ja", "x", "a.tsv", 2),
        ("deu", "nein!", "q", "a.tsv", 1),
        ("eng", "ja", "y", "b.tsv", 1),
    ]
    places = [
        (o["source_uri"], o["row"], o["doc_id"])
        for o in result.occurrences.to_pylist()
        if o["segment_id"] == text_segment_id("deu", "ja")
    ]
    assert places == [("a.tsv", 1, "x"), ("b.tsv", 0, "z")]
    assert result.rejects.num_rows == 0


def test_nothing_collapses_to_nothing():
    result = collapse([])
    assert checked(result.segments, SEGMENT, "test").num_rows == 0
    assert checked(result.occurrences, OCCURRENCE, "test").num_rows == 0
    assert checked(result.rejects, REJECT, "test").num_rows == 0
    assert reject_duplicate_ids(ROW_ID.empty_table()).num_rows == 0


def test_an_id_belongs_to_its_first_row():
    settings = PrepareSettings(corpus="c")
    first = segment_batch(
        rows(("1", "deu", "Eins. Zwei."), ("1", "deu", "Eins. Zwei."), ("2", "deu", "Drei.")),
        "a.tsv",
        settings,
    )
    second = segment_batch(
        rows(("1", "deu", "Anderes. Mehr."), ("1", "eng", "One. Two."), (None, "deu", "Drei.")),
        "b.tsv",
        settings,
    )
    taken = reject_duplicate_ids(pa.concat_tables([second.row_ids, first.row_ids]))
    assert taken.to_pylist() == [{"source_uri": "b.tsv", "row": 0}]
    result = collapse([first.candidates, second.candidates], taken)
    checked(result.rejects, REJECT, "test")
    assert reasons(result.rejects) == {"b.tsv#0.0": "duplicate_id", "b.tsv#0.1": "duplicate_id"}
    assert "Anderes." not in result.segments.column("text").to_pylist()
    candidates = first.candidates.num_rows + second.candidates.num_rows
    assert candidates == result.occurrences.num_rows + result.rejects.num_rows


@pytest.mark.parametrize(
    "settings", [{"segment": "words"}, {"min_chars": 0}, {"min_chars": 5, "max_chars": 4}]
)
def test_settings_out_of_range(settings):
    with pytest.raises(ConfigError, match="my corpus"):
        PrepareSettings(corpus="my corpus", **settings)
