import json
import math
import shutil

import numpy as np
import pytest
import torch
import transformers

from encoders.audio_tokens import spelled
from encoders.audio_tokens.ctc_units import create_ctc_tokenizer
from encoders.audio_tokens.load import describe_audio_tokenizer, load_audio_tokenizer
from mining.contract.errors import CheckpointError, ConfigError
from mining.contract.speech import AudioTokenizer

NAMES = ["wav2vec2-ctc", "w2v-bert-ctc", "w2v-bert-adapter-ctc"]
SYMBOLS = ("", "", " ", *"ABCDEFGHIJ")


@pytest.fixture(scope="module")
def made(tmp_path_factory, recognisers, clips):
    """Folder of a CTC tokenizer, by the model's name; scaled by fixed numbers if so wished."""
    root = tmp_path_factory.mktemp("ctc")

    def folder(name, fixed=True):
        home = root / f"{name}-{fixed}"
        if not home.is_dir():
            given = clips if fixed else None
            create_ctc_tokenizer(str(recognisers(name)), home, name=name, clips=given)
        return home

    return folder


@pytest.mark.parametrize("name", NAMES)
def test_laws_of_an_audio_tokenizer(name, made, clips):
    card = describe_audio_tokenizer(made(name))
    tokenizer = load_audio_tokenizer(made(name), threads=1)
    assert isinstance(tokenizer, AudioTokenizer)
    assert tokenizer.card == card
    rate_hz = 25.0 if "adapter" in name else 50.0
    assert (card.units, card.blank, card.rate_hz) == (13, 0, rate_hz)
    assert (card.symbols, card.context_s, card.max_clip_s) == (SYMBOLS, math.inf, 30.0)
    found = tokenizer.frames(clips)
    for clip, frames in zip(clips, found, strict=True):
        assert frames.dtype == np.int16
        assert len(frames) == math.ceil(len(clip) * rate_hz / 16_000 - 0.5)
        assert frames.min() >= 0
        assert frames.max() < 13
    assert len(np.unique(np.concatenate(found))) > 2
    alone = [tokenizer.frames([clip])[0] for clip in reversed(clips)]
    assert all(map(np.array_equal, found, reversed(alone)))
    assert set(spelled(found, card.symbols, card.blank)) <= set(" ABCDEFGHIJ")
    assert [len(f) for f in tokenizer.frames([clips[0][:100], np.full(900, np.nan)])] == [0, 0]
    with pytest.raises(ConfigError, match="clip 0: must be at most 30 s"):
        tokenizer.frames([np.zeros(480_001, np.float32)])


def test_letters_are_those_of_transformers(made, recognisers, clips):
    """Each clip scaled by itself, and ends where nothing must be filled up: parity."""
    folder = recognisers("wav2vec2-ctc")
    model = transformers.AutoModelForCTC.from_pretrained(folder).eval()
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    clip = clips[0][: 320 * 40]
    own = extractor(clip, sampling_rate=16_000, return_tensors="pt").input_values
    with torch.no_grad():
        wanted = model(torch.nn.functional.pad(own, (40, 40))).logits[0].argmax(1).numpy()
    found = load_audio_tokenizer(made("wav2vec2-ctc", fixed=False)).frames([clip])[0]
    assert np.array_equal(found, wanted)


def test_the_scale_is_fixed_where_clips_are_given(made):
    for fixed, said in ((True, "fixed"), (False, "utterance")):
        folder = made("wav2vec2-ctc", fixed)
        assert json.loads((folder / "tokenizer.json").read_text())["normalise"] == said
        assert (folder / "scale.safetensors").is_file() == fixed


def test_special_tokens_spell_nothing(made, tmp_path):
    folder = shutil.copytree(made("wav2vec2-ctc"), tmp_path / "copy")
    stated = folder / "model" / "tokenizer_config.json"
    stated.write_text(json.dumps({"word_delimiter_token": "J", "unk_token": {"content": "B"}}))
    symbols = describe_audio_tokenizer(folder).symbols
    assert symbols == ("", "", "|", "A", "", *"CDEFGHI", " ")


@pytest.mark.parametrize(
    ("vocabulary", "said"),
    [
        ({"eng": {"A": 1}}, "must be of one language"),
        ({"A": 13}, "ids must be below the 13 outputs"),
        ({}, "must name the outputs"),
    ],
)
def test_vocabularies_that_do_not_fit_are_refused(vocabulary, said, made, tmp_path):
    folder = shutil.copytree(made("wav2vec2-ctc"), tmp_path / "copy")
    (folder / "model" / "vocab.json").write_text(json.dumps(vocabulary))
    with pytest.raises(CheckpointError, match=said):
        describe_audio_tokenizer(folder)


def test_an_encoder_without_letters_is_refused(encoders, tmp_path):
    with pytest.raises(CheckpointError, match="weights lack lm_head"):
        create_ctc_tokenizer(str(encoders("wav2vec2-layer")), tmp_path / "made", name="none")
    assert list(tmp_path.iterdir()) == []


def test_another_scale_is_another_tokenizer(made):
    prints = {
        describe_audio_tokenizer(made("wav2vec2-ctc", fixed)).fingerprint for fixed in (False, True)
    }
    assert len(prints) == 2


def test_a_scale_that_is_not_there(made, tmp_path):
    folder = shutil.copytree(made("wav2vec2-ctc"), tmp_path / "copy")
    (folder / "scale.safetensors").unlink()
    with pytest.raises(CheckpointError, match="must hold input_mean and input_deviation"):
        load_audio_tokenizer(folder)
