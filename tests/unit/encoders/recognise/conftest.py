"""Tiny recognisers with random weights, built on disk and loaded by the code that loads real ones."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    Wav2Vec2BertConfig,
    Wav2Vec2BertForCTC,
    Wav2Vec2Config,
    Wav2Vec2ForCTC,
    WhisperConfig,
    WhisperForConditionalGeneration,
)

RATE_HZ = 16000
TEXT_TOKENS = 50257  # as many as Whisper has: by that CTranslate2 knows a multilingual model
LANGUAGES = ("en", "zh", "de", "jw")
SPECIAL = (
    "<|endoftext|>", "<|startoftranscript|>", *(f"<|{lang}|>" for lang in LANGUAGES),
    "<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>",
    "<|notimestamps|>",
)  # fmt: skip
VOCABULARY = 51865
WINDOW_S = 2
CHARACTERS = "|ABCDEFGHIJ"


def whisper_tokenizer() -> Tokenizer:
    """Bytes, then made-up words with a space before them; no merges."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [f"Ġw{number}" for number in range(TEXT_TOKENS - len(alphabet) - 1)]
    words.append("")  # as in Whisper's; without it CTranslate2 takes the model for an English one
    vocabulary = {token: number for number, token in enumerate([*alphabet, *words])}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    rest = VOCABULARY - TEXT_TOKENS - len(SPECIAL)
    times = [f"<|{0.02 * step:.2f}|>" for step in range(rest)]
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in (*SPECIAL, *times)])
    return tokenizer


def save_whisper(folder: Path, heads: bool = True) -> Path:
    torch.manual_seed(0)
    config = WhisperConfig(
        vocab_size=VOCABULARY,
        num_mel_bins=80,
        d_model=64,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=1,
        decoder_attention_heads=1,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_source_positions=50 * WINDOW_S,
        max_target_positions=64,
        decoder_start_token_id=TEXT_TOKENS + 1,
        init_std=0.3,
    )
    WhisperForConditionalGeneration(config).eval().save_pretrained(folder)
    whisper_tokenizer().save(str(folder / "tokenizer.json"))
    ids = {token: TEXT_TOKENS + place for place, token in enumerate(SPECIAL)}
    generation = {
        "is_multilingual": True,
        "decoder_start_token_id": ids["<|startoftranscript|>"],
        "eos_token_id": ids["<|endoftext|>"],
        "pad_token_id": ids["<|endoftext|>"],
        "lang_to_id": {f"<|{lang}|>": ids[f"<|{lang}|>"] for lang in LANGUAGES},
        "task_to_id": {task: ids[f"<|{task}|>"] for task in ("transcribe", "translate")},
        "no_timestamps_token_id": ids["<|notimestamps|>"],
        "suppress_tokens": [7, 8],
        "begin_suppress_tokens": [220, TEXT_TOKENS],
        **({"alignment_heads": [[1, 0]]} if heads else {}),
    }
    (folder / "generation_config.json").write_text(json.dumps(generation))
    features = {
        "feature_extractor_type": "WhisperFeatureExtractor",
        "feature_size": 80,
        "sampling_rate": RATE_HZ,
        "hop_length": 160,
        "n_fft": 400,
        "chunk_length": WINDOW_S,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(features))
    return folder


def _save_ctc(model, folder: Path, features: dict) -> Path:
    model.eval().save_pretrained(folder)
    tokens = ["<pad>", "<unk>", *CHARACTERS]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    stated = {"word_delimiter_token": "|", "pad_token": "<pad>", "unk_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(stated))
    (folder / "preprocessor_config.json").write_text(json.dumps(features))
    return folder


def save_wav2vec2(folder: Path, norm: str = "layer") -> Path:
    torch.manual_seed(1)
    config = Wav2Vec2Config(
        vocab_size=len(CHARACTERS) + 2,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        conv_dim=(16,) * 7,
        feat_extract_norm=norm,
        do_stable_layer_norm=norm == "layer",
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        initializer_range=1.0,
        pad_token_id=0,
    )
    features = {
        "feature_extractor_type": "Wav2Vec2FeatureExtractor",
        "sampling_rate": RATE_HZ,
        "do_normalize": True,
        "return_attention_mask": norm == "layer",
    }
    return _save_ctc(Wav2Vec2ForCTC(config), folder, features)


def save_w2v_bert(folder: Path) -> Path:
    torch.manual_seed(2)
    config = Wav2Vec2BertConfig(
        vocab_size=len(CHARACTERS) + 2,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        initializer_range=1.0,
        pad_token_id=0,
    )
    features = {
        "feature_extractor_type": "SeamlessM4TFeatureExtractor",
        "sampling_rate": RATE_HZ,
        "feature_size": 80,
        "num_mel_bins": 80,
        "stride": 2,
        "padding_value": 0.0,
    }
    return _save_ctc(Wav2Vec2BertForCTC(config), folder, features)


def sound(seconds: float, seed: int) -> np.ndarray:
    """Noise with a slowly changing pitch."""
    draw = np.random.default_rng(seed)
    time_s = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    tone = np.sin(2 * np.pi * (150 + 400 * np.sin(7 * time_s + seed)) * time_s)
    return (0.3 * tone + 0.05 * draw.standard_normal(len(time_s))).astype(np.float32)


@pytest.fixture(scope="session")
def clips() -> list[np.ndarray]:
    return [sound(seconds, seed) for seed, seconds in enumerate((1.0, 0.4, 1.9, 1.31, 0.7))]


@pytest.fixture(scope="session")
def recognisers(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("recognisers")


@pytest.fixture(scope="session")
def tiny_whisper(recognisers) -> Path:
    return save_whisper(recognisers / "tiny-whisper")


@pytest.fixture(scope="session")
def converted(recognisers, tiny_whisper) -> Path:
    """The same network as a faster-whisper folder."""
    from ctranslate2.converters import TransformersConverter

    folder = recognisers / "converted"
    files = ["tokenizer.json", "preprocessor_config.json"]
    TransformersConverter(str(tiny_whisper), copy_files=files).convert(str(folder))
    return folder


@pytest.fixture(scope="session")
def untimed_whisper(recognisers) -> Path:
    return save_whisper(recognisers / "untimed-whisper", heads=False)


@pytest.fixture(scope="session")
def wav2vec2(recognisers) -> Path:
    return save_wav2vec2(recognisers / "wav2vec2")


@pytest.fixture(scope="session")
def wav2vec2_group(recognisers) -> Path:
    return save_wav2vec2(recognisers / "wav2vec2-group", norm="group")


@pytest.fixture(scope="session")
def w2v_bert(recognisers) -> Path:
    return save_w2v_bert(recognisers / "w2v-bert")


@pytest.fixture(scope="session")
def whisper_base() -> Path:
    """Whisper base, as examples/weights_without_a_hub builds it."""
    given = os.environ.get("MINING_WEIGHTS")
    repository = Path(__file__).parents[4]
    folder = (Path(given) if given else repository / "models") / "whisper-base"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there: build it with examples/weights_without_a_hub/build.py")
    return folder


@pytest.fixture(scope="session")
def real_data() -> Path:
    given = os.environ.get("MINING_REAL_DATA")
    folder = Path(given) if given else Path(__file__).parents[5] / "shared" / "data"
    if not (folder / "commonvoice" / "index.tsv").is_file():
        pytest.skip(f"{folder} is not there: set MINING_REAL_DATA")
    return folder
