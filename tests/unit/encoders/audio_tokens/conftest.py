"""Tiny speech encoders with random weights, saved to disk and loaded as real ones are."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    HubertConfig,
    HubertModel,
    Wav2Vec2BertConfig,
    Wav2Vec2BertForCTC,
    Wav2Vec2BertModel,
    Wav2Vec2Config,
    Wav2Vec2ForCTC,
    Wav2Vec2Model,
    WavLMConfig,
    WavLMModel,
    WhisperConfig,
    WhisperModel,
)

RATE_HZ = 16000
WINDOW_S = 2
LAYERS = 3
WIDTH = 32
TOKENS = ["<pad>", "<unk>", *"|ABCDEFGHIJ"]
WAVES = {
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "conv_dim": (16,) * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
    "initializer_range": 0.3,
    "pad_token_id": 0,
}
WAVE_FEATURES = {
    "feature_extractor_type": "Wav2Vec2FeatureExtractor",
    "sampling_rate": RATE_HZ,
    "do_normalize": True,
    "return_attention_mask": True,
}
MEL_FEATURES = {
    "feature_extractor_type": "SeamlessM4TFeatureExtractor",
    "sampling_rate": RATE_HZ,
    "feature_size": 80,
    "num_mel_bins": 80,
    "stride": 2,
    "padding_value": 0.0,
}
WHISPER_FEATURES = {
    "feature_extractor_type": "WhisperFeatureExtractor",
    "feature_size": 80,
    "sampling_rate": RATE_HZ,
    "hop_length": 160,
    "n_fft": 400,
    "chunk_length": WINDOW_S,
}


def waves(kind, model, **settings):
    return lambda: (model(kind(**{**WAVES, **settings})), WAVE_FEATURES)


def w2v_bert(model, **settings):
    config = Wav2Vec2BertConfig(
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        intermediate_size=48,
        pad_token_id=0,
        **{"initializer_range": 0.3, **settings},
    )
    return model(config), MEL_FEATURES


def whisper():
    config = WhisperConfig(
        vocab_size=100,
        num_mel_bins=80,
        d_model=WIDTH,
        encoder_layers=LAYERS,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=48,
        decoder_ffn_dim=48,
        max_source_positions=50 * WINDOW_S,
        init_std=0.3,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )
    return WhisperModel(config), WHISPER_FEATURES


STABLE = {"feat_extract_norm": "layer", "do_stable_layer_norm": True}
ENCODERS = {
    "wav2vec2-layer": waves(Wav2Vec2Config, Wav2Vec2Model, **STABLE),
    "wav2vec2-group": waves(Wav2Vec2Config, Wav2Vec2Model, feat_extract_norm="group"),
    "hubert": waves(HubertConfig, HubertModel),
    "wavlm": waves(WavLMConfig, WavLMModel),
    "w2v-bert": lambda: w2v_bert(Wav2Vec2BertModel),
    "whisper": whisper,
}
SIZE = {"vocab_size": len(TOKENS), "initializer_range": 1.0}
RECOGNISERS = {
    "wav2vec2-ctc": waves(Wav2Vec2Config, Wav2Vec2ForCTC, **STABLE, **SIZE),
    "w2v-bert-ctc": lambda: w2v_bert(Wav2Vec2BertForCTC, **SIZE),
    "w2v-bert-adapter-ctc": lambda: w2v_bert(
        Wav2Vec2BertForCTC, **SIZE, add_adapter=True, num_adapter_layers=1
    ),
}


def save(folder: Path, make) -> Path:
    torch.manual_seed(1)
    model, features = make()
    model.eval().save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(features))
    return folder


def save_recogniser(folder: Path, make) -> Path:
    save(folder, make)
    vocabulary = {token: number for number, token in enumerate(TOKENS)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    stated = {"word_delimiter_token": "|", "pad_token": "<pad>", "unk_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(stated))
    return folder


def sound(seconds: float, seed: int) -> np.ndarray:
    """Noise with a slowly changing pitch, of a level that differs from clip to clip."""
    draw = np.random.default_rng(seed)
    time_s = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    tone = np.sin(2 * np.pi * (150 + 400 * np.sin(7 * time_s + seed)) * time_s)
    noise = 0.05 * draw.standard_normal(len(time_s))
    return ((0.3 * tone + noise) / (1 + seed % 3)).astype(np.float32)


@pytest.fixture(scope="session")
def clips() -> list[np.ndarray]:
    return [sound(seconds, seed) for seed, seconds in enumerate((1.0, 0.4, 1.9, 1.31, 0.7))]


@pytest.fixture(scope="session")
def encoders(tmp_path_factory):
    """Folder of a tiny speech encoder, by name; made when it is first asked for."""
    root = tmp_path_factory.mktemp("encoders")

    def folder(name: str) -> Path:
        home = root / name
        if not home.is_dir():
            save(home, ENCODERS[name])
        return home

    return folder


@pytest.fixture(scope="session")
def recognisers(tmp_path_factory):
    """Folder of a tiny CTC model, by name; made when it is first asked for."""
    root = tmp_path_factory.mktemp("recognisers")

    def folder(name: str) -> Path:
        home = root / name
        if not home.is_dir():
            save_recogniser(home, RECOGNISERS[name])
        return home

    return folder
