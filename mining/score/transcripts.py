"""How alike a transcript and what it was paired with read, where both are of one language."""

from __future__ import annotations

import unicodedata

import pyarrow as pa
import pyarrow.compute as pc
from rapidfuzz.distance import Levenshtein

from mining.contract.schemas import SPEECH


def transcript_similarity(source: pa.Table, target: pa.Table) -> pa.Array:
    """Normalised Levenshtein similarity of the letters and digits of both texts.

    1 - (insertions + deletions + substitutions) / the longer length, after NFKC, case folding and
    the removal of all but letters, digits and the marks that belong to letters. Two texts of which
    nothing is left are alike in nothing: 0.

    Args:
        source: N rows of lang, modality and text.
        target: the same of the other side.

    Returns:
        float32 [N]; null unless both texts are there, in one language, one of them of speech.
    """
    wanted = pc.and_(
        pc.equal(source["lang"], target["lang"]),
        pc.or_(pc.equal(source["modality"], SPEECH), pc.equal(target["modality"], SPEECH)),
    )
    wanted = pc.and_(wanted, pc.and_(pc.is_valid(source["text"]), pc.is_valid(target["text"])))
    found = [
        _similarity(src, tgt) if of_interest else None
        for of_interest, src, tgt in zip(
            wanted.to_pylist(),
            source["text"].to_pylist(),
            target["text"].to_pylist(),
            strict=True,
        )
    ]
    return pa.array(found, pa.float32())


def _similarity(src: str, tgt: str) -> float:
    a, b = _spoken(src), _spoken(tgt)
    return float(Levenshtein.normalized_similarity(a, b)) if a and b else 0.0


def _spoken(text: str) -> str:
    """Letters, digits and marks; the rest is not heard."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return "".join(char for char in folded if unicodedata.category(char)[0] in "LNM")
