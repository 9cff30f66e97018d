"""Real pretrained networks, cut to what two cores can train in an afternoon.

What is kept has its own weights; nothing is drawn.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoTokenizer

_POSITIONS_HZ = 50  # of Whisper's encoder


def short_window(whisper: Path, window_s: int, folder: Path) -> None:
    """Write Whisper's encoder for clips of at most ``window_s``, which cost that much less.

    Its positions are sinusoids, so that those of a shorter window are the first of the longer one's.
    What it hears differs a little from what it would hear with silence up to 30 s behind it.

    Args:
        whisper: a Hugging Face folder.
        window_s: seconds, below 30.
        folder: that is written.
    """
    made = _beside(folder)
    positions = window_s * _POSITIONS_HZ
    config = json.loads((whisper / "config.json").read_text(encoding="utf-8"))
    extractor = json.loads((whisper / "preprocessor_config.json").read_text(encoding="utf-8"))
    weights = load_file(whisper / "model.safetensors")
    for name in [name for name in weights if name.endswith("encoder.embed_positions.weight")]:
        weights[name] = weights[name][:positions].clone()
    _write_json(made / "config.json", {**config, "max_source_positions": positions})
    _write_json(made / "preprocessor_config.json", {**extractor, "chunk_length": window_s})
    save_file(weights, made / "model.safetensors", metadata={"format": "pt"})
    made.rename(folder)


def lower_layers(backbone: Path, layers: int, folder: Path) -> None:
    """Write a text network's first layers, with all of its vocabulary.

    Args:
        backbone: a Hugging Face folder.
        layers: that are kept.
        folder: that is written.
    """
    made = _beside(folder)
    network = AutoModel.from_pretrained(
        backbone, local_files_only=True, use_safetensors=True, dtype=torch.float32
    )
    text = network.config.get_text_config()
    stack = network.encoder.layer if hasattr(network, "encoder") else network.layers
    del stack[layers:]
    text.num_hidden_layers = layers
    if getattr(text, "layer_types", None):
        text.layer_types = text.layer_types[:layers]
    network.save_pretrained(made)
    AutoTokenizer.from_pretrained(backbone, local_files_only=True).save_pretrained(made)
    made.rename(folder)


def _beside(folder: Path) -> Path:
    """An empty folder that is renamed when it is whole; one that a killed run left is emptied."""
    made = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    return made


def _write_json(path: Path, values: dict[str, object]) -> None:
    path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
