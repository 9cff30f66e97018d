"""A small world to train in: a tiny backbone, a tiny audio tokenizer, tones that are speech, pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
import yaml
from transformers import BertConfig, BertModel

from encoders.train.config import Training, load_training
from tests.unit.encoders.dual.conftest import ROWS, character_tokenizer, save_kmeans

RATE_HZ = 16000
WORDS = ["boat", "river", "seven", "night", "stone", "garden", "letter", "winter", "bread", "song"]
LANGS = {"deu": "Das", "fra": "Le"}
CLIPS, PAIRS = {"deu": 12, "fra": 7}, 40


def save_backbone(folder: Path, width: int = 32, layers: int = 2) -> Path:
    torch.manual_seed(8)
    config = BertConfig(
        vocab_size=ROWS,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=2 * width,
        max_position_embeddings=200,
        initializer_range=0.2,
    )
    BertModel(config, add_pooling_layer=False).eval().save_pretrained(folder)
    character_tokenizer("[CLS] $A [SEP]").save_pretrained(folder)
    return folder


def sentence(number: int) -> str:
    first, second = WORDS[number % len(WORDS)], WORDS[(number * 3 + number // 10) % len(WORDS)]
    return f"the {first} and the {second} {number}"


def make_world(folder: Path) -> Path:
    """Write everything; the folder then holds ``base.yaml``, too."""
    save_backbone(folder / "backbone")
    save_kmeans(folder / "units")
    rng = np.random.default_rng(3)
    rows = ["audio\tlang\ttranscript\ttranslation\tspeaker"]
    for lang, article in LANGS.items():
        for number in range(CLIPS[lang]):
            seconds = 0.4 + 0.05 * (number % 7)
            time_s = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
            tones = np.sin(
                2 * np.pi * np.cumsum(200 + 90 * number + 60 * (time_s * 20 % 3)) / RATE_HZ
            )
            name = f"{lang}-{number}.wav"
            soundfile.write(
                folder / name, 0.3 * tones + 0.02 * rng.standard_normal(len(tones)), RATE_HZ
            )
            own = f"{article} {sentence(number)}"
            rows.append(f"{name}\t{lang}\t{own}\t{sentence(number)}\tvoice{number % 6}")
    (folder / "clips.tsv").write_text("\n".join(rows) + "\n")
    pairs = ["source\ttarget\tsource_lang\ttarget_lang"]
    for number in range(PAIRS):
        lang, article = list(LANGS.items())[number % 4 == 3]
        number += 100
        pairs.append(f"{article} {sentence(number)}\t{sentence(number)}\t{lang}\teng")
    (folder / "pairs.tsv").write_text("\n".join(pairs) + "\n")
    (folder / "alike.tsv").write_text("\n".join([pairs[0], *pairs[1:4] * 4]) + "\n")
    (folder / "base.yaml").write_text(yaml.safe_dump(settings(folder)))
    return folder


def settings(folder: Path) -> dict[str, Any]:
    """The config of a short run."""
    return {
        "schema": 1,
        "output": str(folder / "out"),
        "model": {
            "start": str(folder / "backbone"),
            "audio_tokenizer": str(folder / "units"),
            "dim": 16,
            "name": "small",
        },
        "data": {
            "seeds": {"clips": {"manifest": str(folder / "clips.tsv")}},
            "texts": {"pairs": {"uri": str(folder / "pairs.tsv")}},
            "held_out": 2,
        },
        "contamination": {"sets": []},
        "optimiser": {"steps": 2, "batch": 8, "chunk": 8, "warm_up": 0, "rate": 1e-3},
        "work": {
            "device": "cpu", "threads": 1, "tensorboard": False, "cache": str(folder / "cache"),
        },
    }  # fmt: skip


def training(folder: Path, output: Path, *overrides: str) -> Training:
    """The world's config with changes such as ``loss.margin=0.1``."""
    return load_training(str(folder / "base.yaml"), overrides, str(output))
