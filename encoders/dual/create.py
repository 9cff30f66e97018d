"""A new dual encoder out of a Hugging Face backbone and an audio tokenizer."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import nn

from encoders.checkpoint import read_json
from encoders.dual.backbone import hidden_size, load_backbone, load_text_tokenizer, longest_input
from encoders.dual.config import WORDBAG, DualEncoderConfig, described_units
from encoders.dual.extended_embedding import extend
from encoders.dual.model import DualEncoder
from encoders.dual.token_ids import special_ids
from encoders.dual.transformer_tower import TransformerTower
from encoders.dual.wording import Wording
from encoders.hub import fetch, is_hub_name, local_folder
from encoders.text_checkpoints import loading
from mining.contract.errors import CheckpointError

_BACKBONE_FILES = ["*.json", "*.txt", "*.model", "*.safetensors"]


def create_dual_encoder(
    backbone: Path | str,
    audio_tokenizer: Path | None,
    config: DualEncoderConfig,
    *,
    seed: int,
    device: str = "cpu",
    dtype: str = "float32",
) -> DualEncoder:
    """Make a dual encoder that is still to be trained, in evaluation mode.

    Args:
        backbone: any Hugging Face folder that ``AutoModel`` opens, or ``org/name`` on the model hub;
            of an encoder-decoder the encoder is taken.
        audio_tokenizer: its folder; None: the model reads text only.
        config: settings of the user; what the network makes of them is filled in.
        seed: of the new rows and the projection.
        device: ``cpu`` or ``cuda``.
        dtype: of the weights: ``float32``, ``bfloat16`` or ``float16``.

    Raises:
        CheckpointError: the backbone or the audio tokenizer cannot be used.
        ConfigError: a setting does not go with them.
    """
    folder = backbone_folder(str(backbone), None)
    units = described_units(audio_tokenizer, config)
    if read_json(folder / "config.json").get("model_type") == WORDBAG:
        from encoders.dual.create_wordbag import over_wordbag

        return over_wordbag(folder, audio_tokenizer, config)
    with loading(folder), torch.random.fork_rng(devices=[]):  # all is drawn on the CPU
        torch.manual_seed(seed)  # a pooler that the weights lack is drawn, too
        network = load_backbone(folder, dtype)
        table = network.get_input_embeddings()
        tokenizer = load_text_tokenizer(folder, table.num_embeddings)
        config = _completed(config, network, tokenizer, 0 if units is None else units.units)
        if config.audio_rows:
            network.set_input_embeddings(extend(table, config.audio_rows, seed))
        projection = None
        if config.projection:
            torch.manual_seed(seed)
            projection = nn.Linear(hidden_size(network), config.dim or 0)
            projection = projection.to(getattr(torch, dtype))
        tower = TransformerTower(
            network, tokenizer, config, Wording(config, units, audio_tokenizer), projection
        )
    return DualEncoder(config, units, audio_tokenizer, tower).to(device).eval()


def backbone_folder(path: str, revision: str | None) -> Path:
    """Where a backbone lies on disk, fetched if it is on the model hub.

    Args:
        path: a folder, or ``org/name``.
        revision: commit, tag or branch; for a hub name only.

    Raises:
        CheckpointError: there is no such model.
    """
    folder = local_folder(path)
    if folder.is_dir():
        return folder
    if folder.exists() or not is_hub_name(path):
        raise CheckpointError(
            f"backbone {path!r}: must be a model folder that exists, or org/name on the model hub, "
            "but is neither"
        )
    return fetch(path, revision, _BACKBONE_FILES)


def _completed(
    config: DualEncoderConfig, network: Any, tokenizer: Any, units: int
) -> DualEncoderConfig:
    """The settings, with what the network makes of them."""
    hidden = hidden_size(network)
    lacks_end = not special_ids(tokenizer)[1] and tokenizer.eos_token_id is not None
    return dataclasses.replace(
        config,
        dim=hidden if config.dim is None else config.dim,
        projection=config.dim is not None,
        max_tokens=min(config.max_tokens, longest_input(network, tokenizer)),
        text_rows=network.get_input_embeddings().num_embeddings,
        audio_units=units,
        append_end=config.pooling == "last_token" and lacks_end,
    )
