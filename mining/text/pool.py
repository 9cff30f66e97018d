"""Sentences that widen the neighbourhood of a corpus of pairs."""

from __future__ import annotations

from collections import Counter

from mining.contract.errors import InputError
from mining.contract.languages import canonical_language
from mining.io.filesystem import Storage
from mining.text.normalise import normalise
from mining.text.readers import read_batches
from mining.text.source import TextSource, list_files


def read_pool(uri: str, lang: str, storage: Storage) -> tuple[list[tuple[str, str]], Counter[str]]:
    """Read the sentences of one language.

    Args:
        uri: files of plain lines, or of TSV, CSV, JSONL or Parquet with a column ``text``.
        lang: its code.
        storage: storage options.

    Returns:
        Language and normal form of each row, in the order of the files; and how many were refused for
        which reason.

    Raises:
        InputError: no such file or language, a damaged file, or not one sentence.
    """
    code = canonical_language(lang)
    if code is None:
        raise InputError(f"{uri}: must be in a known language, but {lang!r} is none")
    source = TextSource(uri=uri, lang=code)
    found: list[tuple[str, str]] = []
    refused: Counter[str] = Counter()
    for file in list_files(source, storage):
        for batch in read_batches(file, source, storage):
            refused.update(batch.rejects.column("reason").to_pylist())
            texts = [normalise(raw) for raw in batch.rows.column("text").to_pylist()]
            refused["empty"] += texts.count("")
            found += [(code, text) for text in texts if text]
    if not found:
        raise InputError(f"{uri}: must hold at least one sentence, but holds none")
    return found, +refused
