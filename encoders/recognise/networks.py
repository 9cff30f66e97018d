"""Hugging Face speech networks out of a folder: safetensors only, whole or refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers

from encoders.recognise.runtime import Runtime
from encoders.text_checkpoints import loading
from mining.contract.errors import CapacityError, CheckpointError
from mining.contract.speech import SPEECH_RATE_HZ

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
        missing = sorted(key for key in info["missing_keys"] if not _OPTIONAL.search(key))
        if missing:
            raise CheckpointError(
                f"{folder}: config.json and weights must match, but the weights lack {missing[0]} "
                f"and {len(missing) - 1} more; take both from one place"
            )
        return network.to(runs.device).eval()


def load_extractor(folder: Path) -> Any:
    """What makes features of samples, as ``preprocessor_config.json`` says.

    Raises:
        CheckpointError: it cannot be read, or is for another sampling rate.
    """
    with loading(folder):
        extractor = transformers.AutoFeatureExtractor.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    if extractor.sampling_rate != SPEECH_RATE_HZ:
        raise CheckpointError(
            f"{folder}: must take {SPEECH_RATE_HZ} Hz, but its preprocessor_config.json says "
            f"{extractor.sampling_rate}; use a model for {SPEECH_RATE_HZ} Hz"
        )
    return extractor


@contextmanager
def computing(name: str) -> Iterator[None]:
    """No gradients; a GPU without memory left is told in one line.

    Raises:
        CapacityError: a batch does not fit.
    """
    try:
        with torch.inference_mode():
            yield
    except torch.OutOfMemoryError:
        raise CapacityError(
            f"{name}: GPU memory must hold one batch of clips, but does not; lower batch_clips or "
            "clip_s, or use dtype float16"
        ) from None


def filled(rows: list[int]) -> list[int]:
    """Rows, the last one repeated up to a power of two: a device then meets few shapes."""
    height = 1 << (len(rows) - 1).bit_length()
    return rows + [rows[-1]] * (height - len(rows))
