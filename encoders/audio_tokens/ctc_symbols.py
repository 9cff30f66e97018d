"""How the outputs of a Hugging Face CTC model are spelled."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from encoders.checkpoint import read_json
from mining.contract.errors import CheckpointError

_SENTENCEPIECE_SPACE = "▁"
_SPECIAL = frozenset({"<pad>", "<s>", "</s>", "<unk>", "[PAD]", "[UNK]", "[CLS]", "[SEP]"})


def ctc_symbols(folder: Path, size: int, blank: int) -> tuple[str, ...]:
    """Spelling of each output: the delimiter of words as a space, blank and specials as nothing.

    Args:
        folder: with ``vocab.json`` and ``tokenizer_config.json``.
        size: outputs of the network.
        blank: the output that stands for nothing.

    Raises:
        CheckpointError: there is no vocabulary, it is of another model, or of many languages.
    """
    path = folder / "vocab.json"
    entries, stated = read_json(path), read_json(folder / "tokenizer_config.json")
    if not entries:
        raise CheckpointError(
            f"{path}: must name the outputs of the CTC model, but does not; copy the model again"
        )
    if any(not isinstance(number, int) for number in entries.values()):
        raise CheckpointError(
            f"{path}: must be of one language, but names several, with an adapter each (MMS); save the "
            "model with one language's adapter and vocabulary"
        )
    if not all(0 <= number < size for number in entries.values()):
        raise CheckpointError(
            f"{path}: its ids must be below the {size} outputs of the network, but are not; tokenizer "
            "and weights are of different models"
        )
    special = _SPECIAL | _named_specials(stated)
    delimiter = str(stated.get("word_delimiter_token") or "|")
    symbols = [""] * size
    for text, number in entries.items():
        if number != blank and text not in special:
            symbols[number] = " " if text == delimiter else text.replace(_SENTENCEPIECE_SPACE, " ")
    return tuple(symbols)


def _named_specials(stated: Mapping[str, Any]) -> frozenset[str]:
    keys = ("pad_token", "bos_token", "eos_token", "unk_token")
    tokens = [stated.get(key) for key in keys]
    # A token is written as text, or as an object with its text in ``content``.
    texts = [token.get("content") if isinstance(token, dict) else token for token in tokens]
    return frozenset(str(text) for text in texts if text)
