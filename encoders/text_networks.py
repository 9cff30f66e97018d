"""Tokenizer and model together: texts in, one vector a text out.

Shape legend: N rows of a canonical batch, L tokens, D width of a vector.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from encoders.families import TextSettings
from mining.contract.errors import ConfigError
from mining.contract.languages import canonical_language

_SOURCE_CODE = re.compile(r"[a-z]{3}_[A-Z][a-z]{3}")  # FLORES-200, such as deu_Latn
_DEFAULT_TOKENS = 512  # where neither the folder nor the user states a length
_ST_POOLING = {"mean": "mean", "encoder_mean": "mean", "cls": "cls", "last_token": "lasttoken"}


class Network(Protocol):
    """A tokenizer and a model, loaded."""

    max_tokens: int

    def group_of(self, lang: str) -> str | None:
        """What rows of a language share in a batch; None if the language is not known."""

    def lengths(self, texts: Sequence[str], group: str) -> NDArray[np.int64]:
        """Tokens of each text, prefix and special tokens included, before truncation: int64 [N]."""

    def vectors(self, texts: Sequence[str], group: str, tokens: int) -> torch.Tensor:
        """Vectors of texts padded to ``tokens``: [N, D], any float type, any length."""


class PlainNetwork:
    """A transformers model with this project's own pooling."""

    def __init__(self, model: Any, tokenizer: Any, settings: TextSettings) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._pooling = settings.pooling
        self._prefix = settings.prefix or ""
        longest = _longest_input(model, tokenizer)
        self.max_tokens = min(settings.max_tokens or _DEFAULT_TOKENS, longest)
        self._codes = _source_codes(tokenizer) if settings.needs_language else None

    def group_of(self, lang: str) -> str | None:
        """The tokenizer's code of the language, where it needs one."""
        return "" if self._codes is None else self._codes.get(lang)

    def lengths(self, texts: Sequence[str], group: str) -> NDArray[np.int64]:
        """Tokens of each text, int64 [N]."""
        self._speak(group)
        return _token_counts(self._tokenizer, [self._prefix + text for text in texts])

    def vectors(self, texts: Sequence[str], group: str, tokens: int) -> torch.Tensor:
        """Pooled vectors [N, D]."""
        self._speak(group)
        inputs = self._tokenizer(
            [self._prefix + text for text in texts],
            padding="max_length",
            truncation=True,
            max_length=tokens,
            return_tensors="pt",
        ).to(self._model.device)
        output = self._model(**inputs)
        if self._pooling == "pooler":
            if getattr(output, "pooler_output", None) is None:
                raise ConfigError(
                    f"pooling: must be one that {type(self._model).__name__} has, but is 'pooler'; "
                    "choose mean, cls or last_token"
                )
            pooled: torch.Tensor = output.pooler_output
            return pooled
        return _pool(output.last_hidden_state, inputs["attention_mask"], self._pooling or "mean")

    def _speak(self, group: str) -> None:
        if group:
            self._tokenizer.src_lang = group


class SentenceNetwork:
    """A sentence-transformers pipeline, run module by module as its folder says."""

    def __init__(self, model: Any, settings: TextSettings) -> None:
        self._model = model
        self._settings = settings
        self._tokenizer = model.tokenizer
        self._counts_tokens = isinstance(self._tokenizer, PreTrainedTokenizerBase)
        self._prompt = settings.prefix
        if self._prompt is None:
            prompts = model.prompts
            self._prompt = prompts.get("BitextMining") or prompts.get(model.default_prompt_name)
        if settings.pooling is not None:
            self._replace_pooling(settings.pooling)
        self.max_tokens = 1 << 30
        if self._counts_tokens:
            if settings.padding_side is not None:
                self._tokenizer.padding_side = settings.padding_side
            stated = settings.max_tokens or model.max_seq_length or _DEFAULT_TOKENS
            inner = getattr(model[0], "auto_model", None)
            self.max_tokens = min(stated, _longest_input(inner, self._tokenizer))
            model.max_seq_length = self.max_tokens

    def _replace_pooling(self, pooling: str) -> None:
        from sentence_transformers.models import Pooling

        places = [i for i, module in enumerate(self._model) if isinstance(module, Pooling)]
        if pooling not in _ST_POOLING or not places:
            raise ConfigError(
                f"pooling: must be one of {sorted(_ST_POOLING)} for a sentence-transformers folder "
                f"with a pooling module, but is {pooling!r}; leave it out to use the folder's own"
            )
        width = self._model[0].get_embedding_dimension()
        self._model[places[0]] = Pooling(width, pooling_mode=_ST_POOLING[pooling])

    def group_of(self, lang: str) -> str | None:
        """All languages alike."""
        return ""

    def lengths(self, texts: Sequence[str], group: str) -> NDArray[np.int64]:
        """Tokens of each text, or characters for a tokenizer of another kind: int64 [N]."""
        full = [(self._prompt or "") + text for text in texts]
        if self._counts_tokens:
            return _token_counts(self._tokenizer, full)
        return np.fromiter(map(len, full), dtype=np.int64, count=len(full))

    def vectors(self, texts: Sequence[str], group: str, tokens: int) -> torch.Tensor:
        """The pipeline's sentence embeddings [N, D]."""
        features = self._model.preprocess(list(texts), prompt=self._prompt)
        if self._counts_tokens:
            features = self._padded(features, tokens)
        features = {
            name: value.to(self._model.device) if isinstance(value, torch.Tensor) else value
            for name, value in features.items()
        }
        found: torch.Tensor = self._model(features)["sentence_embedding"]
        return found

    def _padded(self, features: dict[str, Any], tokens: int) -> dict[str, Any]:
        width = features["input_ids"].shape[1]
        missing = max(0, tokens - width)
        sides = (missing, 0) if self._tokenizer.padding_side == "left" else (0, missing)
        fill = {"input_ids": self._tokenizer.pad_token_id or 0}
        return {
            name: torch.nn.functional.pad(value, sides, value=fill.get(name, 0))
            if isinstance(value, torch.Tensor) and value.ndim == 2 and value.shape[1] == width
            else value
            for name, value in features.items()
        }


def _longest_input(model: Any, tokenizer: Any) -> int:
    """Tokens that the model has positions for. RoBERTa counts positions from its padding id."""
    positions = getattr(getattr(model, "config", None), "max_position_embeddings", None)
    limit = min(int(tokenizer.model_max_length), 1 << 30)
    if not isinstance(positions, int):
        return limit
    if "roberta" in model.config.model_type:
        positions -= (tokenizer.pad_token_id or 0) + 1
    return min(limit, positions)


def _token_counts(tokenizer: Any, texts: list[str]) -> NDArray[np.int64]:
    ids = tokenizer(texts, return_attention_mask=False, verbose=False)["input_ids"]
    return np.fromiter(map(len, ids), dtype=np.int64, count=len(texts))


def _source_codes(tokenizer: Any) -> dict[str, str]:
    """The tokenizer's own language codes by ours; of several scripts the first in the alphabet."""
    codes: dict[str, str] = {}
    for token in sorted(filter(_SOURCE_CODE.fullmatch, tokenizer.get_vocab())):
        lang = canonical_language(token)
        if lang is not None:
            codes.setdefault(lang, token)
    return codes


def _pool(hidden: torch.Tensor, mask: torch.Tensor, pooling: str) -> torch.Tensor:
    """Token vectors [N, L, D] and mask [N, L] to [N, D]; correct for padding on either side."""
    hidden = hidden.float()
    if pooling in ("mean", "encoder_mean"):
        weights = mask.unsqueeze(-1).float()
        return (hidden * weights).sum(1) / weights.sum(1).clamp(min=1)
    positions = torch.arange(mask.shape[1], device=mask.device)
    place = mask.argmax(1) if pooling == "cls" else (mask * positions).argmax(1)
    return hidden[torch.arange(len(hidden), device=hidden.device), place]
