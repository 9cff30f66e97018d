"""Tiny backbones and audio tokenizers, built on disk and opened by the code that opens real ones."""

import json
import string
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    Gemma3TextConfig,
    Gemma3TextModel,
    LlamaConfig,
    LlamaForCausalLM,
    M2M100Config,
    M2M100Model,
    MT5Config,
    MT5EncoderModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5Model,
    Wav2Vec2Config,
    Wav2Vec2ForCTC,
    Wav2Vec2Model,
)

from encoders.audio_tokens.ctc_units import create_ctc_tokenizer
from encoders.audio_tokens.kmeans_fit import KMeansFit, fit_kmeans_tokenizer
from encoders.dual.config import DualEncoderConfig
from encoders.dual.items import Spoken, Written

CHARACTERS = string.ascii_letters + string.digits + " :.,?![]\n"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
ROWS = len(SPECIAL) + len(CHARACTERS) + 3  # more rows than tokens, as many models have
UNITS = 12
# A CTC vocabulary: what stands for nothing, for a space, and letters.
CTC_TOKENS = ["<pad>", "<unk>", "|", *"abcdefgh"]


def character_tokenizer(single: str, max_length: int = 200) -> PreTrainedTokenizerFast:
    """One token a character, between the special tokens that ``single`` names."""
    vocabulary = {token: i for i, token in enumerate([*SPECIAL, *CHARACTERS])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    inner.post_processor = processors.TemplateProcessing(
        single=single, special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="[PAD]",
        unk_token="[UNK]",
        bos_token="[CLS]",
        eos_token="[SEP]",
        model_max_length=max_length,
    )


_DECODER = {
    "vocab_size": ROWS,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "intermediate_size": 48,
    "max_position_embeddings": 256,
    "initializer_range": 0.3,
}
_T5 = {
    "vocab_size": ROWS,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 48,
    "num_layers": 2,
    "num_heads": 4,
    "initializer_factor": 1.0,
}


def _gemma3():
    return Gemma3TextModel(Gemma3TextConfig(**_DECODER, sliding_window=64)), "[CLS] $A [SEP]"


def _llama():  # its tokenizer, like the real one, puts no token at the end
    return LlamaForCausalLM(LlamaConfig(**_DECODER, tie_word_embeddings=True)), "[CLS] $A"


def _t5():
    return T5Model(T5Config(**_T5)), "$A [SEP]"


def _mt5():
    return MT5EncoderModel(MT5Config(**_T5)), "$A [SEP]"


def _m2m100():
    config = M2M100Config(
        vocab_size=ROWS,
        d_model=32,
        encoder_layers=2,
        decoder_layers=1,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=48,
        decoder_ffn_dim=48,
        max_position_embeddings=200,
        pad_token_id=0,
        init_std=0.3,
    )
    return M2M100Model(config), "[CLS] $A [SEP]"


_BUILD = {"gemma3": _gemma3, "llama": _llama, "t5": _t5, "mt5": _mt5, "m2m100": _m2m100}
BACKBONES = ["bert", "roberta", "qwen", *_BUILD]


@pytest.fixture(scope="session")
def backbone(models_folder, request):
    """A backbone's folder by its name; made once."""

    def folder(name: str) -> Path:
        if name not in _BUILD:
            return request.getfixturevalue(name)
        path = models_folder / f"dual-{name}"
        if not path.exists():
            torch.manual_seed(5)
            model, single = _BUILD[name]()
            model.eval().save_pretrained(path)
            character_tokenizer(single).save_pretrained(path)
        return path

    return folder


def _wav2vec2(model, folder: Path) -> None:
    model.eval().save_pretrained(folder)
    facts = {"feature_extractor_type": "Wav2Vec2FeatureExtractor", "sampling_rate": 16000}
    (folder / "preprocessor_config.json").write_text(json.dumps(facts))


def _speech_config(size: int) -> Wav2Vec2Config:
    torch.manual_seed(6)
    return Wav2Vec2Config(
        vocab_size=size,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(8,) * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
        pad_token_id=0,
    )


def save_kmeans(folder: Path, units: int = UNITS) -> Path:
    encoder = folder.with_name(f"{folder.name}-encoder")
    _wav2vec2(Wav2Vec2Model(_speech_config(8)), encoder)
    draw = np.random.default_rng(7)
    clips = [draw.normal(size=32000).astype(np.float32) * 0.1 for _ in range(4)]
    fit = KMeansFit(encoder=str(encoder), name="clusters", layer=0, units=units)
    fit_kmeans_tokenizer(fit, clips, folder, seed=0)
    return folder


def save_ctc(folder: Path) -> Path:
    model = folder.with_name(f"{folder.name}-model")
    _wav2vec2(Wav2Vec2ForCTC(_speech_config(len(CTC_TOKENS))), model)
    vocabulary = {token: number for number, token in enumerate(CTC_TOKENS)}
    (model / "vocab.json").write_text(json.dumps(vocabulary))
    stated = {"word_delimiter_token": "|", "pad_token": "<pad>", "unk_token": "<unk>"}
    (model / "tokenizer_config.json").write_text(json.dumps(stated))
    create_ctc_tokenizer(str(model), folder, name="letters")
    return folder


@pytest.fixture(scope="session")
def kmeans(models_folder) -> Path:
    return save_kmeans(models_folder / "kmeans")


@pytest.fixture(scope="session")
def ctc(models_folder) -> Path:
    return save_ctc(models_folder / "ctc")


def written(text: str, lang: str = "eng") -> Written:
    return Written(text=text, lang=lang)


def spoken(*regions, lang: str = "eng") -> Spoken:
    return Spoken(regions=tuple(np.array(r, dtype=np.int16) for r in regions), lang=lang)


@pytest.fixture(scope="session")
def write():
    return written


@pytest.fixture(scope="session")
def speak():
    return spoken


@pytest.fixture(scope="session")
def config():
    """Settings of a user, some of them changed."""

    def build(**changes) -> DualEncoderConfig:
        return DualEncoderConfig(**{"name": "tiny", "dim": 24, "max_tokens": 60} | changes)

    return build


@pytest.fixture(scope="session")
def items() -> list:
    """Text and speech, of several lengths and languages."""
    return [
        written("The ferry leaves at seven."),
        written("ok", "deu"),
        spoken([1, 1, 2, 5, 5, 1], [3, 0, 11]),
        spoken([7], lang="fra"),
        written("Who moved the ladder?", "fra"),
        spoken(list(range(12)) * 2, [], [4, 4]),
    ]
