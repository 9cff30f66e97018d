"""What is known of an encoder before its weights are in memory."""

from __future__ import annotations

from dataclasses import dataclass

from encoders.audio_tokens.card import AudioTokenizerCard
from mining.contract.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class EncoderCard:
    """The facts of an encoder that a launcher needs.

    Attributes:
        name: for people.
        dim: D, the width of a vector.
        space: name of the embedding space; equal names mean comparable vectors.
        modalities: subset of {"text", "speech"}.
        fingerprint: hex digest of everything that decides a vector.
        licence: SPDX identifier or the maker's own word, ``unknown`` if nothing says.
        languages: ISO 639-3 codes it was made for; empty if that is not known.
        by_id: whether vectors are looked up by doc_id rather than made of the segment.
        audio_tokenizer: what it hears speech with; None: it reads text only.
    """

    name: str
    dim: int
    space: str
    modalities: frozenset[str]
    fingerprint: str
    licence: str
    languages: tuple[str, ...] = ()
    by_id: bool = False
    audio_tokenizer: AudioTokenizerCard | None = None


class KnownByCard:
    """An encoder whose facts are those of its card."""

    card: EncoderCard

    @property
    def name(self) -> str:
        """Short name for people."""
        return self.card.name

    @property
    def dim(self) -> int:
        """D."""
        return self.card.dim

    @property
    def space(self) -> str:
        """Name of the embedding space."""
        return self.card.space

    @property
    def modalities(self) -> frozenset[str]:
        """What it embeds."""
        return self.card.modalities

    @property
    def fingerprint(self) -> str:
        """Digest of everything that decides a vector."""
        return self.card.fingerprint


def require_same_space(source: EncoderCard, target: EncoderCard, where: str) -> None:
    """Refuse to compare vectors that cannot be compared.

    Raises:
        ConfigError: naming ``where`` (a task) and both encoders.
    """
    if source.space == target.space and source.dim != target.dim:
        raise ConfigError(
            f"{where}: both sides must have one width, but {source.name} has {source.dim} and "
            f"{target.name} {target.dim} under the same space {source.space!r}; correct model.space"
        )
    if source.space != target.space:
        raise ConfigError(
            f"{where}: both sides must be embedded in one space, but {source.name} gives "
            f"{source.space!r} and {target.name} gives {target.space!r}; use one model, or, if you "
            "know that these vectors may be compared (such as precomputed files of one model), "
            "give both the same model.space"
        )
