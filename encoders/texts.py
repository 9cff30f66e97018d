"""Embed a list of sentences, for notebooks and scripts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mining.contract.encoder import Encoder
from mining.contract.errors import InputError
from mining.contract.ids import text_segment_id
from mining.contract.languages import canonical_language
from mining.contract.schemas import SEGMENT, TEXT

_ROWS = 4096  # handed over at once


def embed_texts(
    encoder: Encoder, texts: Sequence[str], lang: str | Sequence[str]
) -> NDArray[np.float32]:
    """Embed sentences.

    Args:
        encoder: from :func:`encoders.load_encoder`.
        texts: N sentences.
        lang: their language, or that of each, in any usual spelling.

    Returns:
        float32 [N, D], L2-normalised.

    Raises:
        InputError: if a language is no language code, or a sentence cannot be embedded (naming it).
        ValueError: languages are given one by one, but not as many as sentences.
    """
    if isinstance(texts, str):
        raise InputError("texts: must be a list of sentences, but is one text; put it in a list")
    codes = [_code(lang)] * len(texts) if isinstance(lang, str) else _codes(lang)
    if len(codes) != len(texts):
        raise ValueError(f"lang: must be one, or {len(texts)}, but are {len(codes)}")
    parts = [np.zeros((0, encoder.dim), np.float32)]
    for start in range(0, len(texts), _ROWS):
        some = list(texts[start : start + _ROWS])
        said = codes[start : start + _ROWS]
        ids = list(map(text_segment_id, said, some))
        table = pa.table({"segment_id": ids, "lang": said, "text": some})
        result = encoder.embed(segments_of(table))
        for row, detail in sorted(result.problems.items()):
            raise InputError(f"texts[{start + row}]: cannot be embedded ({detail}); leave it out")
        parts.append(result.vectors)
    return np.concatenate(parts)


def segments_of(sentences: pa.Table) -> pa.RecordBatch:
    """A SEGMENT batch of sentences: N rows of segment_id, lang and text."""
    count = sentences.num_rows
    given = {
        "segment_id": sentences["segment_id"],
        "corpus": ["texts"] * count,
        "modality": [TEXT] * count,
        "lang": sentences["lang"],
        "text": sentences["text"],
        "length": pc.utf8_length(sentences["text"]),
        "occurrences": [1] * count,
    }
    columns = [given.get(f.name, pa.nulls(count, f.type)) for f in SEGMENT]
    return pa.table(columns, schema=SEGMENT).combine_chunks().to_batches()[0]


def _codes(langs: Sequence[str]) -> list[str]:
    known = {lang: _code(lang) for lang in set(langs)}
    return [known[lang] for lang in langs]


def _code(lang: str) -> str:
    code = canonical_language(lang)
    if code is None:
        raise InputError(f"lang: must be a language code such as deu, but is {lang!r}")
    return code
