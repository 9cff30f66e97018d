"""Real pretrained networks, cut to what two cores can train in an afternoon.

What is kept has its own weights; nothing is drawn.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from transformers import AutoModel, AutoTokenizer


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
