"""Text in: read files of any format, normalise, cut into sentences, collapse duplicates."""

from mining.text.batch import ReadBatch
from mining.text.normalise import normalise
from mining.text.prepare import (
    PrepareSettings,
    collapse,
    reject_duplicate_ids,
    segment_batch,
)
from mining.text.readers import read_batches
from mining.text.source import TextFile, TextSource, list_files
from mining.text.split import split_sentences

__all__ = [
    "PrepareSettings",
    "ReadBatch",
    "TextFile",
    "TextSource",
    "collapse",
    "list_files",
    "normalise",
    "read_batches",
    "reject_duplicate_ids",
    "segment_batch",
    "split_sentences",
]
