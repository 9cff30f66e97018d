"""What a recogniser calls a language."""

import pytest

from encoders.recognise import RecogniserCard


def card(*languages):
    return RecogniserCard(
        name="r", fingerprint="f", languages=languages, times_words=True, max_clip_s=30.0,
        tells_language=True, licence="unknown",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("lang", "known"),
    [
        ("deu", "deu"),
        ("de-AT", "deu"),
        ("zho_Hant", "zho"),
        ("zh-TW", "zho"),
        ("srp_Latn", "srp_Latn"),  # with its script where that is known
        ("que", None),
        ("hbs", None),
    ],
)
def test_a_language_is_known_with_its_script_or_without(lang, known):
    assert card("deu", "zho", "srp", "srp_Latn").known(lang) == known


def test_a_script_is_not_made_up():
    assert card("zho_Hant").known("zho") is None


@pytest.mark.parametrize("lang", ["que", "deu", "zho_Hant", "qaa"])
def test_whoever_says_nothing_knows_everything(lang):
    assert card().known(lang) == lang
