"""Load Hugging Face and sentence-transformers folders, and refuse those that are not whole.

Weights are read from safetensors only and no code of a model folder is ever run.
"""

from __future__ import annotations

import importlib
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers.utils import logging as transformers_logging

from encoders.checkpoint import st_modules
from encoders.families import TextSettings
from encoders.text_networks import PlainNetwork, SentenceNetwork
from mining.contract.errors import CapacityError, CheckpointError, MiningError

_LAYER = re.compile(r"\b(?:layers?|h|blocks?)\.\d+\.")


def load_plain(folder: Path, settings: TextSettings, device: str) -> PlainNetwork:
    """Load a transformers folder.

    Raises:
        CheckpointError: a file is missing or damaged, or config and weights do not match.
        CapacityError: it does not fit on the device.
    """
    with loading(folder):
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        model = _load_checked(folder, settings.dtype, settings.pooling == "pooler").to(device)
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
        tokenizer.padding_side = settings.padding_side or "right"
        _check_vocabulary(folder, model, tokenizer)
        return PlainNetwork(model.eval(), tokenizer, settings)


def load_sentence_transformers(
    folder: Path, settings: TextSettings, device: str
) -> SentenceNetwork:
    """Load a sentence-transformers folder through ``SentenceTransformer``.

    Raises:
        CheckpointError: a file is missing or damaged, or config and weights do not match.
        CapacityError: it does not fit on the device.
    """
    from sentence_transformers import SentenceTransformer

    with loading(folder):
        name, first = st_modules(folder)[0]
        if name == "Transformer" and not (first / "adapter_config.json").is_file():
            # SentenceTransformer fills missing weights with random ones and only logs it.
            _load_checked(first, settings.dtype, pooler=False)
        model = SentenceTransformer(
            str(folder),
            device=device,
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs={"use_safetensors": True, "dtype": getattr(torch, settings.dtype)},
        )
        model = model.to(getattr(torch, settings.dtype)).eval()
        inner = getattr(model[0], "auto_model", None)
        if inner is not None:
            _check_vocabulary(folder, inner, model.tokenizer)
        return SentenceNetwork(model, settings)


@contextmanager
def loading(folder: Path) -> Iterator[None]:
    """Load a model of another library: quietly, and with its many kinds of errors as one line.

    Raises:
        CheckpointError: whatever is wrong with the folder.
        CapacityError: the model does not fit into GPU memory.
    """
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity(logging.ERROR)
    transformers_logging.disable_progress_bar()
    try:
        yield
    except MiningError:
        raise
    except torch.OutOfMemoryError as error:
        raise CapacityError(f"{folder}: the model does not fit into GPU memory") from error
    except (
        OSError, ValueError, RuntimeError, LookupError, ImportError, TypeError, AttributeError,
        SafetensorError, StrictDataclassError,
    ) as error:  # fmt: skip
        reason = next((line for line in str(error).splitlines() if line.strip()), repr(error))
        raise CheckpointError(
            f"{folder}: must be a complete model folder, but does not load: {reason[:300]}; copy "
            "the folder again, with config, tokenizer and model.safetensors"
        ) from error
    finally:
        transformers_logging.set_verbosity(verbosity)
        transformers_logging.enable_progress_bar()


def _load_checked(folder: Path, dtype: str, pooler: bool) -> Any:
    """The network, all of its weights found in the folder and all of the folder's layers used."""
    config = transformers.AutoConfig.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False
    )
    model, info = _model_class(config).from_pretrained(
        folder,
        config=config,
        dtype=getattr(torch, dtype),
        use_safetensors=True,
        local_files_only=True,
        output_loading_info=True,
    )
    optional = () if pooler else ("pooler.", "decoder.")
    missing = sorted(key for key in info["missing_keys"] if not key.startswith(optional))
    unused = sorted(
        key for key in info["unexpected_keys"]
        if _LAYER.search(key) and not re.match(r"(?:model\.)?decoder\.", key)
    )  # fmt: skip
    if missing or unused:
        fault = f"lack {missing[0]}" if missing else f"hold {unused[0]}, unknown to the config"
        raise CheckpointError(
            f"{folder}: config.json and weights must match, but {len(missing) or len(unused)} "
            f"tensors do not: the weights {fault}; take both from one place"
        )
    return model.get_encoder() if config.is_encoder_decoder and hasattr(model, "encoder") else model


def _model_class(config: Any) -> Any:
    """AutoModel, or the encoder class that the checkpoint names (``M2M100Encoder``)."""
    name = (config.architectures or [""])[0]
    if "Encoder" in name:
        package = type(config).__module__.replace(".configuration_", ".modeling_")
        return getattr(importlib.import_module(package), name, transformers.AutoModel)
    return transformers.AutoModel


def _check_vocabulary(folder: Path, model: Any, tokenizer: Any) -> None:
    rows = model.get_input_embeddings().weight.shape[0]
    vocabulary = tokenizer.get_vocab()
    if vocabulary.keys() <= set(tokenizer.all_special_tokens):
        # Without its files AutoTokenizer makes an empty tokenizer, to which every word is unknown.
        raise CheckpointError(
            f"{folder}: the tokenizer must have a vocabulary, but has special tokens only; copy "
            "tokenizer.json (or the vocabulary file) into the folder"
        )
    largest = max(vocabulary.values())
    if largest >= rows:
        raise CheckpointError(
            f"{folder}: the tokenizer's ids must be below the {rows} rows of the embedding table, "
            f"but one is {largest}; tokenizer and weights are of different models"
        )
