"""The normal form, case by case."""

import sys
import unicodedata

import pytest

from mining.text import normalise


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("", ""),
        ("plain text", "plain text"),
        ("  two  spaces ", "two spaces"),
        ("tab\tand\r\nline\x0b\x0c\x1c\x1d\x1e\x1f\x85\u2028\u2029end", "tab and line end"),
        ("no\u00a0break\u2009thin\u3000wide\u1680ogham", "no break thin wide ogham"),
        ("e\u0301", "é"),
        ("e\u200b\u0301", "é"),  # composed once the zero-width space is gone
        ("\u1112\u1161\u11ab", "한"),
        ("ﬁ ①", "ﬁ ①"),  # NFC, not NFKC
        ("nul\0bell\x07del\x7fc1\x9f", "nulbelldelc1"),
        ("\ufeffbom soft\u00adhyphen word\u2060joiner", "bom softhyphen wordjoiner"),
        ("\u202bbidi\u202c\u200e\u200f\u2066x\u2069", "bidix"),
        ("می\u200cخواهم", "می\u200cخواهم"),  # Persian needs the non-joiner
        ("क्\u200dष", "क्\u200dष"),  # Hindi needs the joiner
        ("👨\u200d👩\u200d👧", "👨\u200d👩\u200d👧"),
        ("\u200ca \u200c b\u200d\u200c \u200d", "a b"),  # beside a space they join nothing
        ("\u200c\u200d", ""),
        ("\u0600۱۲ \u06dd", "\u0600۱۲ \u06dd"),  # visible format characters
        ("ᠬᠠᠨᠠ\u180eᠠ", "ᠬᠠᠨᠠ\u180eᠠ"),
        ("\U000e0001\U000e0041x", "x"),
    ],
)
def test_normal_form(raw, expected):
    assert normalise(raw) == expected


def test_every_character_by_its_category():
    kept = set(
        "\u200c\u200d\u180e\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2"
    )
    kept |= {"\U000110bd", "\U000110cd"}
    planes = [*range(0x20000), *range(0xE0000, 0xE1000), *range(0x20000, sys.maxunicode, 101)]
    for char in map(chr, planes):
        category = unicodedata.category(char)
        if category == "Cs":
            continue
        if char.isspace():
            expected = "a b"
        elif category in ("Cc", "Cf") and char not in kept:
            expected = "ab"
        else:
            expected = unicodedata.normalize("NFC", f"a{char}b")
        assert normalise(f"a{char}b") == expected, hex(ord(char))
