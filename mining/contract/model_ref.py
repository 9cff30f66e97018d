"""How a config names an encoder or a recogniser."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Literal

from mining.contract.languages import canonical_language

Pooling = Literal["mean", "cls", "last_token", "encoder_mean", "pooler"]


@dataclass(frozen=True, kw_only=True)
class ModelRef:
    """An encoder, and the settings that decide its vectors.

    All but ``licence`` decides bytes, so it is hashed, next to the contents of the files that ``path``
    and ``ids`` lead to. The device is no part of it: it is given at loading.

    ``None`` means what the model says of itself, or what is known of its family.

    Attributes:
        path: ``builtin``, ``use-multilingual``, ``spelling``, a model folder, a ``.npy`` or
            ``.parquet`` file (or a folder of them), or ``org/name`` on the model hub.
        revision: commit, tag or branch; for a hub name only.
        space: name of the embedding space. Give two encoders the same name only if their vectors
            may be compared.
        pooling: how token vectors become one: mean, first token, last token, mean over the encoder
            of an encoder-decoder, or the model's own pooler.
        prefix: text put before every segment.
        padding_side: where batches are filled up.
        max_tokens: longer segments are truncated, in tokens, special tokens included.
        ids: file with one id a line for a ``.npy`` array; default: the array's name with the suffix
            ``.ids`` or ``.ids.txt``.
        dtype: number format of weights and arithmetic.
        batch_tokens: tokens in a batch after padding. 4096 keeps one CPU core busy; 65536 suits a
            large GPU.
        licence: what its weights may be used under, where they do not say it or you know better. It
            decides nothing.
    """

    path: str
    revision: str | None = None
    space: str | None = None
    pooling: Pooling | None = None
    prefix: str | None = None
    padding_side: Literal["left", "right"] | None = None
    max_tokens: int | None = None
    ids: str | None = None
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    batch_tokens: int = 4096
    licence: str | None = None

    def __post_init__(self) -> None:
        if not self.path.strip():
            raise ValueError("path must name a model, but is empty")
        if self.batch_tokens < 16:
            raise ValueError(f"batch_tokens must be at least 16, but is {self.batch_tokens}")
        if self.max_tokens is not None and self.max_tokens < 2:
            raise ValueError(f"max_tokens must be at least 2, but is {self.max_tokens}")

    def settings(self) -> str:
        """Canonical JSON of what decides a vector, but the addresses, whose contents are hashed."""
        values = dataclasses.asdict(self)
        for name in ("path", "revision", "ids", "licence"):
            del values[name]
        return json.dumps(values, sort_keys=True)


@dataclass(frozen=True, kw_only=True)
class RecogniserRef:
    """A speech recogniser, and the settings that decide its transcripts.

    Attributes:
        path: a model folder (faster-whisper, or a Hugging Face Whisper or CTC model), or
            ``org/name`` on the model hub.
        revision: commit, tag or branch; for a hub name only.
        dtype: number format of weights and arithmetic. ``auto``: int8 for faster-whisper on a CPU,
            float16 on a GPU; float32 for Hugging Face models. faster-whisper has no bfloat16, Hugging
            Face models no int8.
        batch_clips: clips computed together. 4 keeps two CPU cores busy; 32 suits a GPU.
        clip_s: neighbouring stretches of speech of a recording are recognised together in clips of
            up to this length, in seconds, and told apart by the words' times. Whisper always
            computes 30 s. 0: each stretch by itself.
        max_tokens: longest transcript of a clip, in tokens. Whisper's own limit is 448, prompt
            included.
        language: told to the recogniser in place of the recordings' own: for one that it does not
            know, a kindred one. Segments keep their own.
        licence: as of an encoder.
    """

    path: str
    revision: str | None = None
    dtype: Literal["auto", "float32", "bfloat16", "float16", "int8"] = "auto"
    batch_clips: int = 4
    clip_s: float = 28.0
    max_tokens: int = 224
    language: str | None = None
    licence: str | None = None

    def __post_init__(self) -> None:
        if self.language is not None and canonical_language(self.language) is None:
            raise ValueError(f"language must be a code such as deu, but is {self.language!r}")
        if not self.path.strip():
            raise ValueError("path must name a recogniser, but is empty")
        if self.batch_clips < 1:
            raise ValueError(f"batch_clips must be at least 1, but is {self.batch_clips}")
        if not 0 <= self.clip_s <= 30:
            raise ValueError(f"clip_s must be from 0 to 30, but is {self.clip_s}")
        if not 1 <= self.max_tokens <= 440:
            raise ValueError(f"max_tokens must be from 1 to 440, but is {self.max_tokens}")

    def settings(self) -> str:
        """Canonical JSON of what decides a transcript, but the address, whose contents are hashed."""
        values = dataclasses.asdict(self)
        for name in ("path", "revision", "licence"):
            del values[name]
        return json.dumps(values, sort_keys=True)
