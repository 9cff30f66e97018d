"""How much of a seed is there: clips and hours of each language."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from encoders.train.data.frames import Clips
from mining.contract.speech import SPEECH_RATE_HZ

_COLUMNS = ("rows", "clips", "found", "usable", "hours")


def coverage(
    listed: Mapping[str, int], table: pa.Table, numbers: NDArray[np.int64], clips: Clips
) -> dict[str, dict[str, Any]]:
    """Figures of each language, the longest first.

    Args:
        listed: rows of the manifest by language.
        table: schema ROWS, N rows whose texts can be learned from.
        numbers: int64 [N], the clip of each.
        clips: all clips that were looked for.

    Returns:
        ``rows`` in the manifest; ``clips`` that were looked for; ``found``: whose recording can be
        opened; ``usable``: that can be learned from; ``hours`` of the last.
    """
    _, first = np.unique(numbers, return_index=True)
    langs = table["lang"].take(pa.array(first)).to_pylist()
    asked: Counter[str] = Counter(langs)
    found: Counter[str] = Counter()
    usable: Counter[str] = Counter()
    samples: Counter[str] = Counter()
    for number, lang in enumerate(langs):
        found[lang] += bool(clips.ids[number])
        if number not in clips.faults:
            usable[lang] += 1
            samples[lang] += int(clips.samples[number])
    order = sorted(listed, key=lambda lang: (-samples[lang], -listed[lang], lang))
    return {
        lang: {
            "rows": listed[lang],
            "clips": asked[lang],
            "found": found[lang],
            "usable": usable[lang],
            "hours": round(samples[lang] / SPEECH_RATE_HZ / 3600, 4),
        }
        for lang in order
    }


def coverage_lines(name: str, languages: Mapping[str, Mapping[str, Any]]) -> Iterable[str]:
    """The figures as a table for people."""
    width = max([len("language"), *map(len, languages)])
    yield f"{name}: {'language':<{width}} " + " ".join(f"{column:>9}" for column in _COLUMNS)
    for lang, figures in languages.items():
        cells = [f"{figures[column]:>9}" for column in _COLUMNS[:-1]]
        yield f"{name}: {lang:<{width}} {' '.join(cells)} {figures['hours']:>9.2f}"
