"""Write the words that misheard letters may be: how often each is written, and how it is spelled.

    python examples/builtin_ears/lexicon.py DATA WORDFREQ.whl OUT/lexicon.parquet [--words 12000]

Half of a word's weight is its share of the parallel text in ``DATA/text/packages``, half its place
in the list of wordfreq 3.1.1 (CC BY-SA 4.0; a wheel on PyPI), where that has the language. Languages
with texts and no speech belong here as much as the others.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from pathlib import Path

import pyarrow as pa
from sentences import SOURCES, readings, rows_of
from synthesise import ESPEAK

from encoders.audio_tokens.letters import letters
from encoders.audio_tokens.lexicon import SCHEMA, write_lexicon
from encoders.train.lexicons import read_word_list
from encoders.wordbag.features import tokens_of

# Of wordfreq; Estonian, Mongolian and Welsh are not in it.
LOCALES = {
    "ara": "ar", "cat": "ca", "deu": "de", "eng": "en", "fas": "fa", "fra": "fr", "ind": "id",
    "ita": "it", "jpn": "ja", "lav": "lv", "nld": "nl", "por": "pt", "rus": "ru", "slv": "sl",
    "spa": "es", "swe": "sv", "tam": "ta", "tur": "tr", "zho": "zh",
}  # fmt: skip
_LONGEST = 24  # letters
_LISTED = 60_000
_SPOKEN_MORE = {"story_game": 3.0}  # dialogues are more like speech than manuals
_ZIPF_OFFSET = 2.7  # Mandelbrot 1953: p(rank) ~ 1 / (rank + 2.7)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("wordfreq", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--words", type=int, default=12_000, help="a language")
    arguments = parser.parse_args()
    columns: list[list[object]] = [[] for _ in SCHEMA]
    for lang in ESPEAK:
        found = words(arguments.data / "text/packages", arguments.wordfreq, lang, arguments.words)
        for word, spelled, share in found:
            for column, value in zip(columns, (lang, word, spelled, share), strict=True):
                column.append(value)
        print(lang, len(found), found[0], found[-1])
    arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
    write_lexicon(pa.table(arrays, schema=SCHEMA), arguments.output)


def words(packages: Path, wordfreq: Path, lang: str, count: int) -> list[tuple[str, str, float]]:
    """The likeliest words of a language: word, letters, logarithm of its share to two digits."""
    shares: Counter[str] = Counter()
    written = _written(packages, lang)
    for word, number in written.items():
        shares[word] += 0.5 * number / written.total()
    if lang in LOCALES:
        listed = read_word_list(wordfreq, LOCALES[lang])[:_LISTED]
        places = [1 / (rank + _ZIPF_OFFSET) for rank in range(1, len(listed) + 1)]
        total = math.fsum(places)
        for word, place in zip(listed, places, strict=True):
            for token in _tokens(word, lang):
                shares[token] += 0.5 * place / total
    found = []
    for word, share in sorted(shares.items(), key=lambda one: (-one[1], one[0])):
        spelled = letters(readings(word, lang)[0] or word).replace(" ", "")
        if spelled and len(spelled) <= _LONGEST:
            found.append((word, spelled, round(math.log(share), 2)))
        if len(found) == count:
            break
    return found


def _written(packages: Path, lang: str) -> Counter[str]:
    found: Counter[str] = Counter()
    for source in SOURCES:
        weight = _SPOKEN_MORE.get(source, 1.0)
        for text in rows_of(packages / source / f"{lang}.tsv.gz").values():
            for token in _tokens(text, lang):
                found[token] += weight  # type: ignore[assignment]
    return found


def _tokens(text: str, lang: str) -> list[str]:
    """Words; of Chinese and Japanese, which write no spaces, words as a dictionary parts them."""
    if lang == "jpn":
        return [piece for piece in parted_japanese(text) if not piece.isascii()]
    if lang == "zho":
        return [piece for piece in parted_chinese(text) if not piece.isascii()]
    return [token for token in tokens_of(text) if not token.isdigit()]


def parted_japanese(text: str) -> list[str]:
    """Pieces that pykakasi's dictionary knows."""
    from sentences import kakasi

    return [piece["orig"].strip() for piece in kakasi().convert(text) if piece["orig"].strip()]


def parted_chinese(text: str) -> list[str]:
    """Phrases that pypinyin's dictionary knows, and single characters."""
    from pypinyin.seg.mmseg import seg

    return [piece for piece in seg.cut(text) if piece.strip()]


if __name__ == "__main__":
    main()
