"""Ids, language codes and schemas: what every stage relies on."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mining.contract.errors import SchemaError
from mining.contract.ids import content_id, pair_id, partition_of, partitions_of, text_segment_id
from mining.contract.languages import KNOWN, alpha2, canonical_language
from mining.contract.schemas import PAIR, SEGMENT, checked

WORD = st.text(st.characters(blacklist_categories=("Cc", "Cs")), max_size=12)


@given(st.lists(WORD, min_size=1, max_size=4), st.lists(WORD, min_size=1, max_size=4))
def test_ids_are_equal_for_equal_parts_only(a: list[str], b: list[str]) -> None:
    assert (content_id(*a) == content_id(*b)) == (a == b)


def test_known_ids_never_change() -> None:
    """These stand in datasets on people's disks."""
    assert text_segment_id("eng", "A cat.") == "6ae6c4c92b1ad3421c29be1e6f119ea2"
    assert pair_id("a", "b") != pair_id("b", "a")


@given(st.lists(WORD, max_size=20), st.integers(1, 50))
def test_partitions_agree_one_by_one_and_in_bulk(texts: list[str], partitions: int) -> None:
    ids = [text_segment_id("eng", text) for text in texts]
    one_by_one = [partition_of(i, partitions) for i in ids]
    assert partitions_of(ids, partitions).tolist() == one_by_one
    assert partitions_of(pa.array(ids, pa.string()), partitions).tolist() == one_by_one
    assert all(0 <= p < partitions for p in one_by_one)


@pytest.mark.parametrize(
    ("spelling", "code"),
    [("de", "deu"), ("de-DE", "deu"), ("DEU", "deu"), ("ger", "deu"), ("deu_Latn", "deu"),
     ("zh-CN", "zho"), ("zh-TW", "zho_Hant"), ("zho_Hant", "zho_Hant"), ("cmn", "zho"),
     ("prs", "fas"), ("khk", "mon"), ("lvs", "lav"), ("ekk", "est"), ("arb", "ara"),
     ("sv-SE", "swe"), ("no", "nob"), ("pt-BR", "por"), ("xyz", "xyz"), ("", None),
     ("english", None), ("q", None), ("xx", None), ("de;rm -rf", None), ("../de", None)],
)  # fmt: skip
def test_spellings_of_languages(spelling: str, code: str | None) -> None:
    assert canonical_language(spelling) == code


def test_canonical_codes_are_fixed_points_with_one_two_letter_code() -> None:
    assert all(canonical_language(code) == code for code in KNOWN)
    assert alpha2("deu") == "de"
    assert alpha2("zho_Hant") == "zh"
    assert alpha2("ceb") is None


def test_a_table_must_be_exactly_what_its_stage_expects() -> None:
    empty = SEGMENT.empty_table()
    assert checked(empty, SEGMENT, "here") is empty
    with pytest.raises(SchemaError, match=r"here: .*must be 'pair', but is 'segment'"):
        checked(empty, PAIR, "here")
    with pytest.raises(SchemaError, match="'text' is missing"):
        checked(empty.drop_columns(["text"]), SEGMENT, "here")
    with pytest.raises(SchemaError, match="unexpected columns"):
        checked(empty.append_column("more", pa.array([], pa.int8())), SEGMENT, "here")
    wrong = empty.set_column(0, "segment_id", pa.array([], pa.binary()))
    with pytest.raises(SchemaError, match="must be string, but is binary"):
        checked(wrong, SEGMENT, "here")
