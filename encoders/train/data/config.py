"""What a training run is told of its data: every field, its range, and where its default comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from mining.config.binding import setting
from mining.contract.languages import canonical_language


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Columns of a seed manifest, by name; those that it lacks are taken as empty.

    Attributes:
        audio: address of a recording; required.
        lang: of the clip; required unless the seed's ``lang`` is given.
        transcript: what is said; may be empty.
        translation: of it; may be empty.
        translation_lang: its language.
        start_s: where the clip begins in the recording, seconds; empty: at its start.
        end_s: where it ends; empty: at its end.
        speaker: whoever speaks; held-out clips are whole speakers.
        reading: the transcript in Latin letters, as it is spoken, where its script does not tell:
            what a recogniser of letters learns (``model.fit_letters``); may be empty.
    """

    audio: str = "audio"
    lang: str = "lang"
    transcript: str = "transcript"
    translation: str = "translation"
    translation_lang: str = "translation_lang"
    start_s: str = "start_s"
    end_s: str = "end_s"
    speaker: str = "speaker"
    reading: str = "reading"


@dataclass(frozen=True, kw_only=True)
class Seed:
    """Speech with its transcript, its translation, or both.

    Attributes:
        manifest: TSV, CSV, JSONL or Parquet table with one clip a row; or for ``covost2`` the folder
            of its tables (``covost_v2.<from>_<to>.tsv``, any number of pairs).
        format: ``table``; or ``covost2``, joined by ``path`` with the Common Voice release below
            ``audio_root``.
        audio_root: folder that addresses of clips are relative to; not given: the manifest's own. Of
            ``covost2``: the folder of Common Voice, one folder a language in it.
        columns: of a table.
        lang: of the clips of a table, where its column says nothing.
        translation_lang: of the translations of a table, where its column says nothing.
        split: of ``covost2`` (with what it adds to Common Voice's own: ``train_covost`` is ``train``,
            too); or the value that a table's column ``split`` must have, where it has one.
        langs: if given, clips in other languages are left out.
        max_s: longer clips are left out, seconds (CoVoST 2's clips are all shorter).
    """

    manifest: str
    format: Literal["table", "covost2"] = "table"
    audio_root: str | None = None
    columns: Columns = field(default_factory=Columns)
    lang: str | None = None
    translation_lang: str = "eng"
    split: str = "train"
    langs: tuple[str, ...] | None = None
    max_s: float = setting(default=28.0, low=0.1)

    def __post_init__(self) -> None:
        if not self.manifest:
            raise ValueError("manifest must not be empty")
        for code in (self.lang, self.translation_lang, *(self.langs or ())):
            if code is not None and canonical_language(code) is None:
                raise ValueError(f"{code!r} is not a language code (ISO 639-3, such as deu)")
        if self.langs == ():
            raise ValueError("langs must name at least one language, or be left out")
        if self.format == "covost2" and (self.columns != Columns() or self.lang is not None):
            raise ValueError("columns and lang need format: table")


@dataclass(frozen=True, kw_only=True)
class Texts:
    """Pairs of sentences that mean the same.

    Attributes:
        uri: TSV, CSV, JSONL or Parquet table, or a glob of them.
        source: column of one side.
        target: column of the other.
        source_lang: a code, or ``column:<name>``.
        target_lang: a code, or ``column:<name>``.
    """

    uri: str
    source: str = "source"
    target: str = "target"
    source_lang: str = "column:source_lang"
    target_lang: str = "column:target_lang"

    def __post_init__(self) -> None:
        for code in (self.source_lang, self.target_lang):
            named = code.startswith("column:") and len(code) > len("column:")
            if not named and canonical_language(code) is None:
                raise ValueError(f"{code!r} is neither a language code nor column:<name>")


@dataclass(frozen=True, kw_only=True)
class Data:
    """What is learned from, and in what proportions.

    Attributes:
        seeds: speech, by name.
        texts: text pairs, by name.
        transcribe: weight of pairs speech -> own transcript in a batch.
        translate: weight of pairs speech -> translation (Gomez et al. 2024 train on X speech ->
            English text).
        text: weight of text pairs (25 % in Gomez et al. 2024).
        language_power: a language of n rows is drawn with n to this power; 1: as it comes, 0: all
            alike (0.5 is usual).
        garble: of each clip's audio tokens, a share drawn between 0 and this gives way to other tokens
            of the clip, so that the model leans on none alone.
        held_out: clips of each language that are not trained on but judged during training; whole
            speakers where the manifest names them, at most half of a language's clips, and what
            says the same as they do is not trained on either.
    """

    seeds: Mapping[str, Seed] = setting(default={})
    texts: Mapping[str, Texts] = setting(default={})
    transcribe: float = setting(default=1.0, low=0.0)
    translate: float = setting(default=1.0, low=0.0)
    text: float = setting(default=0.5, low=0.0)
    language_power: float = setting(default=0.5, low=0.0, high=1.0)
    garble: float = setting(default=0.0, low=0.0, high=1.0)
    held_out: int = setting(default=0, low=0)
