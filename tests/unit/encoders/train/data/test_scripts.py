from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from encoders.train.data.scripts import in_wrong_script, scripts_of
from mining.contract.languages import KNOWN, canonical_language


def wrong(text: str, lang: str) -> bool:
    return bool(in_wrong_script(pa.array([text]), pa.array([lang]))[0])


@pytest.mark.parametrize(
    ("text", "lang", "expected"),
    [
        ("Привет, мир", "rus", False),
        ("Privet, mir", "rus", True),
        ("О программе LibreOffice", "rus", False),
        ("Привет, мир", "deu", True),
        ("Nähe, Straße, œuvre", "deu", False),
        ("12:30 – 50 %", "rus", False),
        ("こんにちは、ラーメン", "jpn", False),
        ("こんにちは", "zho", True),
        ("你好", "jpn", False),
        ("안녕하세요", "kor", False),
        ("வணக்கம்", "tam", False),
        ("வணக்கம்", "hin", True),
        ("سلام دنیا", "fas", False),
        ("سلام دنیا", "tur", True),
        ("Здраво", "srp", False),
        ("Zdravo", "srp", False),
        ("Сайн байна уу", "mon", False),
        ("Ж", "xyz", False),  # a language that is not known may be written in anything
        ("Ж", "srp_Latn", False),
        ("", "rus", False),
    ],
)
def test_a_text_is_held_against_the_letters_of_its_language(
    text: str, lang: str, expected: bool
) -> None:
    assert wrong(text, lang) is expected


def test_rows_are_judged_each_by_its_own_language() -> None:
    texts = pa.chunked_array([["да", "да"], ["yes", "yes", "да"]])
    langs = pa.chunked_array([["rus", "eng"], ["rus", "eng", "ukr"]])
    assert in_wrong_script(texts, langs).tolist() == [False, True, True, False, False]
    assert in_wrong_script(pa.array([], pa.string()), pa.array([], pa.string())).tolist() == []


def test_every_known_language_has_a_script() -> None:
    langs = sorted(KNOWN)
    assert all(map(scripts_of, langs))
    tifinagh = pa.array(["ⴰⴱⴳ"] * len(langs))  # of none of them
    assert in_wrong_script(tifinagh, pa.array(langs)).all()


@pytest.mark.realdata
def test_no_language_of_flores_is_refused(real_data: Path) -> None:
    for path in sorted((real_data / "text" / "flores200_dev").glob("*.dev")):
        lang = canonical_language(path.name[:3])
        assert lang is not None
        lines = pa.array(path.read_text(encoding="utf-8").splitlines(), pa.string())
        assert not in_wrong_script(lines, pa.array([lang] * len(lines))).any(), lang
        other = "eng" if scripts_of(lang) != ("Latin",) else "rus"
        refused = in_wrong_script(lines, pa.array([other] * len(lines)))
        assert refused.mean() > 0.75, lang  # the rest hold names; a Han letter is a word
