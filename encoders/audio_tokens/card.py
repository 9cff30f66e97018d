"""What is known of an audio tokenizer before its weights are in memory."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class AudioTokenizerCard:
    """The facts of an audio tokenizer that a launcher and a dual encoder need.

    Attributes:
        name: for people.
        fingerprint: hex digest of everything that decides a unit: weights, settings.
        units: a, how many there are; at most 32,767.
        blank: the unit that stands for nothing (CTC); None where every unit counts.
        symbols: how each unit is spelled, the blank as an empty string; None for clusters.
        rate_hz: frames a second.
        context_s: how far to each side a unit depends on the samples; infinite with attention.
        max_clip_s: longest clip that it takes, seconds.
        languages: ISO 639-3 codes that it hears with other ears; empty: it asks for no language.
        licence: of the speech encoder that it stands on, ``unknown`` if nothing says; None: it stands
            on none, and is under that of the model whose part it is.
    """

    name: str
    fingerprint: str
    units: int
    blank: int | None
    symbols: tuple[str, ...] | None
    rate_hz: float
    context_s: float
    max_clip_s: float
    languages: tuple[str, ...] = ()
    licence: str | None = None


class KnownByCard:
    """What an audio tokenizer says of itself, which is what its card says."""

    _card: AudioTokenizerCard

    @property
    def card(self) -> AudioTokenizerCard:
        """All of it at once."""
        return self._card

    @property
    def name(self) -> str:
        """Short name for people."""
        return self._card.name

    @property
    def fingerprint(self) -> str:
        """Hex digest of everything that decides a unit: weights, settings."""
        return self._card.fingerprint

    @property
    def units(self) -> int:
        """a, how many units there are."""
        return self._card.units

    @property
    def blank(self) -> int | None:
        """The unit that stands for nothing; None where every unit counts."""
        return self._card.blank

    @property
    def symbols(self) -> tuple[str, ...] | None:
        """How each unit is spelled, the blank as an empty string; None for clusters."""
        return self._card.symbols

    @property
    def rate_hz(self) -> float:
        """Frames a second."""
        return self._card.rate_hz

    @property
    def context_s(self) -> float:
        """How far to each side a unit depends on the samples, seconds; infinite with attention."""
        return self._card.context_s

    @property
    def max_clip_s(self) -> float:
        """Longest clip that it takes, seconds."""
        return self._card.max_clip_s

    @property
    def languages(self) -> tuple[str, ...]:
        """Codes that it hears with other ears; empty: it asks for no language."""
        return self._card.languages
