"""A Hugging Face network to build on: whole, or refused.

Of an encoder-decoder the encoder is taken. Weights are read from safetensors only and no code of a
model folder is ever run.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub.errors import StrictDataclassError
from torch import nn
from transformers import PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from encoders.checkpoint import require_safetensors
from mining.contract.errors import CheckpointError

_LAYER = re.compile(r"\b(?:layers?|h|blocks?)\.\d+\.")
_DECODER = re.compile(r"(?:model\.)?decoder\.")
_NOT_NEEDED = ("pooler.", "decoder.")
# Encoders that sentence-transformers takes out of an encoder-decoder's config by itself.
_NATIVE_ENCODERS = frozenset({"T5EncoderModel", "MT5EncoderModel", "UMT5EncoderModel"})


def load_backbone(folder: Path, dtype: str) -> Any:
    """The network, all of its weights found in the folder and all of the folder's layers used.

    To be called under :func:`encoders.text_checkpoints.loading`.

    Raises:
        CheckpointError: config and weights do not match, or the weights are a pickle.
    """
    require_safetensors(folder)
    config = _config(folder)
    model, info = _class_of(config).from_pretrained(
        folder,
        config=config,
        dtype=getattr(torch, dtype),
        use_safetensors=True,
        local_files_only=True,
        output_loading_info=True,
    )
    missing = sorted(key for key in info["missing_keys"] if not key.startswith(_NOT_NEEDED))
    unused = sorted(
        key for key in info["unexpected_keys"] if _LAYER.search(key) and not _DECODER.match(key)
    )
    if missing or unused:
        fault = f"lack {missing[0]}" if missing else f"hold {unused[0]}, unknown to the config"
        raise CheckpointError(
            f"{folder}: config.json and weights must match, but {len(missing) or len(unused)} "
            f"tensors do not: the weights {fault}; take both from one place"
        )
    if config.is_encoder_decoder and hasattr(model, "decoder"):
        model = model.get_encoder()
    _require_one_table(folder, model)
    text_config = _text_config(model)
    if hasattr(text_config, "use_cache"):  # keys and values kept for a next token that never comes
        text_config.use_cache = False
    return model


def load_text_tokenizer(folder: Path, rows: int) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder.

    Args:
        folder: of the model.
        rows: t, of the embedding table that are text.

    Raises:
        CheckpointError: it has no vocabulary, or one of another model.
    """
    tokenizer = transformers.AutoTokenizer.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False
    )
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
            f"{folder}: the tokenizer's ids must be below the {rows} rows of text, but one is "
            f"{largest}; tokenizer and weights are of different models"
        )
    return tokenizer


def longest_input(model: Any, tokenizer: PreTrainedTokenizerBase) -> int:
    """Tokens that the model has positions for. RoBERTa counts positions from its padding id."""
    config = _text_config(model)
    limit = min(int(tokenizer.model_max_length), 1 << 30)
    positions = getattr(config, "max_position_embeddings", None)
    if not isinstance(positions, int) or positions < 1:  # XLNet says -1
        return limit
    if "roberta" in config.model_type:
        positions -= (tokenizer.pad_token_id or 0) + 1
    return min(limit, positions)


def save_backbone(model: Any, state: dict[str, torch.Tensor], rows: int, folder: Path) -> None:
    """Write config and weights, with no progress bar for what takes a moment.

    Args:
        model: the network.
        state: its weights, under the names that its class gives them.
        rows: t + a of its vocabulary, which ``AutoModel`` must make room for.
        folder: that exists.
    """
    _text_config(model).vocab_size = rows
    showed = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        model.save_pretrained(folder, state_dict=state)
    finally:
        if showed:
            transformers_logging.enable_progress_bar()


def hidden_size(model: Any) -> int:
    """H, width of a token vector."""
    return int(_text_config(model).hidden_size)


def is_native(model: Any) -> bool:
    """Whether ``AutoModel`` (and so sentence-transformers) opens what this model saves."""
    known = transformers.MODEL_MAPPING.get(type(model.config), None)
    classes = known if isinstance(known, tuple) else (known,)
    return type(model) in classes or type(model).__name__ in _NATIVE_ENCODERS


def _config(folder: Path) -> Any:
    try:
        return transformers.AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except StrictDataclassError as error:  # of none of the kinds that other faults have
        reason = str(error).strip().splitlines()[-1].strip()
        raise CheckpointError(
            f"{folder / 'config.json'}: must be a config of transformers, but is not: {reason[:200]}; "
            "copy the folder again"
        ) from None


def _text_config(model: Any) -> Any:
    """The part of a config that describes what reads text: T5Gemma has a part for each side."""
    side = getattr(model.config, "encoder", None)
    return side if hasattr(side, "vocab_size") else model.config.get_text_config()


def _class_of(config: Any) -> Any:
    """AutoModel, or a class that is an encoder alone: as the checkpoint names it, or of T5's kin."""
    name = (config.architectures or [""])[0]
    if "Encoder" in name and "EncoderDecoder" not in name:
        package = type(config).__module__.replace(".configuration_", ".modeling_")
        return getattr(importlib.import_module(package), name, transformers.AutoModel)
    if config.is_encoder_decoder and type(config) in transformers.MODEL_FOR_TEXT_ENCODING_MAPPING:
        config.is_encoder_decoder = False  # T5Gemma's encoder wants to be told
        return transformers.AutoModelForTextEncoding
    return transformers.AutoModel


def _require_one_table(folder: Path, model: Any) -> None:
    """Refuse a backbone whose vocabulary cannot be extended by one matrix."""
    table = model.get_input_embeddings()
    if not isinstance(table, nn.Embedding):
        raise CheckpointError(
            f"{folder}: the backbone must look up token ids in one nn.Embedding, but has "
            f"{type(table).__name__}; take another backbone"
        )
    for name, module in model.named_modules():
        if not isinstance(module, nn.Embedding) or "position" in name or name.endswith("wpe"):
            continue
        if module.num_embeddings >= table.num_embeddings and module.weight is not table.weight:
            raise CheckpointError(
                f"{folder}: the backbone must have one table of token ids, but has a second, "
                f"{name}, which audio tokens would not be in; take another backbone"
            )
