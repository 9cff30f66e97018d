"""A corpus of the config, in the terms of this package."""

from __future__ import annotations

import os

from mining.config.model import Corpus, LangFrom
from mining.contract.languages import canonical_language
from mining.contract.uris import canonical_uri
from mining.io.filesystem import Storage
from mining.io.forgotten import Forgotten
from mining.text.prepare import PrepareSettings
from mining.text.source import LANG, TextFile, TextSource, list_files


def sources_of(corpus: Corpus, forgotten: Forgotten | None = None) -> tuple[TextSource, ...]:
    """One source for each of the corpus' addresses; rows of ids that were forgotten are not read."""
    passed_over = forgotten or Forgotten()
    return tuple(_source(corpus, canonical_uri(uri), passed_over) for uri in corpus.uris)


def files_of(sources: tuple[TextSource, ...], storage: Storage) -> list[tuple[int, TextFile]]:
    """The files of all sources, without those that were forgotten, each with its source's place.

    Raises:
        InputError: if an address names no file.
    """
    base = base_of(sources)
    return [
        (index, file)
        for index, source in enumerate(sources)
        # one that the config names by itself may be gone
        if not source.forgotten.has_file(source.uri, base)
        for file in list_files(source, storage)
        if not source.forgotten.has_file(file.uri, base)
    ]


def _source(corpus: Corpus, uri: str, forgotten: Forgotten) -> TextSource:
    lang = corpus.lang
    if isinstance(lang, LangFrom) and lang.path is not None:
        uri = uri.replace(f"{{{lang.path}}}", LANG)
    return TextSource(
        uri=uri,
        format=corpus.format,
        header=corpus.header,
        text=corpus.columns.text,
        id=corpus.columns.id,
        lang=lang if isinstance(lang, str) else None,
        lang_column=lang.column if isinstance(lang, LangFrom) else None,
        forgotten=forgotten,
    )


def base_of(sources: tuple[TextSource, ...]) -> str:
    """The folder, with its slash, that all files of all sources lie in.

    What is written names files relative to it, so that results do not depend on where a corpus lies;
    and since it is common to all sources, two files never look like one.
    """
    bases = [source.base for source in sources]
    common = os.path.commonprefix(bases)  # noqa: RUF071, since it is cut at a slash next
    return common[: common.rfind("/") + 1]


def settings_of(name: str, corpus: Corpus) -> PrepareSettings:
    """How rows of the corpus become segments."""
    langs = corpus.langs
    return PrepareSettings(
        corpus=name,
        segment=corpus.segment,
        min_chars=corpus.min_chars,
        max_chars=corpus.max_chars,
        langs=frozenset(canonical_language(c) or c for c in langs) if langs else None,
    )
