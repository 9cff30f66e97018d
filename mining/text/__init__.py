"""Text in: read files of any format, normalise, cut into sentences."""

from mining.text.batch import ReadBatch
from mining.text.normalise import normalise
from mining.text.prepare import (
    PrepareSettings,
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
    "list_files",
    "normalise",
    "read_batches",
    "segment_batch",
    "split_sentences",
]
