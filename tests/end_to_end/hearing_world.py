"""The spoken world with an encoder that hears: a tiny dual encoder with random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.end_to_end.speech_world import SpeechWorld

RATE_HZ = 16000


def save_kmeans(folder: Path, seed: int = 0, units: int = 40) -> Path:
    """An audio tokenizer: clusters of a tiny wav2vec 2.0's hidden states."""
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

    from encoders.audio_tokens.kmeans_fit import KMeansFit, fit_kmeans_tokenizer

    torch.manual_seed(seed)
    network = folder.with_name(f"{folder.name}-network")
    config = Wav2Vec2Config(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
        conv_dim=(8,) * 7, num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2,
        initializer_range=0.3,
    )  # fmt: skip
    Wav2Vec2Model(config).eval().save_pretrained(network)
    Wav2Vec2FeatureExtractor().save_pretrained(network)
    rng = np.random.default_rng(seed)
    clips = (rng.normal(0, 0.1, 4 * RATE_HZ).astype(np.float32) for _ in range(3))
    fit = KMeansFit(encoder=str(network), layer=1, units=units)
    fit_kmeans_tokenizer(fit, clips, folder, seed=seed)
    return folder


def save_letters(folder: Path, model: Path) -> Path:
    """An audio tokenizer: the letters of a CTC model."""
    from encoders.audio_tokens.ctc_units import create_ctc_tokenizer

    create_ctc_tokenizer(str(model), folder, name="letters")
    return folder


def save_dual(folder: Path, tokenizer: Path, seed: int = 0) -> Path:
    """A dual encoder that hears by ``tokenizer``; another seed is another training."""
    from encoders.dual.config import DualEncoderConfig
    from encoders.dual.create import create_dual_encoder
    from tests.unit.encoders.conftest import save_qwen

    backbone = save_qwen(folder.with_name(f"{folder.name}-backbone"))
    config = DualEncoderConfig(name="ears", dim=16, pooling="mean", max_tokens=200)
    create_dual_encoder(backbone, tokenizer, config, seed=seed).save_pretrained(folder)
    return folder


def let_hear(world: SpeechWorld, model: Path) -> SpeechWorld:
    """Make a spoken world one whose encoder hears; there is no recogniser."""
    world.change(model={"path": str(model)}, recogniser=None)
    return world
