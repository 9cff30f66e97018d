"""Whisper's tokenizer: languages, prompts, and tokens to words.

Radford et al. 2022, "Robust Speech Recognition via Large-Scale Weak Supervision". Where a word ends
is decided as in openai/whisper (whisper/tokenizer.py), but that marks inside a word do not part it.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from encoders.checkpoint import read_json
from mining.contract.errors import CheckpointError, ConfigError
from mining.contract.languages import canonical_language

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_LANGUAGE_TOKEN = re.compile(r"<\|([a-z]{2,3})\|>")
# Whisper's own spellings that are no code of today, or not in our table.
_WHISPER_CODES = MappingProxyType({"jw": "jav", "ht": "hat"})
# The first token after the text tokens: 50256 in GPT-2's vocabulary, that of the English models.
_ENGLISH_END = 50256
# Languages that write no spaces between words (openai/whisper, whisper/tokenizer.py).
NO_SPACES = frozenset({"zho", "jpn", "tha", "lao", "mya", "yue"})


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A word's text and its tokens: ``[start, end)`` among the text tokens of a clip.

    ``timed_start`` and ``timed_end`` leave out the punctuation that was joined to the word.
    """

    text: str
    start: int
    end: int
    timed_start: int
    timed_end: int


@dataclass(frozen=True)
class WhisperVocabulary:
    """A ``tokenizer.json`` of Whisper.

    Attributes:
        folder: where it lies.
        special: every special token and its id.
        languages: ISO 639-3 code -> id of its token; English alone for an English model.
        multilingual: whether a prompt names the language.
    """

    folder: Path
    special: Mapping[str, int]
    languages: Mapping[str, int]
    multilingual: bool

    @classmethod
    def read(cls, folder: Path) -> WhisperVocabulary:
        """Read the special tokens only.

        Raises:
            CheckpointError: there is no ``tokenizer.json`` of Whisper.
        """
        added = read_json(folder / "tokenizer.json").get("added_tokens") or []
        special = {str(token["content"]): int(token["id"]) for token in added}
        for name in ("<|endoftext|>", "<|startoftranscript|>", "<|notimestamps|>"):
            if name not in special:
                raise CheckpointError(
                    f"{folder / 'tokenizer.json'}: must be Whisper's, but has no token {name}; "
                    "fetch the model folder again"
                )
        stated = read_json(folder / "generation_config.json").get("is_multilingual")
        multilingual = special["<|endoftext|>"] != _ENGLISH_END if stated is None else bool(stated)
        languages = _languages(special) if multilingual else {"eng": -1}
        return cls(folder, special, languages, multilingual)

    @property
    def end(self) -> int:
        """Id of the end token; all text tokens are smaller."""
        return self.special["<|endoftext|>"]

    @functools.cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer itself."""
        from tokenizers import Tokenizer

        return Tokenizer.from_file(str(self.folder / "tokenizer.json"))

    def sot_sequence(self, lang: str) -> list[int]:
        """What a transcript of a language begins with.

        Raises:
            ConfigError: Whisper does not know the language.
        """
        found = lang if lang in self.languages else lang.split("_")[0]
        if found not in self.languages:
            raise ConfigError(
                f"language {lang!r}: must be one that the recogniser knows, but {self.folder.name} "
                f"knows {len(self.languages)} others; leave its recordings out, or use a "
                "recogniser or a speech encoder that knows it"
            )
        start = [self.special["<|startoftranscript|>"]]
        if not self.multilingual:
            return start
        return [*start, self.languages[found], self.special["<|transcribe|>"]]

    def prompt(self, lang: str) -> list[int]:
        """``sot_sequence``, then that no timestamps are wanted."""
        return [*self.sot_sequence(lang), self.special["<|notimestamps|>"]]

    def text_tokens(self, tokens: Sequence[int]) -> list[int]:
        """Tokens without special ones and timestamps."""
        return [token for token in tokens if token < self.end]

    def pieces(self, tokens: Sequence[int], lang: str) -> list[Piece]:
        """Text tokens to words: at spaces, or at characters where a language writes none."""
        subwords = self._subwords(tokens)
        if lang.split("_")[0] not in NO_SPACES:
            subwords = _at_spaces(subwords)
        return _with_marks(subwords)

    def _subwords(self, tokens: Sequence[int]) -> list[Piece]:
        """The shortest runs of tokens that are whole characters."""
        found: list[Piece] = []
        low = 0
        for high in range(1, len(tokens) + 1):
            text = self.tokenizer.decode(list(tokens[low:high]))
            # A character has at most four bytes: what is broken after four tokens stays broken.
            if "\ufffd" not in text or high - low >= 4 or high == len(tokens):
                found.append(_piece(text, low, high))
                low = high
        return found


def require_languages(name: str, vocabulary: WhisperVocabulary, rows: Sequence[int]) -> None:
    """Refuse to tell a language where that cannot be done.

    Raises:
        ConfigError: the model is for English alone, or there is no clip to tell it from.
    """
    if not vocabulary.multilingual:
        raise ConfigError(
            f"{name}: must be multilingual to tell languages, but knows English alone; give the "
            "language in the config, or use a multilingual model"
        )
    if not rows:
        raise ConfigError(
            f"{name}: needs a clip with finite samples to tell its language, but got none"
        )


def _languages(special: Mapping[str, int]) -> dict[str, int]:
    found = {}
    for token, number in special.items():
        match = _LANGUAGE_TOKEN.fullmatch(token)
        if match is not None:
            code = match.group(1)
            lang = canonical_language(_WHISPER_CODES.get(code, code))
            if lang is not None:
                found[lang] = number
    return dict(sorted(found.items()))


def _piece(text: str, start: int, end: int) -> Piece:
    return Piece(text=text, start=start, end=end, timed_start=start, timed_end=end)


def _at_spaces(subwords: Sequence[Piece]) -> list[Piece]:
    """Runs that begin with a space; marks at either end of a run take no part in its times."""
    starts = [i for i, piece in enumerate(subwords) if i == 0 or piece.text[:1].isspace()]
    words = []
    for low, high in zip(starts, [*starts[1:], len(subwords)], strict=True):
        run = subwords[low:high]
        spoken = [piece for piece in run if not _is_mark(piece.text)] or run
        words.append(
            Piece(
                text="".join(piece.text for piece in run),
                start=run[0].start,
                end=run[-1].end,
                timed_start=spoken[0].start,
                timed_end=spoken[-1].end,
            )
        )
    return words


def _with_marks(words: Sequence[Piece]) -> list[Piece]:
    """Join what is no word to one: opening marks to the next, others to the one before."""
    joined: list[Piece] = []
    for word in words:
        before = joined[-1] if joined else None
        if before is None:
            joined.append(word)
        elif _is_mark(before.text) and (len(joined) == 1 or _opens(before.text)):
            joined[-1] = _joined(before, word, timed=word)
        elif _is_mark(word.text) and not _opens(word.text):
            joined[-1] = _joined(before, word, timed=before)
        else:
            joined.append(word)
    return joined


def _joined(first: Piece, second: Piece, timed: Piece) -> Piece:
    return Piece(
        text=first.text + second.text,
        start=first.start,
        end=second.end,
        timed_start=timed.timed_start,
        timed_end=timed.timed_end,
    )


def _is_mark(text: str) -> bool:
    """Whether nothing of a text is spoken."""
    return all(
        character.isspace()
        or (unicodedata.category(character)[0] == "P" and character not in "%&@")
        for character in text
    )


def _opens(text: str) -> bool:
    last = text.rstrip()[-1:]
    return last in ("¿", "¡") or (bool(last) and unicodedata.category(last) in ("Ps", "Pi"))
