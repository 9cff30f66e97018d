"""What is known of a recogniser before its weights are in memory."""

from __future__ import annotations

from dataclasses import dataclass

from mining.contract.languages import canonical_language


@dataclass(frozen=True, kw_only=True)
class RecogniserCard:
    """The facts of a recogniser that a launcher needs.

    Attributes:
        name: for people.
        fingerprint: hex digest of everything that decides a transcript.
        languages: ISO 639-3 codes that it knows; empty if that is not known.
        times_words: whether words carry times.
        max_clip_s: longest clip that it takes, seconds.
        tells_language: whether ``language_of`` can be asked.
        licence: SPDX identifier or the maker's own word, ``unknown`` if nothing says.
    """

    name: str
    fingerprint: str
    languages: tuple[str, ...]
    times_words: bool
    max_clip_s: float
    tells_language: bool
    licence: str

    def known(self, lang: str) -> str | None:
        """What the recogniser calls a language: itself, or without its script; None if unknown."""
        code = canonical_language(lang) or lang
        for name in (code, code.split("_")[0]):
            if not self.languages or name in self.languages:
                return name
        return None


class KnownByCard:
    """What a recogniser says of itself, which is what its card says."""

    _card: RecogniserCard

    @property
    def name(self) -> str:
        """Short name for people."""
        return self._card.name

    @property
    def fingerprint(self) -> str:
        """Hex digest of everything that decides a transcript."""
        return self._card.fingerprint

    @property
    def languages(self) -> tuple[str, ...]:
        """ISO 639-3 codes that it knows; empty if that is not known."""
        return self._card.languages

    @property
    def max_clip_s(self) -> float:
        """Longest clip that it takes, seconds; Whisper's window is 30."""
        return self._card.max_clip_s
