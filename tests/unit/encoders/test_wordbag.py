"""The word bag: features, quantised rows, saving, and what the builtin weights can do."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from anyascii import anyascii
from torch.nn import functional
from transformers import AutoConfig, AutoModel

import encoders
from encoders import load_encoder
from encoders.dual.config import DualEncoderConfig
from encoders.dual.create_wordbag import dual_wordbag, over_wordbag
from encoders.dual.items import Spoken, Written
from encoders.dual.model import DualEncoder
from encoders.wordbag import WordBagConfig, WordBagModel
from encoders.wordbag.features import MAX_TOKENS, token_features, tokens_of
from encoders.wordbag.model import in_blocks
from encoders.wordbag.quantise import dequantise_rows, quantise_rows
from mining.contract.errors import CheckpointError
from tests.unit.encoders.dual.conftest import save_ctc

BUILTIN = Path(encoders.__file__).parent / "builtin"
TEXTS = [
    "A heron stood in the flooded car park.",
    "Ein Reiher stand auf dem Parkplatz.",
    "鷺が駐車場に立っていた。",
    "ஒரு கொக்கு நின்றது",
    "پرنده در پارکینگ ایستاده بود",
    "Цапля стояла на парковке",
    "42",
]


def batch(texts):
    """SEGMENT columns that an encoder reads."""
    count = len(texts)
    return pa.RecordBatch.from_pydict(
        {
            "segment_id": pa.array([str(number) for number in range(count)], pa.string()),
            "modality": pa.array(["text"] * count, pa.string()),
            "lang": pa.array(["eng"] * count, pa.string()),
            "text": pa.array(texts, pa.string()),
        }
    )


def load_wordbag(folder):
    return load_encoder(str(folder), device="cpu")


def slow_hash(characters, prefix=""):
    mask = (1 << 64) - 1
    value = 0xCBF29CE484222325
    for character in prefix + characters:
        value = ((value ^ ord(character)) * 0x100000001B3) & mask
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        value = ((value ^ (value >> 33)) * factor) & mask
    return (value ^ (value >> 33)) >> 32


def slow_features(token):
    if "\u3041" <= token[0] <= "\u309f" or "\u4e00" <= token[0] <= "\u9fff":
        return [slow_hash(token[:size]) for size in range(1, len(token) + 1)]
    roman = "" if token.isascii() else anyascii(token).lower()
    found = []
    for spelling in [token, *([roman] if roman not in ("", token) else [])]:
        marked = f"<{spelling}>"
        found += [
            slow_hash(marked[at : at + order])
            for order in (3, 4, 5)
            for at in range(len(marked) - order + 1)
        ]
        found.append(slow_hash(marked, prefix="="))
    return found


@pytest.fixture
def tiny(tmp_path):
    """A saved word bag with random weights that knows every feature of TEXTS."""
    tokens = sorted({token for text in TEXTS for token in tokens_of(text)})
    keys = np.unique(token_features(tokens)[0])
    generator = torch.Generator().manual_seed(0)
    model = WordBagModel(WordBagConfig(rows=len(keys), width=8, word=12, hidden=16, pair=4, dim=6))
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator).half().float()
    model.keys = torch.from_numpy(keys.view(np.int32).copy())
    model.table, model.scales = quantise_rows(torch.randn(len(keys), 8, generator=generator))
    config = DualEncoderConfig(name="tiny", space="toy", licence="Apache-2.0", languages=("eng",))
    dual_wordbag(model, config, None, None).save_pretrained(tmp_path / "tiny")
    return tmp_path / "tiny"


def test_features_equal_a_slow_statement():
    tokens = sorted({token for text in TEXTS for token in tokens_of(text)})
    hashes, offsets = token_features(tokens)
    for index, token in enumerate(tokens):
        mine = hashes[offsets[index] : offsets[index + 1]]
        assert sorted(mine.tolist()) == sorted(slow_features(token)), token


def test_features_of_nothing():
    hashes, offsets = token_features([])
    assert len(hashes) == 0
    assert offsets.tolist() == [0]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Don’t PANIC, 3.5%", ["don", "t", "panic", "3", "5"]),
        ("東京で", ["東京で", "京で", "で"]),
        ("クリントンさん", ["クリントン", "さん", "ん"]),
        ("மொழிகள்", ["மொழிகள்"]),
        ("می\u200cرود", ["می", "رود"]),
        ("كِتَاب", ["کتاب"]),
        ("!?", []),
    ],
)
def test_tokens(text, tokens):
    assert tokens_of(text) == tokens


def test_long_texts_are_cut():
    assert len(tokens_of("word " * 1000)) == MAX_TOKENS


def test_quantised_rows_are_near_and_stable():
    rows = torch.randn(50, 16, generator=torch.Generator().manual_seed(1))
    packed, scales = quantise_rows(rows)
    assert packed.shape == (50, 8)
    assert packed.dtype == torch.uint8
    restored = dequantise_rows(packed, scales)
    within = restored.abs() < 6.5 * scales.float().unsqueeze(1)  # not clipped
    error = (restored - rows).abs() / scales.float().unsqueeze(1)
    assert float(error[within].max()) <= 0.51
    levels = (restored / scales.float().unsqueeze(1)).round()
    assert int(levels.min()) >= -7
    assert int(levels.max()) <= 7


def test_save_and_load_give_identical_vectors(tiny, tmp_path):
    first = load_wordbag(tiny)
    again = tmp_path / "again"
    first.model.save_pretrained(again)
    vectors = first.embed(batch(TEXTS)).vectors
    assert np.array_equal(vectors, load_wordbag(again).embed(batch(TEXTS)).vectors)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_auto_classes_know_it(tiny):
    assert isinstance(AutoConfig.from_pretrained(tiny), WordBagConfig)
    model = AutoModel.from_pretrained(tiny, dtype=torch.float32)
    assert isinstance(model, WordBagModel)
    loaded = DualEncoder.from_pretrained(tiny).tower.model
    for name, value in model.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[name]), name


def test_a_vector_does_not_depend_on_its_neighbours(tiny):
    encoder = load_wordbag(tiny)
    many = [f"{text} {number}" for number in range(20) for text in TEXTS]
    together = encoder.embed(batch(many)).vectors
    alone = np.concatenate([encoder.embed(batch([text])).vectors for text in many])
    assert np.array_equal(together, alone)


def test_blocks_equal_one_piece(tiny):
    sums = torch.randn(700, 8, generator=torch.Generator().manual_seed(2))
    head = load_wordbag(tiny).model.tower.model.head
    with torch.inference_mode():
        for whole, blocked in zip(head.words(sums), in_blocks(head.words, sums), strict=True):
            assert whole.shape == blocked.shape
            assert float((whole - blocked).abs().max()) < 1e-5


def test_texts_without_known_features_are_problems(tiny):
    embedded = load_wordbag(tiny).embed(batch(["", "...", None, TEXTS[0], "zzqq"]))
    assert set(embedded.problems) == {0, 1, 2, 4}
    assert np.isfinite(embedded.vectors).all()
    assert load_wordbag(tiny).embed(batch([])).vectors.shape == (0, 6)


def test_fingerprint_changes_with_the_weights(tiny):
    before = load_wordbag(tiny).fingerprint
    model = load_wordbag(tiny).model
    model.tower.model.scales += 1
    model.save_pretrained(tiny)
    assert load_wordbag(tiny).fingerprint != before


def test_a_broken_folder_is_refused(tiny):
    (tiny / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="must be a word bag"):
        load_wordbag(tiny)


def test_builtin_is_small():
    assert sum(path.stat().st_size for path in BUILTIN.rglob("*") if path.is_file()) <= 40e6


def test_builtin_hears_whose_words_are_wrong():
    """Letters as a recogniser spells them, half of them wrong, find their sentence among others."""
    model = DualEncoder.from_pretrained(BUILTIN)
    symbols = model.units.symbols
    frames = [symbols.index(letter) for letter in "diesterderkomteristaukenke"]
    heard = Spoken(
        regions=(np.array([[one, model.units.blank] for one in frames], np.int16).ravel(),),
        lang="deu",
    )
    texts = ["Die Stelle konnte sich entzünden.", "Wir haben keine Zeit mehr dafür.",
             "Der Garten wurde gestern verkauft.", "Niemand kannte den alten Fischer."]  # fmt: skip
    with torch.inference_mode():
        found = model([heard, *(Written(text=text, lang="deu") for text in texts)])
    assert (found[0] @ found[1:].T).argmax() == 0


def test_builtin_ranks_translations():
    english = [
        "The baker opens his shop before sunrise.",
        "My grandmother taught me to play chess.",
        "The bridge was closed because of the storm.",
        "We bought two tickets for the night train.",
        "The doctor said that the boy must drink more water.",
    ]
    others = {
        "deu": ["Der Bäcker öffnet seinen Laden vor Sonnenaufgang.",
                "Meine Großmutter hat mir das Schachspielen beigebracht.",
                "Die Brücke war wegen des Sturms gesperrt.",
                "Wir kauften zwei Karten für den Nachtzug.",
                "Der Arzt sagte, der Junge müsse mehr Wasser trinken."],
        "spa": ["El panadero abre su tienda antes del amanecer.",
                "Mi abuela me enseñó a jugar al ajedrez.",
                "El puente estaba cerrado por la tormenta.",
                "Compramos dos billetes para el tren nocturno.",
                "El médico dijo que el niño debe beber más agua."],
        "rus": ["Пекарь открывает свой магазин до восхода солнца.",
                "Моя бабушка научила меня играть в шахматы.",
                "Мост был закрыт из-за бури.",
                "Мы купили два билета на ночной поезд.",
                "Врач сказал, что мальчик должен пить больше воды."],
        "zho": ["面包师在日出前开店。",
                "我的祖母教我下国际象棋。",
                "由于暴风雨，大桥关闭了。",
                "我们买了两张夜车票。",
                "医生说这个男孩必须多喝水。"],
        "cym": ["Mae'r pobydd yn agor ei siop cyn codiad yr haul.",
                "Dysgodd fy mam-gu fi i chwarae gwyddbwyll.",
                "Roedd y bont ar gau oherwydd y storm.",
                "Prynon ni ddau docyn ar gyfer y trên nos.",
                "Dywedodd y meddyg fod rhaid i'r bachgen yfed mwy o ddŵr."],
    }  # fmt: skip
    encoder = load_wordbag(BUILTIN)
    target = encoder.embed(batch(english)).vectors
    for lang, texts in others.items():
        best = (encoder.embed(batch(texts)).vectors @ target.T).argmax(axis=1)
        assert best.tolist() == list(range(len(english))), lang


@pytest.fixture
def heard(tiny, tmp_path):
    """The tiny word bag with ears and an orthography, saved and opened again."""
    config = DualEncoderConfig(name="ears", languages=("eng",))
    model = over_wordbag(
        tiny,
        save_ctc(tmp_path / "ctc"),
        config,
        seed=3,
        orthography=10,
        written_share=0.25,
        heard_share=0.5,
    )  # fmt: skip
    model.save_pretrained(tmp_path / "heard")
    return model, DualEncoder.from_pretrained(tmp_path / "heard")


def speech(letters):
    """Frames that spell letters of the tiny CTC vocabulary."""
    frames = [part for letter in letters for part in (3 + "abcdefgh".index(letter), 0)]
    return Spoken(regions=(np.array(frames, np.int16),), lang="eng")


def test_an_orthography_has_its_share_of_text_and_of_speech(heard, tiny):
    model, opened = heard
    written = Written(text=TEXTS[0], lang="eng")
    vectors = opened([written, speech("abcab"), Written(text="abcab", lang="eng")]).detach()
    assert vectors.shape == (3, 6 + 10)
    assert vectors[0, 6:].square().sum() == pytest.approx(0.25, abs=1e-3)
    assert vectors[1, 6:].norm() > 0
    spelt = functional.normalize(vectors[1:, 6:], dim=1)
    assert spelt[0] @ spelt[1] > 0.999  # one map for both
    before = DualEncoder.from_pretrained(tiny)([written]).detach()[0]
    assert torch.allclose(functional.normalize(vectors[0, :6], dim=0), before, atol=1e-5)
    assert torch.allclose(model([written]).detach(), vectors[:1], atol=2e-3)  # float16 on disk


def test_a_word_bag_stays_on_the_cpu_in_float32(heard):
    _, opened = heard
    assert all(one.device.type == "cpu" for one in opened.to("meta").parameters())
    assert all(one.dtype == torch.float32 for one in opened.to(torch.bfloat16).parameters())


def test_orthography_learns_with_the_ears(heard):
    _, opened = heard
    names = {id(one): name for name, one in opened.named_parameters()}
    audio = {names[id(one)].split(".")[2] for one in opened.parts()["audio"]}
    assert audio == {"ears", "orthography"}
