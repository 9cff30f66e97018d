"""What is known of published text encoders: how each wants its text, and under which licence.

A sentence-transformers folder states its own pooling, length and padding; of a family such a folder
takes the prefix only. A plain transformers folder states none of these and takes them all.
"""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from mining.contract.model_ref import ModelRef, Pooling

_LOG = logging.getLogger(__name__)
_PARALLEL = "Instruct: Retrieve parallel sentences.\nQuery:"


@dataclass(frozen=True, kw_only=True)
class TextFamily:
    """One family of models.

    Attributes:
        name: name for people.
        pattern: what the last part of a model's name must match as a whole, case ignored.
        pooling: how token vectors become one.
        licence: SPDX identifier where there is one.
        prefix: put before every segment, both sides alike, since bitext has no query side.
        padding_side: as its authors run it.
        max_tokens: longest input, special tokens included.
        needs_language: the tokenizer must be told the language of each text.
    """

    name: str
    pattern: str
    pooling: Pooling
    licence: str
    prefix: str = ""
    padding_side: Literal["left", "right"] = "right"
    max_tokens: int = 512
    needs_language: bool = False


# Source of each line: the model's own card on the hub. The bitext instructions of the instructed
# models are those that their authors use in MTEB's BitextMining tasks.
FAMILIES: tuple[TextFamily, ...] = (
    TextFamily(
        name="LaBSE", pattern=r"labse", pooling="pooler", licence="apache-2.0", max_tokens=256
    ),
    TextFamily(
        name="multilingual-e5",
        pattern=r"multilingual-e5-(small|base|large)",
        pooling="mean",
        licence="mit",
        prefix="query: ",
    ),
    TextFamily(
        name="multilingual-e5-large-instruct",
        pattern=r"multilingual-e5-large-instruct",
        pooling="mean",
        licence="mit",
        prefix=_PARALLEL + " ",
    ),
    TextFamily(name="bge-m3", pattern=r"bge-m3", pooling="cls", licence="mit", max_tokens=8192),
    TextFamily(
        name="Qwen3-Embedding",
        pattern=r"qwen3-embedding-[0-9.]+b",
        pooling="last_token",
        licence="apache-2.0",
        prefix=_PARALLEL,
        padding_side="left",
        max_tokens=8192,
    ),
    TextFamily(
        name="EmbeddingGemma",
        pattern=r"embeddinggemma-300m.*",
        pooling="mean",
        licence="gemma",
        prefix="task: search result | query: ",
        max_tokens=2048,
    ),
    TextFamily(
        name="SONAR text",
        pattern=r"sonar_200_text_encoder.*",
        pooling="encoder_mean",
        licence="cc-by-nc-4.0",
        needs_language=True,
    ),
    TextFamily(name="MEXMA", pattern=r"mexma", pooling="cls", licence="mit"),
)

# What a plain transformers folder of no known family gets: the mean of its token vectors.
UNKNOWN = TextFamily(name="", pattern="", pooling="mean", licence="unknown")

_RESTRICTED = re.compile(r".*(?:-nc\b|non-?commercial|gemma|llama|research|other|openrail).*", re.I)


@dataclass(frozen=True, kw_only=True)
class TextSettings:
    """How a model is run, after overrides.

    ``None``: the sentence-transformers folder decides.
    """

    pooling: Pooling | None
    prefix: str | None
    padding_side: Literal["left", "right"] | None
    max_tokens: int | None
    needs_language: bool
    dtype: str
    batch_tokens: int


def family_of(names: Iterable[str]) -> TextFamily:
    """The family that one of the names belongs to, or :data:`UNKNOWN`."""
    for name in names:
        for family in FAMILIES:
            if re.fullmatch(family.pattern, name, re.IGNORECASE):
                return family
    return UNKNOWN


def text_settings(ref: ModelRef, family: TextFamily, *, states_own: bool) -> TextSettings:
    """Overrides first, then the folder (if it ``states_own`` settings), then the family."""

    def chosen(name: str) -> object:
        override = getattr(ref, name)
        return override if override is not None or states_own else getattr(family, name)

    prefix = ref.prefix
    if prefix is None and not (states_own and family is UNKNOWN):
        prefix = family.prefix
    max_tokens = ref.max_tokens
    if max_tokens is None and not states_own:
        max_tokens = family.max_tokens
    return TextSettings(
        pooling=chosen("pooling"),  # type: ignore[arg-type]
        prefix=prefix,
        padding_side=chosen("padding_side"),  # type: ignore[arg-type]
        max_tokens=max_tokens,
        needs_language=family.needs_language,
        dtype=ref.dtype,
        batch_tokens=ref.batch_tokens,
    )


def is_restricted(licence: str) -> bool:
    """Whether a licence forbids some use (non-commercial, or terms of the maker's own)."""
    return _RESTRICTED.fullmatch(licence) is not None


@functools.lru_cache(maxsize=64)
def warn_of_licence(name: str, licence: str) -> None:
    """Log, once a process, that a model is not free for every use."""
    if is_restricted(licence):
        _LOG.warning(
            "%s: its licence (%s) is not a free one: read its terms before you use the mined pairs",
            name,
            licence,
        )
