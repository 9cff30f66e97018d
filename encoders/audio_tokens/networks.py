"""Hugging Face speech networks for one clip at a time: safetensors only, whole or refused.

A clip is computed alone, without padding to others: its outputs then are a function of the clip, and
a few hundred frames are enough to fill the arithmetic units.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError, safe_open
from transformers.utils import logging as transformers_logging

from encoders.checkpoint import require_safetensors
from encoders.text_checkpoints import loading
from mining.contract.errors import CapacityError, CheckpointError, ConfigError
from mining.contract.speech import SPEECH_RATE_HZ

# Weights that a forward pass makes for itself, or that training alone uses.
_OPTIONAL = re.compile(r"masked_spec_embed|embed_positions")


def chosen_device(wanted: str, threads: int | None) -> str:
    """The device that ``auto``, ``cpu`` or ``cuda`` means here; sets torch's threads.

    Raises:
        ConfigError: there is no such name.
        CapacityError: a GPU is asked for and not there.
    """
    if wanted not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"device: must be one of auto, cpu, cuda, but is {wanted!r}")
    if threads is not None:
        torch.set_num_threads(threads)
    has_gpu = torch.cuda.is_available()
    if wanted == "cuda" and not has_gpu:
        raise CapacityError(
            "device cuda: a GPU must be there, but torch sees none; use device auto or cpu, or "
            "install the GPU build of torch and its driver"
        )
    return "cuda" if has_gpu and wanted != "cpu" else "cpu"


def load_encoder_network(folder: Path, layers: int | None) -> Any:
    """The encoder of a speech model on the CPU, in float32 and in evaluation mode.

    Args:
        folder: of any checkpoint that ``AutoModel`` takes, or of Whisper's encoder alone.
        layers: how many of its first layers are kept; None: all.

    Raises:
        CheckpointError: a file is missing or damaged, or config and weights do not match.
        CapacityError: it does not fit into memory.
    """
    config = load_config(folder)
    with loading(folder):
        kind: Any = transformers.AutoModel
        if config.is_encoder_decoder and "WhisperEncoder" in (config.architectures or []):
            from transformers.models.whisper import modeling_whisper

            kind = modeling_whisper.WhisperEncoder
        if layers is not None:
            config.num_hidden_layers = layers
        if config.is_encoder_decoder:
            config.decoder_layers = 1  # loaded and dropped
        config.add_adapter = False
        network = _whole(kind, folder, config)
        return network.get_encoder() if hasattr(network, "decoder") else network


def load_ctc_network(folder: Path) -> Any:
    """A CTC model on the CPU, in float32 and in evaluation mode.

    Raises:
        CheckpointError: a file is missing or damaged, or config and weights do not match.
    """
    config = load_config(folder)
    with loading(folder):
        return _whole(transformers.AutoModelForCTC, folder, config)


def load_config(folder: Path) -> Any:
    """What ``config.json`` says, with its class's defaults.

    Raises:
        CheckpointError: there is none, or it is of an unknown class.
    """
    require_weights(folder)
    with loading(folder):
        return transformers.AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )


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


def save_network(network: Any, extractor: Any, folder: Path) -> None:
    """Write config.json, model.safetensors and preprocessor_config.json.

    Raises:
        CapacityError: they cannot be written.
    """
    transformers_logging.disable_progress_bar()
    try:
        network.save_pretrained(folder)
        extractor.save_pretrained(folder)
    except OSError as error:
        raise CapacityError(f"{folder}: cannot be written: {error.strerror}") from None
    finally:
        transformers_logging.enable_progress_bar()


def require_weights(folder: Path) -> None:
    """Refuse a folder that has no weights as safetensors.

    Raises:
        CheckpointError: there is no such folder, or it has none, one cut short, or only a pickle.
    """
    if not folder.is_dir():
        raise CheckpointError(
            f"{folder}: must be a model folder, but does not exist; copy the whole folder of the audio "
            "tokenizer again, or give the folder of a speech model"
        )
    require_safetensors(folder)
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise CheckpointError(
            f"{folder}: must hold weights as *.safetensors, but does not; copy the model again"
        )
    for file in files:
        try:
            with safe_open(file, framework="numpy"):  # reads the header, and checks the length
                pass
        except (OSError, SafetensorError) as error:
            raise CheckpointError(
                f"{file}: must be whole safetensors, but is not ({error}); copy it again"
            ) from None


def computing(name: str) -> AbstractContextManager[None]:
    """No gradients; a GPU without memory left for a clip is told in one line."""
    return within_memory(
        f"{name}: GPU memory must hold one clip, but does not; cut into shorter clips, or use a "
        "smaller model"
    )


@contextmanager
def within_memory(fault: str) -> Iterator[None]:
    """No gradients; a GPU without memory left is told in one line.

    Raises:
        CapacityError: of that text.
    """
    try:
        with torch.inference_mode():
            yield
    except torch.OutOfMemoryError:
        raise CapacityError(fault) from None


def require_complete(folder: Path, missing: Iterable[str], optional: re.Pattern[str]) -> None:
    """Refuse weights that lack some of what the config asks for.

    Args:
        folder: of the model.
        missing: names that were not found.
        optional: what may be missing.

    Raises:
        CheckpointError: naming the first one.
    """
    lacking = sorted(key for key in missing if not optional.search(key))
    if lacking:
        raise CheckpointError(
            f"{folder}: config.json and weights must match, but the weights lack {lacking[0]} and "
            f"{len(lacking) - 1} more; take both from one place"
        )


def _whole(kind: Any, folder: Path, config: Any) -> Any:
    network, info = kind.from_pretrained(
        folder,
        config=config,
        dtype=torch.float32,
        use_safetensors=True,
        local_files_only=True,
        trust_remote_code=False,
        output_loading_info=True,
    )
    require_complete(folder, info["missing_keys"], _OPTIONAL)
    return network.eval()
