import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from encoders.audio_tokens.card import AudioTokenizerCard
from encoders.dual.config import DualEncoderConfig
from encoders.dual.items import Written
from encoders.dual.token_ids import TokenIds, special_ids
from encoders.dual.wording import Wording
from mining.contract.errors import ConfigError

UNITS = AudioTokenizerCard(
    name="units", fingerprint="f", units=12, blank=None, symbols=None,
    rate_hz=25.0, context_s=1.0, max_clip_s=30.0,
)  # fmt: skip
AUDIO = 100  # the first audio id
TOKENIZERS = {"bert": ([2], [3]), "qwen": ([], [3]), "llama": ([2], []), "m2m100": ([2], [3])}


@pytest.fixture(scope="module")
def tokenizers(backbone):
    return {name: AutoTokenizer.from_pretrained(backbone(name)) for name in TOKENIZERS}


@pytest.fixture(scope="module")
def cutting(backbone):
    """The same tokenizers, for tests that truncate with them, which they remember."""
    return {name: AutoTokenizer.from_pretrained(backbone(name)) for name in TOKENIZERS}


def token_ids(tokenizer, **settings):
    config = DualEncoderConfig(name="n", text_rows=AUDIO, audio_units=12, **settings)
    return TokenIds(tokenizer, config, Wording(config, UNITS))


@pytest.mark.parametrize("name", TOKENIZERS)
def test_special_tokens(name, tokenizers):
    assert special_ids(tokenizers[name]) == TOKENIZERS[name]


def test_tokenizer_that_does_more_is_refused(tokenizers):
    class Shouting:
        def __call__(self, text, add_special_tokens=True):
            return {"input_ids": [9, 9] if add_special_tokens else [7]}

    with pytest.raises(ConfigError, match="turns \\[7\\] into \\[9, 9\\]"):
        special_ids(Shouting())


def test_what_is_remembered_is_what_the_tokenizer_says(tokenizers, monkeypatch):
    monkeypatch.setattr("encoders.dual.token_ids._REMEMBERED", 2)
    tokenizer = tokenizers["bert"]
    reader = token_ids(tokenizer)
    for letters in ("abcb", "cba", "dda"):
        wanted = [tokenizer(f"[German Text] {letter}").input_ids for letter in letters]
        assert reader.ids([Written(text=letter, lang="deu") for letter in letters]) == wanted


@given(text=st.text("abc XYZ?é", min_size=1, max_size=30), cut=st.integers(25, 60))
def test_text_has_the_very_ids_of_the_tokenizer(text, cut, tokenizers, cutting):
    item = Written(text=text, lang="deu")
    for name, tokenizer in tokenizers.items():
        reader = token_ids(tokenizer)
        wanted = tokenizer(f"[German Text] {text}").input_ids
        assert reader.ids([item]) == [wanted]
        state = tokenizer.backend_tokenizer.to_str()
        ids, mask = reader.batch([item], cut, None)
        assert tokenizer.backend_tokenizer.to_str() == state  # what is saved with a model
        kept = cutting[name](f"[German Text] {text}", truncation=True, max_length=cut).input_ids
        assert ids[0, : int(mask.sum())].tolist() == kept


@pytest.mark.parametrize("name", TOKENIZERS)
def test_audio_stands_between_prefix_and_end(name, tokenizers, speak):
    tokenizer = tokenizers[name]
    before, after = TOKENIZERS[name]
    prefix = tokenizer("[French Speech]", add_special_tokens=False).input_ids
    item = speak([0, 0, 11], [11, 3], lang="fra")
    (ids,) = token_ids(tokenizer).ids([item])
    assert ids == [*before, *prefix, 100, 111, 111, 103, *after]
    if tokenizer.eos_token_id is None:
        return
    (ended,) = token_ids(tokenizer, append_end=True).ids([item])
    assert ended == [*ids, 3]
    assert token_ids(tokenizer).overhead(item) == len(ids) - 4
    assert token_ids(tokenizer, append_end=True).overhead(item) == len(ids) - 3


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("append_end", [False, True])
def test_cutting_keeps_prefix_and_special_tokens(name, append_end, tokenizers, speak, write):
    if append_end and tokenizers[name].eos_token_id is None:
        return
    reader = token_ids(tokenizers[name], append_end=append_end)
    end = [*TOKENIZERS[name][1], *([3] if append_end else [])]
    for item in (speak(list(range(12)) * 5), write("long text " * 9)):
        (full,) = reader.ids([item])
        for most in range(reader.overhead(item) + 1, len(full) + 2):
            ids, mask = reader.batch([item], most, None)
            found = ids[0].tolist()
            assert len(found) == min(most, len(full)) == int(mask.sum())
            body = len(found) - len(end)
            assert found[:body] == full[:body]
            assert found[body:] == end


def test_padding_is_on_the_right_and_masked(tokenizers, speak, write):
    tokenizer = tokenizers["bert"]
    tokenizer.padding_side = "left"  # positions are counted from the left: not heeded
    reader = token_ids(tokenizer)
    items = [write("a"), speak([1, 2, 3])]
    ids, mask = reader.batch(items, 60, 32)
    assert ids.shape == mask.shape == (2, 32)
    assert ids.dtype == mask.dtype == torch.int64
    for row, full in enumerate(reader.ids(items)):
        assert ids[row].tolist() == full + [tokenizer.pad_token_id] * (32 - len(full))
        assert mask[row].tolist() == [1] * len(full) + [0] * (32 - len(full))
