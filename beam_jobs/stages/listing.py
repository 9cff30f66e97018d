"""Which recordings a speech corpus holds: files that a pattern names, or rows of lists.

A list is read like a table of text whose text is an address.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from mining.config.model import Corpus, LangFrom
from mining.contract.errors import ConfigError, InputError
from mining.contract.languages import canonical_language
from mining.contract.schemas import REJECT
from mining.contract.uris import absolute, canonical_uri
from mining.io.filesystem import Storage, size, version
from mining.io.forgotten import Forgotten
from mining.text import TextFile, TextSource, list_files, read_batches
from mining.text.corpus import base_of
from mining.text.source import LANG

UNDETERMINED = "und"  # ISO 639-3: the language is still to be recognised

LISTED = pa.schema(
    [
        pa.field("uri", pa.string(), nullable=False),
        pa.field("source_uri", pa.string(), nullable=False),  # below the corpus' base
        pa.field("row", pa.int64(), nullable=False),  # in its list; 0 without one
        pa.field("lang", pa.string(), nullable=False),
        pa.field("doc_id", pa.string()),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("version", pa.string(), nullable=False),
    ]
)

# In a folder that is named without a pattern, other files are no recordings.
_SUFFIXES = frozenset(
    (
        ".3gp", ".aac", ".ac3", ".aif", ".aiff", ".amr", ".au", ".caf", ".flac", ".m4a", ".m4b", ".mka",
        ".mkv", ".mov", ".mp2", ".mp3", ".mp4", ".mpga", ".oga", ".ogg", ".opus", ".snd", ".w64", ".wav",
        ".weba", ".webm", ".wma",
    )
)  # fmt: skip
_LISTS = ("lines", "tsv", "csv", "jsonl", "parquet", "common_voice")
_CLIPS = "clips/"  # beside the tables of a Common Voice release


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What a corpus holds, before any of it is opened.

    Attributes:
        recordings: schema :data:`LISTED`, in the order of the corpus' addresses.
        rejects: schema REJECT: rows of lists that name no recording.
    """

    recordings: pa.Table
    rejects: pa.Table


@dataclass(frozen=True)
class _Row:
    """A recording as a list or a pattern names it."""

    uri: str
    row: int
    lang_raw: str
    doc_id: str | None
    place: str  # for a reject's row id
    told: bool  # whether the recogniser is to say the language


def audio_base(corpus: Corpus) -> str:
    """The folder, with its slash, that ``source_uri`` of the corpus' recordings is relative to."""
    if corpus.audio_root is not None:
        return absolute(canonical_uri(corpus.audio_root)).rstrip("/") + "/"
    return _lists_base(corpus)


def _lists_base(corpus: Corpus) -> str:
    return absolute(base_of(_sources(corpus)) or ".").rstrip("/") + "/"


def audio_uri(base: str, source_uri: str) -> str:
    """Where a recording is: what :func:`audio_base` was taken from is put back."""
    is_absolute = source_uri.startswith("/") or "://" in source_uri
    return source_uri if is_absolute else base + source_uri


def list_recordings(
    name: str,
    corpus: Corpus,
    storage: Storage,
    *,
    unique_ids: bool = False,
    forgotten: Forgotten = Forgotten(),  # noqa: B008 - frozen
) -> Listing:
    """List a speech corpus.

    Rejects: what the readers of tables refuse, ``missing_audio`` (a list names a file that is not
    there), ``unknown_language``, ``unwanted_language``, and ``duplicate_id`` (the id stands for
    another file already).

    Args:
        name: of the corpus, for messages.
        corpus: of modality speech.
        storage: fsspec options.
        unique_ids: whether an id may stand in one language only, since vectors are looked up by it.
        forgotten: passed over, as if the corpus did not hold it.

    Raises:
        InputError: if an address names no file, or a list cannot be read.
        ConfigError: if a recording is named by two addresses.
    """
    base, wanted = audio_base(corpus), _wanted(corpus)
    refused: list[tuple[str, str, str]] = []
    found: list[dict[str, object]] = []
    owners: dict[tuple[str, str], str] = {}
    langs: dict[str, str] = {}
    for row in _rows(corpus, storage, refused, forgotten):
        if forgotten.has_file(row.uri, base):
            continue
        reason = _refusal(row, wanted)
        if reason is None:
            try:
                stamp = {"bytes": size(row.uri, storage), "version": version(row.uri, storage)}
            except InputError as error:
                reason = ("missing_audio", str(error))
            else:
                reason = _id_taken(row, owners, unique_ids)
        if reason is not None:
            refused.append((row.place, *reason))
            continue
        lang = canonical_language(row.lang_raw) or UNDETERMINED
        if langs.setdefault(row.uri, lang) != lang:
            other = f"{row.uri} stands in {langs[row.uri]} already"
            refused.append((row.place, "duplicate_id", other))
            continue
        found.append(
            {
                "uri": row.uri,
                "source_uri": row.uri.removeprefix(base),
                "row": row.row,
                "lang": lang,
                "doc_id": row.doc_id,
                **stamp,
            }
        )
    _refuse_repeated(name, corpus, found)
    lists = _lists_base(corpus)
    rows = [
        (place.removeprefix(base).removeprefix(lists), "prepare", *why) for place, *why in refused
    ]
    columns = zip(*rows, strict=True) if rows else [()] * 4
    rejects = [pa.array(values, pa.string()) for values in columns]
    return Listing(
        recordings=pa.Table.from_pylist(found, schema=LISTED),
        rejects=pa.table(rejects, schema=REJECT),
    )


def _refusal(row: _Row, wanted: frozenset[str] | None) -> tuple[str, str] | None:
    """Reason and detail of a row that is refused before its file is looked at."""
    lang = canonical_language(row.lang_raw)
    if lang is None or (lang == UNDETERMINED and not row.told):
        return "unknown_language", row.lang_raw
    if wanted is not None and lang not in wanted and lang != UNDETERMINED:
        return "unwanted_language", row.lang_raw
    return None


def _id_taken(
    row: _Row, owners: dict[tuple[str, str], str], unique_ids: bool
) -> tuple[str, str] | None:
    """Reason and detail if another file has the id; the first that is there owns it."""
    if row.doc_id is None:
        return None
    # the two sides of a parallel corpus may share their ids
    lang = "" if unique_ids else canonical_language(row.lang_raw) or UNDETERMINED
    owner = owners.setdefault((row.doc_id, lang), row.uri)
    return None if owner == row.uri else ("duplicate_id", row.doc_id)


def is_told(corpus: Corpus) -> bool:
    """Whether the recogniser is to say the recordings' language."""
    return isinstance(corpus.lang, LangFrom) and corpus.lang.recognised


def _wanted(corpus: Corpus) -> frozenset[str] | None:
    if corpus.langs is None:
        return None
    return frozenset(canonical_language(code) or code for code in corpus.langs)


def _refuse_repeated(name: str, corpus: Corpus, found: Sequence[dict[str, object]]) -> None:
    """A list may name a file twice; two patterns that do are a slip."""
    if corpus.format in _LISTS:
        return
    seen: set[object] = set()
    for row in found:
        if row["uri"] in seen:
            raise ConfigError(
                f"corpora.{name}.uri: must not hold {row['uri']} twice: two of its addresses name it"
            )
        seen.add(row["uri"])


def _rows(
    corpus: Corpus,
    storage: Storage,
    refused: list[tuple[str, str, str]],
    forgotten: Forgotten,
) -> Iterator[_Row]:
    base = audio_base(corpus)
    for source in _sources(corpus, forgotten):
        if forgotten.has_file(source.uri, base):
            continue  # it may be gone from where the config names it
        files = list_files(source, storage)
        if corpus.format in _LISTS:
            for file in files:
                yield from _listed(file, source, corpus, storage, refused)
            continue
        for file in _recordings(source, files):
            uri = absolute(file.uri)
            yield _Row(uri, 0, file.lang or "", None, f"{uri}#0", is_told(corpus))


def _recordings(source: TextSource, files: Sequence[TextFile]) -> list[TextFile]:
    """All files of a pattern; of a folder, those that are called like recordings.

    Raises:
        InputError: if there is none.
    """
    if any(sign in source.uri for sign in ("*", "?", "[")):
        return list(files)
    found = [
        file
        for file in files
        if file.uri == source.uri or os.path.splitext(file.uri)[1].lower() in _SUFFIXES
    ]
    if not found:
        raise InputError(
            f"{source.uri}: must hold at least one recording, but none of its {len(files)} files is "
            "called like one; if they are, name them with a pattern such as *"
        )
    return found


def _listed(
    file: TextFile,
    source: TextSource,
    corpus: Corpus,
    storage: Storage,
    refused: list[tuple[str, str, str]],
) -> Iterator[_Row]:
    """The recordings that one list names."""
    root = canonical_uri(corpus.audio_root or os.path.dirname(file.uri) or ".").rstrip("/") + "/"
    if corpus.format == "common_voice" and corpus.audio_root is None:
        root += _CLIPS
    for batch in read_batches(file, source, storage):
        for reject in batch.rejects.to_pylist():
            place = absolute(reject["row_id"])
            refused.append((place, reject["reason"], reject["detail"] or ""))
        for row in batch.rows.to_pylist():
            address = row["text"].strip()
            is_comment = file.format == "lines" and (not address or address.startswith("#"))
            if is_comment:  # of an .m3u playlist
                continue
            place = f"{absolute(file.uri)}#{row['row']}"
            if not address:
                refused.append((place, "missing_value", "audio is missing"))
                continue
            is_absolute = address.startswith(("/", "~")) or "://" in address
            if "\0" in address:
                refused.append((place, "missing_audio", "its address holds a null character"))
                continue
            uri = absolute(canonical_uri(address if is_absolute else root + address))
            yield _Row(uri, row["row"], row["lang_raw"], row["doc_id"], place, is_told(corpus))


def _sources(corpus: Corpus, forgotten: Forgotten | None = None) -> tuple[TextSource, ...]:
    found = (_source(corpus, canonical_uri(uri)) for uri in corpus.uris)
    return tuple(replace(source, forgotten=forgotten or Forgotten()) for source in found)


def _source(corpus: Corpus, uri: str) -> TextSource:
    lang = corpus.lang
    if isinstance(lang, LangFrom) and lang.path is not None:
        uri = uri.replace(f"{{{lang.path}}}", LANG)
    code = lang if isinstance(lang, str) else None
    if is_told(corpus):
        code = UNDETERMINED
    is_list = corpus.format in _LISTS
    return TextSource(
        uri=uri,
        format="tsv" if corpus.format == "common_voice" else corpus.format if is_list else "lines",
        header=corpus.header,
        # releases differ in whether rows are quoted; the columns read here never need it
        quoting=False if corpus.format == "common_voice" else None,
        text=corpus.columns.audio if is_list else "text",
        id=corpus.columns.id if is_list else None,
        lang=code,
        lang_column=lang.column if isinstance(lang, LangFrom) else None,
    )
