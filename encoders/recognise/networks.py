"""Hugging Face speech networks out of a folder: safetensors only, whole or refused."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
import transformers

from encoders.audio_tokens.networks import load_extractor, require_complete, within_memory
from encoders.recognise.runtime import Runtime
from encoders.text_checkpoints import loading

__all__ = ["computing", "filled", "load_extractor", "load_network"]

# Weights that a forward pass makes for itself, or that training alone uses.
_OPTIONAL = re.compile(r"masked_spec_embed|embed_positions|proj_out\.weight|lm_head\.weight\Z")


def load_network(folder: Path, kind: str, runs: Runtime, attention: str) -> Any:
    """A network in evaluation mode on its device.

    Args:
        folder: of the model.
        kind: name of the class in transformers.
        runs: device, number format, threads.
        attention: ``eager`` where attention weights are read, else ``sdpa``.

    Raises:
        CheckpointError: a file is missing or damaged, or config and weights do not match.
        CapacityError: it does not fit on the device.
    """
    if runs.threads is not None:
        torch.set_num_threads(runs.threads)
    with loading(folder):
        network, info = getattr(transformers, kind).from_pretrained(
            folder,
            dtype=getattr(torch, runs.dtype),
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            attn_implementation=attention,
            output_loading_info=True,
        )
        require_complete(folder, info["missing_keys"], _OPTIONAL)
        return network.to(runs.device).eval()


def computing(name: str) -> AbstractContextManager[None]:
    """No gradients; a GPU without memory left for a batch of clips is told in one line."""
    return within_memory(
        f"{name}: GPU memory must hold one batch of clips, but does not; lower batch_clips or "
        "clip_s, or use dtype float16"
    )


def filled(rows: list[int]) -> list[int]:
    """Rows, the last one repeated up to a power of two: a device then meets few shapes."""
    height = 1 << (len(rows) - 1).bit_length()
    return rows + [rows[-1]] * (height - len(rows))
