"""The files beside a backbone: the projection, and what makes a folder one of sentence-transformers.

They are written in the form that sentence-transformers has read since version 2.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from encoders.dual.config import DualEncoderConfig
from encoders.dual.language_names import language_name
from mining.contract.errors import CheckpointError

_PACKAGE = "sentence_transformers.models"
_POOLING = "1_Pooling"
_DENSE = "2_Dense"
_NORMALIZE = "3_Normalize"
_FLAGS = {
    "cls": "pooling_mode_cls_token",
    "mean": "pooling_mode_mean_tokens",
    "last_token": "pooling_mode_lasttoken",
}


def save_projection(projection: nn.Linear, folder: Path) -> None:
    """Write the linear layer as a module of sentence-transformers."""
    home = folder / _DENSE
    home.mkdir()
    facts = {
        "in_features": projection.in_features,
        "out_features": projection.out_features,
        "bias": True,
        "activation_function": "torch.nn.modules.linear.Identity",
    }
    _write(home / "config.json", facts)
    weights = {f"linear.{name}": value for name, value in projection.state_dict().items()}
    save_file({name: v.contiguous().cpu() for name, v in weights.items()},
              home / "model.safetensors", metadata={"format": "pt"})  # fmt: skip


def load_projection(folder: Path, hidden: int, dim: int, dtype: str) -> nn.Linear:
    """Read the linear layer.

    Raises:
        CheckpointError: it is missing, or of another shape.
    """
    path = folder / _DENSE / "model.safetensors"
    if not path.is_file():
        raise CheckpointError(
            f"{path}: must hold the projection, but is missing; copy the model folder again"
        )
    weights = load_file(path)
    shapes = {name: tuple(value.shape) for name, value in sorted(weights.items())}
    wanted = {"linear.bias": (dim,), "linear.weight": (dim, hidden)}
    if shapes != wanted:
        raise CheckpointError(
            f"{path}: must hold tensors of the shapes {wanted}, but holds {shapes}; it belongs to "
            "another model"
        )
    projection = nn.Linear(hidden, dim)
    projection.load_state_dict({name.split(".")[-1]: value for name, value in weights.items()})
    return projection.to(getattr(torch, dtype))


def save_sentence_transformers(config: DualEncoderConfig, hidden: int, folder: Path) -> None:
    """Write what lets ``SentenceTransformer(folder)`` embed texts; its prompts are the prefixes.

    Args:
        config: of the model.
        hidden: H, width of a token vector.
        folder: with the backbone in it, and the projection where there is one.
    """
    names = ["Transformer", "Pooling", *(["Dense"] if config.projection else []), "Normalize"]
    homes = {"Transformer": "", "Pooling": _POOLING, "Dense": _DENSE, "Normalize": _NORMALIZE}
    modules = [
        {"idx": place, "name": str(place), "path": homes[name], "type": f"{_PACKAGE}.{name}"}
        for place, name in enumerate(names)
    ]
    _write(folder / "modules.json", modules)
    _write(
        folder / "sentence_bert_config.json",
        {"max_seq_length": config.max_tokens, "do_lower_case": False},
    )
    flags = {flag: pooling == config.pooling for pooling, flag in _FLAGS.items()}
    (folder / _POOLING).mkdir()
    _write(folder / _POOLING / "config.json", {"word_embedding_dimension": hidden, **flags})
    (folder / _NORMALIZE).mkdir()
    prompts = {
        code: config.prefix.format(language=language_name(code), modality="Text")
        for code in config.languages
    }
    _write(
        folder / "config_sentence_transformers.json",
        {"prompts": prompts, "default_prompt_name": None, "similarity_fn_name": "cosine"},
    )


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
