import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from encoders.audio_tokens.card import AudioTokenizerCard
from encoders.audio_tokens.conv_ctc import save_conv_ctc
from encoders.audio_tokens.conv_ctc_network import SYMBOLS, ConvCtcConfig, ConvCtcModel
from encoders.audio_tokens.lexicon import SCHEMA, write_lexicon
from encoders.audio_tokens.load import describe_audio_tokenizer
from encoders.dual.config import DualEncoderConfig
from encoders.dual.items import Spoken, Written
from encoders.dual.language_names import language_name
from encoders.dual.wording import Wording
from mining.contract.languages import KNOWN, canonical_language

COVOST2 = [
    "fr",
    "de",
    "es",
    "ca",
    "it",
    "ru",
    "zh-CN",
    "pt",
    "fa",
    "et",
    "mn",
    "nl",
    "tr",
    "ar",
    "sv-SE",
    "lv",
    "sl",
    "ta",
    "ja",
    "id",
    "cy",
    "en",
]


def card(units=6, blank=None, symbols=None):
    return AudioTokenizerCard(
        name="units", fingerprint="f", units=units, blank=blank, symbols=symbols,
        rate_hz=25.0, context_s=1.0, max_clip_s=30.0,
    )  # fmt: skip


LETTERS = card(5, 0, ("", " ", "a", "b", "c"))


def wording(units=None, **settings):
    return Wording(DualEncoderConfig(name="n", **settings), units)


def speech(*regions, lang="eng"):
    return Spoken(regions=tuple(np.array(r, np.int16) for r in regions), lang=lang)


def test_every_language_has_a_name():
    assert {code for code in KNOWN if language_name(code) == code} == set()
    names = [language_name(code) for code in KNOWN]
    assert len(set(names)) == len(names)
    assert all(language_name(canonical_language(code)).isalpha() for code in COVOST2)


def test_language_name_of_others():
    assert language_name("zho_Hant") == "Chinese"
    assert language_name("deu") == "German"
    assert language_name("xyz") == "xyz"


def test_prefix():
    read = wording(card())
    assert read.prefix(Written(text="a", lang="cym")) == "[Welsh Text] "
    assert read.prefix(speech([1], lang="tam")) == "[Tamil Speech] "
    assert wording(prefix="{{{modality}}}: ").prefix(Written(text="a", lang="cym")) == "{Text}: "


def test_tokens_of_clusters():
    given = speech([1, 1, 2], [2, 2], [], [0, 0, 5])
    assert wording(card()).tokens(given).tolist() == [1, 2, 2, 0, 5]
    every = wording(card(), merge_repeats=False).tokens(given)
    assert every.tolist() == [1, 1, 2, 2, 2, 0, 0, 5]


def test_repeats_of_units_with_a_blank_are_always_merged():
    given = speech([0, 2, 2, 0, 2, 3])
    for merge in (True, False):
        assert wording(LETTERS, merge_repeats=merge).tokens(given).tolist() == [2, 2, 3]


def test_spelling():
    read = wording(LETTERS, tie="spelling")
    given = speech([0, 2, 2, 0, 2, 3], [4, 1, 1, 4])
    assert read.is_text(given)
    assert read.text(given) == "aab c c"
    assert not wording(LETTERS).is_text(given)


@pytest.mark.parametrize(
    ("read", "item", "fault"),
    [
        (wording(), Written(text=" \n", lang="eng"), "has no text"),
        (wording(), Written(text="", lang="eng"), "has no text"),
        (wording(), Written(text="a", lang="eng"), ""),
        (wording(), speech([1]), "does not hear"),
        (wording(card()), speech([1]), ""),
        (wording(card()), speech(), "has no audio tokens"),
        (wording(card()), speech([], []), "has no audio tokens"),
        (wording(LETTERS), speech([0, 0], [0]), "has no audio tokens"),
        (wording(LETTERS), speech([0, 1]), ""),
        (wording(LETTERS, tie="spelling"), speech([0, 1]), "no audio tokens that spell"),
        (wording(card()), speech([1, 6]), "has unit 6, but the audio tokenizer has 6"),
        (wording(card()), speech([1], [0, -1]), "has unit"),
    ],
)
def test_fault(read, item, fault):
    assert (fault in read.fault(item)) if fault else read.fault(item) == ""
    if fault:
        with pytest.raises(ValueError, match=r"items\[1\]: must be something to embed, but "):
            read.check([Written(text="a", lang="eng"), item])
    else:
        read.check([item])


@given(st.lists(st.lists(st.integers(0, 5), max_size=8), max_size=4))
def test_an_item_without_a_fault_has_tokens(regions):
    read = wording(card())
    item = speech(*regions)
    assert bool(read.fault(item)) == (len(read.tokens(item)) == 0) == (not any(regions))


def test_a_lexicon_makes_words_of_letters_region_by_region(tmp_path):
    torch.manual_seed(0)
    words = pa.table(
        [["deu", "deu"], ["Haus", "Hund"], ["haus", "hund"], pa.array([-1.0, -1.5], pa.float32())],
        names=SCHEMA.names,
    )
    write_lexicon(words, tmp_path / "lexicon.parquet")
    model = ConvCtcModel(ConvCtcConfig(width=8, blocks=1, kernel=3, expand=2))
    home = tmp_path / "ears"
    save_conv_ctc(model, home, "ears", lexicon=tmp_path / "lexicon.parquet")
    config = DualEncoderConfig(name="n", tie="spelling", audio_units=len(SYMBOLS))
    wording = Wording(config, describe_audio_tokenizer(home), home)

    def frames(letters):
        return np.array([SYMBOLS.index(letter) for letter in letters], dtype=np.int16)

    heard = (frames("hunt"), frames(""), frames("haus"))
    assert wording.text(Spoken(regions=heard, lang="deu")) == "Hund Haus"
    assert wording.text(Spoken(regions=heard, lang="fra")) == "hunt haus"
