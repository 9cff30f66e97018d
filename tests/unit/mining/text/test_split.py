"""Sentence splitting, case by case. "|" marks where a text is to be cut."""

import re
import time

import pysbd
import pytest

from mining.text import split_sentences
from mining.text.split import PYSBD_LANGUAGES


@pytest.mark.parametrize(
    ("lang", "marked"),
    [
        ("eng", "Hello world."),
        ("eng", "It is late. |We go! |Why? |Because."),
        ("eng", "Mr. Smith met Dr. Jones at 5 p.m. in Washington. |It rained."),
        ("eng", "He paid $3.50 for version 2.0.1 of example.com and left."),
        ("eng", 'She said "Go." |He went (slowly.) |Then came J. R. Ewing.'),
        ("eng", "We saw Gen. Powell and Sen. Obama. |They left."),  # pysbd knows "Sen."
        ("eng", "So ... it goes. |Wait… |What?! |Yes!!! |Ok"),
        ("eng", "Is it e.g. here? yes it is"),
        (
            "deu",
            "Am 5. Mai kam Hr. Müller an, d. h. zu spät. |Er blieb z. B. bis 1990. |Dann ging er.",
        ),
        ("deu", "Ende. |»Dies ist neu.« |„Noch einer.“ |Schluss"),
        ("fra", "Il dit : « Bonjour. » |Puis M. Dupont partit."),
        ("spa", "¡Hola! |¿Qué tal? |El Sr. Pérez vive en EE. UU. desde 1990."),
        ("rus", "Он жил на ул. Ленина в Москве. |Потом уехал."),
        ("ell", "Τι κάνεις; |Καλά."),
        ("deu", "Ja; Nein; Doch."),
        ("zho", "今天下雨。|我们走吧！|为什么？|因为。"),
        ("zho", "他说：“走吧。”|我们走了。"),
        ("jpn", "雨です。|「行こう。」と言った。|はい！"),
        ("ara", "كيف حالك؟ |أنا بخير. |شكرا، وداعا"),
        ("urd", "یہ کتاب ہے۔ |وہ قلم ہے۔"),
        ("fas", "این یک کتاب است. |آن می\u200cرود؟ |بله!"),
        ("hin", "यह किताब है। |वह कलम है॥ |क्या?"),
        ("tam", "இது புத்தகம். |அது பேனா."),
        ("hye", "Սա գիրք է։ |Դա գրիչ է։"),
        ("amh", "ይህ መጽሐፍ ነው። |ያ ብዕር ነው።"),
        ("mya", "ဒါ စာအုပ်။ |ဟိုဟာ ဘောပင်။"),
        ("khm", "នេះជាសៀវភៅ។ |នោះជាប៊ិច។"),
        ("kat", "ეს წიგნია. |ის კალამია."),
        ("tha", "นี่คือหนังสือ นั่นคือปากกา"),
        ("qaa", "Unknown language. |It works."),
        ("eng", "..."),
        ("zho", "是。\u200c是。|好"),  # a joiner belongs to what is before it
        ("hin", "ठीक।\u0301 है"),
        ("eng", "Yes! yes, $5 it costs. |(Then this.)"),
        ("eng", "?! . |A"),
    ],
)
def test_cuts(lang, marked):
    text = marked.replace("|", "")
    assert split_sentences(text, lang) == [part.strip() for part in marked.split("|")]


def test_nothing_gives_nothing():
    assert split_sentences("", "eng") == []


@pytest.mark.parametrize("lang", sorted(PYSBD_LANGUAGES))
def test_a_library_that_fails_or_changes_the_text_has_no_say(lang, monkeypatch):
    text = "It was Sen. Obama. Yes."
    expected = split_sentences(text, "qaa")
    assert len(expected) == 3

    def fail(_self):
        raise re.error("unbalanced")

    monkeypatch.setattr(pysbd.processor.Processor, "process", fail)
    assert split_sentences(text, lang) == expected
    monkeypatch.setattr(pysbd.processor.Processor, "process", lambda _self: ["It was"])
    assert split_sentences(text, lang) == expected


@pytest.mark.parametrize(
    "unit",
    [
        "word ", "x", ".", ". ", "a. ", "a.b. ", "1. ", "No. 1. ", "“'a ", '."', ". »", "».", "((",
        "--", "Mr. 2) ", "。", "。」", "?!… ", "Ph.D. ", "\\ ", "♨☝∯ȸ. A ",
    ],
)  # fmt: skip
@pytest.mark.parametrize("lang", ["eng", "rus", "ell", "zho"])
def test_hostile_texts_take_no_time(unit, lang):
    for length in (1_000, 20_000, 50_000):
        text = " ".join((unit * length)[:length].split()) + "x"
        start = time.process_time()
        parts = split_sentences(text, lang)
        assert time.process_time() - start < 2  # it takes 0.4 s at most; a quadratic rule, minutes
        assert "".join(parts).replace(" ", "") == text.replace(" ", "")
