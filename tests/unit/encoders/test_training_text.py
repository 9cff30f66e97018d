"""The sample, and what thresholds are calibrated on, share no 8-gram with builtin's training text."""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from mining.text.normalise import normalise

ROOT = Path(__file__).parents[3]
REAL = Path(os.environ.get("MINING_REAL_DATA", ROOT.parent / "shared" / "data")) / "text"
FOLDERS = ("sample", "calibration")
N = 8


WORD = re.compile(r"[^\W_]+")


def words(text: str) -> list[str]:
    return WORD.findall(normalise(text).casefold())


def ngrams(text: str) -> Iterator[tuple[str, ...]]:
    found = words(text)
    return zip(*(found[i:] for i in range(N)), strict=False)


def training_lines(lang: str) -> Iterator[str]:
    for path in (REAL / "flores200_dev").glob(f"{lang}*.dev"):
        yield from path.read_text(encoding="utf-8").splitlines()
    for path in sorted((REAL / "packages").glob(f"*/*{lang}*.tsv.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                yield line.rstrip("\n").replace("\t", " ")


@pytest.mark.realdata
@pytest.mark.skipif(not REAL.is_dir(), reason=f"no real corpora at {REAL} (set MINING_REAL_DATA)")
def test_no_8_gram_of_the_sample_is_in_the_training_text() -> None:
    read = 0
    paths = [p for folder in FOLDERS for p in (ROOT / "examples" / folder / "text").glob("*.tsv")]
    for lang in sorted({path.stem for path in paths}):
        sample: set[tuple[str, ...]] = set()
        for path in paths:
            if path.stem == lang:
                for row in path.read_text(encoding="utf-8").splitlines()[1:]:
                    sample.update(ngrams(row.split("\t")[2]))
        assert sample
        # a cheap first look: an 8-gram cannot be there without its first word pair
        starts = {gram[:2] for gram in sample}
        for line in training_lines(lang):
            read += 1
            if len(line) < 2 * N:
                continue
            found = words(line)
            if len(found) >= N and not starts.isdisjoint(pairwise(found)):
                shared = sample.intersection(ngrams(line))
                assert not shared, (lang, shared)
    assert read > 100_000  # the training text was really read
