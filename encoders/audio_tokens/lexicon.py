"""From letters, some of them misheard, to the words of a language that they most likely were.

A recogniser of letters knows no words; texts do. So a language that has texts, and not one minute of
speech, still has this. Nothing is learned here: the words and how often they are written, and which
letters the recogniser takes for which.

N words, A letters of the recogniser (its units).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from encoders.audio_tokens.lexicon_search import Costs, Trie, search
from mining.contract.errors import CheckpointError

LEXICON_FILE = "lexicon.parquet"
SCHEMA = pa.schema(
    [
        pa.field("lang", pa.string(), nullable=False),  # ISO 639-3
        pa.field("word", pa.string(), nullable=False),
        pa.field("letters", pa.string(), nullable=False),  # as the recogniser spells it
        pa.field("logprob", pa.float32(), nullable=False),  # natural logarithm
    ],
    metadata={"mining.schema": "lexicon", "mining.schema_version": "1"},
)
_UNSPACED = frozenset({"zho", "jpn"})  # written without spaces
# How much how often a word is written counts, against how it sounds. Set by hand, once.
_PRIOR = 0.6
_REMEMBERED = 50_000  # stretches: candidates share theirs


@dataclass(frozen=True, kw_only=True, eq=False)
class Confusions:
    """How often a recogniser gave what for each letter, on speech that it was judged on.

    Attributes:
        given: float64 [A, A]: row: the letter that was said; column: the one that was recognised, 0
            if none was.
        added: float64 [A]: how often each was recognised where there was none.
    """

    given: NDArray[np.float64]
    added: NDArray[np.float64]

    @classmethod
    def guessed(cls, units: int) -> Confusions:
        """Of a recogniser that was not judged: six letters in ten are right, one is not heard."""
        given = np.full((units, units), 3.0 / max(units, 1))
        given[:, 0] = 1.0
        np.fill_diagonal(given, 6.0)
        return cls(given=given, added=np.full(units, 0.02 * given.sum() / units))

    def costs(self) -> Costs:
        """Negative natural logarithms of the probabilities, with a twentieth added to each count."""
        counts = self.given + 0.05
        said = self.given[1:].sum()
        rates = (self.added + 1) / max(said, 1.0)
        return Costs(
            given=-np.log(counts / counts.sum(axis=1, keepdims=True)),
            added=-np.log(np.minimum(rates, 0.5)),
        )


class Speller:
    """Words of languages by how they sound.

    Args:
        tries: of each language that has words, by ISO 639-3 code.
        symbols: of the recogniser: the blank first, then the space.
        confusions: of the recogniser.
    """

    def __init__(
        self, tries: Mapping[str, Trie], symbols: tuple[str, ...], confusions: Confusions
    ) -> None:
        self._tries = dict(tries)
        self._codes = {symbol: code for code, symbol in enumerate(symbols) if symbol}
        self._costs = confusions.costs()
        self._words = lru_cache(_REMEMBERED)(self._searched)

    @property
    def languages(self) -> tuple[str, ...]:
        """Codes of those that have words, sorted."""
        return tuple(sorted(self._tries))

    def words(self, letters: str, lang: str) -> str:
        """The most likely words; the letters themselves of a language without words.

        Args:
            letters: as the recogniser spells, words parted by spaces, wherever it heard them.
            lang: ISO 639-3 code.
        """
        if lang not in self._tries or not letters.strip():
            return letters
        return self._words(letters, lang)

    def _searched(self, letters: str, lang: str) -> str:
        heard = np.array([self._codes[letter] for letter in letters], dtype=np.int16)
        trie = self._tries[lang]
        found = [trie.words[number] for number in search(heard, trie, self._costs, _PRIOR)]
        return ("" if lang in _UNSPACED else " ").join(found)


def read_speller(path: Path, symbols: tuple[str, ...], confusions: Confusions) -> Speller:
    """Open a lexicon.

    Raises:
        CheckpointError: it is missing, damaged, or has letters that the recogniser has not.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise CheckpointError(
            f"{path}: must be a lexicon, but cannot be read ({str(error).splitlines()[0]}); copy the "
            "model folder again"
        ) from None
    if not table.schema.equals(SCHEMA, check_metadata=True):
        raise CheckpointError(
            f"{path}: must have the columns {', '.join(SCHEMA.names)} of a lexicon, but has "
            f"{', '.join(table.schema.names)}; it is of another version"
        )
    codes = {symbol: code for code, symbol in enumerate(symbols) if symbol.strip()}
    tries = {}
    for lang in sorted(table["lang"].unique().to_pylist()):
        rows = table.filter(pa.compute.equal(table["lang"], lang)).to_pydict()
        foreign = set("".join(rows["letters"])) - codes.keys()
        if foreign or not all(rows["letters"]):
            raise CheckpointError(
                f"{path}: letters must be those of the recogniser, but in {lang} {sorted(foreign)} are "
                "not; the lexicon belongs to another one"
            )
        spelled = [[codes[letter] for letter in word] for word in rows["letters"]]
        tries[lang] = Trie.of(rows["word"], spelled, np.array(rows["logprob"], dtype=np.float64))
    return Speller(tries, symbols, confusions)


def write_lexicon(rows: pa.Table, path: Path) -> None:
    """Write a lexicon, the most frequent words of each language first.

    Args:
        rows: columns of :data:`SCHEMA`.
        path: of the file.
    """
    order = [("lang", "ascending"), ("logprob", "descending"), ("word", "ascending")]
    table = rows.cast(SCHEMA).sort_by(order).replace_schema_metadata(SCHEMA.metadata)
    pq.write_table(table, path, compression="zstd", compression_level=19)
