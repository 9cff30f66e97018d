"""Training rows of the builtin encoder: text in 22 languages, each with its English meaning."""

from __future__ import annotations

import gzip
import logging
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from encoders.train.lexicons import WORDFREQ, Entry, read_extras, read_word_list

_LOG = logging.getLogger(__name__)

FLORES = {
    "ara": "arb_Arab", "cat": "cat_Latn", "cym": "cym_Latn", "deu": "deu_Latn", "eng": "eng_Latn",
    "est": "est_Latn", "fas": "pes_Arab", "fra": "fra_Latn", "ind": "ind_Latn", "ita": "ita_Latn",
    "jpn": "jpn_Jpan", "lav": "lvs_Latn", "mon": "khk_Cyrl", "nld": "nld_Latn", "por": "por_Latn",
    "rus": "rus_Cyrl", "slv": "slv_Latn", "spa": "spa_Latn", "swe": "swe_Latn", "tam": "tam_Taml",
    "tur": "tur_Latn", "zho": "zho_Hans",
}  # fmt: skip
LANGUAGES = tuple(FLORES)
FOREIGN = tuple(lang for lang in LANGUAGES if lang != "eng")
_PACKAGES = (
    "story_game", "office_help", "desktop_guide", "wiki_interface", "office_interface",
    "cldr_names", "map_tags",
)  # fmt: skip

_MARKUP = re.compile(r"<[^>]*>|\{[^}]*\}|%\([^)]*\)\w|%\w+%?|\$\w+|&\w+;|\\n|https?://\S+")
_REMARK = re.compile(r"\([^)]*\)|\[[^\]]*\]")
_SPACE = re.compile(r"\s+")
_MAX_CHARS = 400

# Locales of word lists whose language the teacher knows: it embeds the words themselves.
_WORD_LISTS = {
    "ara": "ar", "deu": "de", "eng": "en", "fra": "fr", "ind": "id", "ita": "it", "jpn": "ja",
    "nld": "nl", "por": "pt", "rus": "ru", "spa": "es", "tur": "tr", "zho": "zh",
}  # fmt: skip
_LISTED_WORDS = 20_000  # single words of each language
_WORD_SALADS = 10_000  # texts of 8 words of each language
_SALAD_VOCABULARY = 30_000

NGRAM_WORDS = 8
NGRAM_CHARS = 24  # for jpn and zho, which write no spaces


@dataclass(frozen=True, slots=True)
class Row:
    """One text and the English text of the same meaning."""

    lang: str
    text: str
    english: str
    source: str


def load_rows(data: Path, extra: Path | None, refused: Iterable[Path]) -> list[Row]:
    """Every usable row, without those that overlap a refused text.

    Args:
        data: folder with ``text/packages`` and ``text/flores200_dev``.
        extra: folder of archives, see :mod:`encoders.train.lexicons`; None for none.
        refused: files that training must not see, such as NTREX; a text a line, or TSV with the
            text in its last column.
    """
    guard = Refused(refused)
    kept: dict[Row, None] = {}
    dropped: Counter[str] = Counter()
    for row in _all_rows(data, extra):
        if guard.overlaps(row.text) or guard.overlaps(row.english):
            dropped[row.source] += 1
        else:
            kept[row] = None
    _LOG.info("rows: %d kept, %d refused %s", len(kept), sum(dropped.values()), dict(dropped))
    return list(kept)


def _all_rows(data: Path, extra: Path | None) -> Iterator[Row]:
    yield from _flores_rows(data / "text/flores200_dev")
    for source in _PACKAGES:
        yield from _package_rows(data / "text/packages" / source, source)
    for lang, text, english in _dictionary_entries(data / "text/packages/dictionaries"):
        if (row := _clean(lang, text, _REMARK.sub(" ", english), "dictionaries")) is not None:
            yield row
    for name, entries in (read_extras(extra) if extra else {}).items():
        for lang, text, english in entries:
            same = text == english  # names that are written alike teach the n-grams nothing
            if not same and (row := _clean(lang, text, english, name)) is not None:
                yield row


def word_rows(extra: Path, seed: int) -> Iterator[Row]:
    """Frequent words, and salads of words drawn log-uniformly by rank; each is its own meaning."""
    path = extra / WORDFREQ.name
    for lang, locale in _WORD_LISTS.items() if path.exists() else ():
        words = [word for word in read_word_list(path, locale) if word.isalpha()]
        for word in words[:_LISTED_WORDS]:
            yield Row(lang, word, word, "words")
        top = min(_SALAD_VOCABULARY, len(words))
        draw = np.random.default_rng([seed, *locale.encode()]).uniform(size=(_WORD_SALADS, 8))
        for ranks in np.floor(top**draw).astype(int):
            space = "" if lang in ("jpn", "zho") else " "
            salad = space.join(words[rank - 1] for rank in ranks)
            yield Row(lang, salad, salad, "salads")


def _flores_rows(folder: Path) -> Iterator[Row]:
    lines = {
        lang: (folder / f"{code}.dev").read_text(encoding="utf-8").splitlines()
        for lang, code in FLORES.items()
    }
    for lang in FOREIGN:
        for text, english in zip(lines[lang], lines["eng"], strict=True):
            yield Row(lang, text.strip(), english.strip(), "flores")


def _package_rows(folder: Path, source: str) -> Iterator[Row]:
    english = dict(_read_pairs(folder / "eng.tsv.gz"))
    for lang in FOREIGN:
        path = folder / f"{lang}.tsv.gz"
        for key, text in _read_pairs(path) if path.exists() else ():
            if key in english and (row := _clean(lang, text, english[key], source)) is not None:
                yield row


def _dictionary_entries(folder: Path) -> Iterator[Entry]:
    for path in sorted(folder.glob("eng-*.tsv.gz")):
        lang = path.name[4:7]
        if lang in FOREIGN:
            for english, text in list(_read_pairs(path))[1:]:
                yield lang, text, english


def _read_pairs(path: Path) -> Iterator[tuple[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            first, tab, second = line.rstrip("\n").partition("\t")
            if tab:
                yield first, second


def _clean(lang: str, text: str, english: str, source: str) -> Row | None:
    """A row without markup; None where too little is left."""
    text = _SPACE.sub(" ", _MARKUP.sub(" ", text.replace("~", ""))).strip()
    english = _SPACE.sub(" ", _MARKUP.sub(" ", english.replace("~", ""))).strip()
    for side in (text, english):
        letters = sum(map(str.isalpha, side))
        # Vowel signs of Tamil are marks, no letters: hence a third, not a half.
        if letters == 0 or 3 * letters < len(side) or len(side) > _MAX_CHARS:
            return None
    return Row(lang, text, english, source)


class Refused:
    """Texts that share a whole sentence or a long n-gram with evaluation text."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._whole: set[str] = set()
        self._shingles: set[str] = set()
        for path in files:
            for line in path.read_text(encoding="utf-8").splitlines():
                folded = fold(line.split("\t")[-1])
                self._whole.add(" ".join(folded))
                self._shingles.update(shingles(folded))
        self._whole.discard("")

    def overlaps(self, text: str) -> bool:
        """Whether ``text`` equals, or shares an n-gram with, a refused text."""
        folded = fold(text)
        if " ".join(folded) in self._whole:
            return True
        return any(shingle in self._shingles for shingle in shingles(folded))


def fold(text: str) -> list[str]:
    """Words of a text: NFKC, case-folded, letters, marks and digits only."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c if c.isalnum() or _is_mark(c) else " " for c in folded).split()


def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] == "M"


def shingles(words: list[str]) -> Iterator[str]:
    """Runs of 8 words; and of 24 characters where words are not spaced (20 letters a word)."""
    for at in range(len(words) - NGRAM_WORDS + 1):
        yield " ".join(words[at : at + NGRAM_WORDS])
    joined = "".join(words)
    if any("぀" <= c <= "鿿" for c in joined):
        for at in range(len(joined) - NGRAM_CHARS + 1):
            yield joined[at : at + NGRAM_CHARS]
