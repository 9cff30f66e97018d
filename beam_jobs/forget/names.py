"""What a name that is to be forgotten stands for in each corpus: documents, files, recordings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.stage import Run
from beam_jobs.stages.listing import audio_base, list_recordings
from mining.config.model import Corpus
from mining.contract.errors import InputError
from mining.contract.schemas import SPEECH
from mining.contract.uris import absolute, canonical_uri
from mining.io.filesystem import Storage, exists, list_glob, size
from mining.io.forgotten import Forgotten
from mining.io.local import file_digest, local_file
from mining.io.parquet import read_part
from mining.text.corpus import base_of, files_of, sources_of
from mining.text.readers import read_batches


@dataclass(frozen=True, kw_only=True)
class Names:
    """What is to be forgotten of one corpus, in the clear.

    Attributes:
        ids: values of ``columns.id``.
        files: addresses of files and recordings below the corpus' base.
        addresses: the same in full.
        recordings: ids of recordings.
    """

    ids: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()
    addresses: frozenset[str] = frozenset()
    recordings: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return any(getattr(self, f.name) for f in fields(self))

    def digested(self) -> Forgotten:
        """What the list keeps."""
        files = self.files | self.addresses
        return Forgotten.of(ids=self.ids, files=files, recordings=self.recordings)

    def __or__(self, other: Names) -> Names:
        return Names(
            **{f.name: getattr(self, f.name) | getattr(other, f.name) for f in fields(self)}
        )

    def said(self) -> str:
        """What it is, in one line; the names themselves are the user's to know."""
        counts = {"documents": self.ids, "files": self.files, "recordings": self.recordings}
        return ", ".join(f"{what} {len(some)}" for what, some in counts.items() if some)


@dataclass(frozen=True, kw_only=True)
class Found:
    """What some names stand for in a corpus.

    Attributes:
        names: all of it.
        known: those that stand for something.
    """

    names: Names
    known: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """Names that somebody gave.

    Attributes:
        ids: as they are.
        forms: how each might be spelled as an address below the corpus' base.
    """

    ids: frozenset[str]
    forms: Mapping[str, frozenset[str]]

    @cached_property
    def files(self) -> frozenset[str]:
        """All spellings."""
        return frozenset().union(*self.forms.values())

    def known(self, ids: frozenset[str], files: frozenset[str]) -> frozenset[str]:
        """Names that stand for one of some ids or files."""
        return frozenset(n for n, forms in self.forms.items() if n in ids or forms & files)


def rows_of(
    run: Run,
    kind: str,
    corpus: str,
    columns: Sequence[str],
    wanted: Callable[[pa.Table], pa.Array | pa.ChunkedArray],
) -> pa.Table | None:
    """Rows of all datasets of a kind and corpus, finished or not, whatever made them.

    Args:
        run: whose output.
        kind: segments, occurrences, regions, transcripts or rejects/prepare.
        corpus: whose.
        columns: the wanted ones, and those that ``wanted`` looks at.
        wanted: mask of the wanted rows of a table.

    Returns:
        None if there is no such dataset.
    """
    parts = [
        uri for uri in list_glob(run.dataset(kind, corpus), run.storage) if uri.endswith(".parquet")
    ]
    tables = [
        read_part(
            uri, None, run.storage, columns=columns, keep=lambda table: table.filter(wanted(table))
        ).replace_schema_metadata()
        for uri in parts
    ]
    return pa.concat_tables(tables) if tables else None


def is_any(table: pa.Table, **values: frozenset[str]) -> pa.ChunkedArray:
    """Mask of the rows where one of the columns has one of its values."""
    found = pa.chunked_array([pa.repeat(pa.scalar(False), table.num_rows)])
    for column, some in values.items():
        known = pc.is_in(table[column], value_set=pa.array(sorted(some), pa.string()))
        found = pc.or_(found, known)
    return found


def find_names(run: Run, corpus: str, wanted: Sequence[str]) -> Found:
    """What names stand for in a corpus: in what was made of it, and in its files as they are.

    Documents are looked for in what was made only: :func:`find_documents` reads the corpus for them.

    Args:
        run: whose output and config.
        corpus: its name; one that the config has no more is known by its results only.
        wanted: names.
    """
    told = run.config.corpora.get(corpus)
    base = "" if told is None else _base_of(told)
    asked = _Asked(ids=frozenset(wanted), forms={name: _spellings(name, base) for name in wanted})
    if told is not None and told.modality == SPEECH:
        return _in_speech(run, corpus, told, base, asked)
    return _in_text(run, corpus, told, base, asked)


def find_recordings(
    run: Run, corpus: str, ids: Sequence[str], addresses: Sequence[str], say: Callable[[str], None]
) -> Names:
    """What a corpus holds of recordings that were found by another name, or in another corpus.

    Args:
        run: whose output and config.
        corpus: its name.
        ids: of the recordings.
        addresses: of their files, as far as they are known.
        say: told what takes long.
    """
    told = run.config.corpora.get(corpus)
    if told is None or told.modality != SPEECH:
        return Names()
    found = find_names(run, corpus, ids).names
    return found | _unheard_copies(run, corpus, told, frozenset(ids), addresses, say)


def _unheard_copies(
    run: Run,
    corpus: str,
    told: Corpus,
    ids: frozenset[str],
    addresses: Sequence[str],
    say: Callable[[str], None],
) -> Names:
    """Copies in which no speech was found: rejects tell their names, and only their bytes the id."""
    refused = rows_of(
        run, "rejects/prepare", corpus, ["row_id"], lambda table: table["row_id"].is_valid()
    )
    names = frozenset() if refused is None else frozenset(_uris(refused).to_pylist())
    there = [uri for uri in addresses if exists(uri, run.storage)]
    sizes = {size(uri, run.storage) for uri in there}  # so that few files need to be read
    maybe = [
        row
        for row in _listed(corpus, told, run.storage)
        if row["source_uri"] in names and (not sizes or row["bytes"] in sizes)
    ]
    if maybe and not sizes:
        say(
            f"{corpus}: reads {len(maybe)} recordings in which nothing was heard, since what is to be "
            "forgotten is gone, and one of them may be a copy"
        )
    found = {
        row["source_uri"]: recording
        for row in maybe
        for recording in _contents(frozenset([row["uri"]]), run.storage)
        if recording in ids
    }
    files = frozenset(found)
    return Names(
        files=files,
        addresses=_full(audio_base(told), files),
        recordings=frozenset(found.values()),
    )


def find_documents(run: Run, corpus: str, wanted: Sequence[str]) -> Found:
    """Documents of which the output knows nothing: those in the files of a text corpus.

    All of it is read, until every name is found.

    Raises:
        InputError: if a file cannot be read.
    """
    told = run.config.corpora.get(corpus)
    left, found = set(wanted), set[str]()
    if told is not None and told.modality != SPEECH and told.columns.id is not None:
        sources = sources_of(told)
        for index, file in files_of(sources, run.storage):
            for batch in read_batches(file, sources[index], run.storage):
                found |= left.intersection(batch.rows.column("doc_id").to_pylist())
                left -= found
            if not left:
                break
    return Found(names=Names(ids=frozenset(found)), known=frozenset(found))


def _base_of(corpus: Corpus) -> str:
    if corpus.modality == SPEECH:
        return audio_base(corpus)
    return absolute(base_of(sources_of(corpus)) or ".").rstrip("/") + "/"


def _spellings(name: str, base: str) -> frozenset[str]:
    """A name as an address below the base."""
    full = absolute(canonical_uri(name))
    return frozenset((name, canonical_uri(name).removeprefix(base), full.removeprefix(base)))


def _full(base: str, files: frozenset[str]) -> frozenset[str]:
    return frozenset(
        one if one.startswith("/") or "://" in one else f"{base}{one}" for one in files
    )


def _strings(table: pa.Table | None, column: str) -> frozenset[str]:
    return frozenset() if table is None else frozenset(table[column].drop_null().to_pylist())


def _in_text(run: Run, corpus: str, told: Corpus | None, base: str, asked: _Asked) -> Found:
    places = rows_of(
        run, "occurrences", corpus, ["source_uri", "doc_id"],
        lambda table: is_any(table, source_uri=asked.files, doc_id=asked.ids),
    )  # fmt: skip
    files = _strings(places, "source_uri") & asked.files
    files |= _in_rejects(run, corpus, asked.files)
    documents = _strings(places, "doc_id") & asked.ids
    if told is None or told.columns.id is not None:
        # of a document that was refused as a whole
        refused = rows_of(
            run, "rejects/prepare", corpus, ["detail"],
            lambda table: is_any(table, detail=asked.ids),
        )  # fmt: skip
        documents |= _strings(refused, "detail")
    if told is not None:
        with suppress(InputError):  # files that are gone already
            listed = {absolute(file.uri) for _, file in files_of(sources_of(told), run.storage)}
            files |= {one for one in asked.files if f"{base}{one}" in listed or one in listed}
    names = Names(ids=documents, files=files, addresses=_full(base, files))
    return Found(names=names, known=asked.known(documents, files))


def _in_rejects(run: Run, corpus: str, spelled: frozenset[str]) -> frozenset[str]:
    """Files of which everything was refused."""

    def of_them(table: pa.Table) -> pa.ChunkedArray:
        return is_any(table.append_column("uri", _uris(table)), uri=spelled)

    found = rows_of(run, "rejects/prepare", corpus, ["row_id"], of_them)
    return frozenset() if found is None else frozenset(_uris(found).to_pylist()) & spelled


def _uris(rejects: pa.Table) -> pa.ChunkedArray:
    """What stands before the ``#`` of a row id."""
    return pc.replace_substring_regex(rejects["row_id"], pattern="#[^#]*$", replacement="")


def _in_speech(run: Run, corpus: str, told: Corpus, base: str, asked: _Asked) -> Found:
    """Recordings by name, id or content: under all their names, since a copy is the same recording."""
    places = rows_of(
        run, "occurrences", corpus, ["segment_id", "source_uri", "doc_id"],
        lambda table: is_any(table, source_uri=asked.files, doc_id=asked.ids),
    )  # fmt: skip
    files = _strings(places, "source_uri") | _in_rejects(run, corpus, asked.files)
    documents = _strings(places, "doc_id") & asked.ids
    for row in _listed(corpus, told, run.storage):
        if row["source_uri"] in asked.files or row["doc_id"] in asked.ids:
            files |= {row["source_uri"]}
            documents |= asked.ids & {row["doc_id"]}
    heard = _strings(places, "segment_id")
    segments = rows_of(
        run, "segments", corpus, ["segment_id", "recording_id"],
        lambda table: is_any(table, segment_id=heard, recording_id=asked.ids),
    )  # fmt: skip
    regions = rows_of(
        run, "regions", corpus, ["recording_id", "source_uri"],
        lambda table: is_any(table, source_uri=files, recording_id=asked.ids),
    )  # fmt: skip
    recordings = _strings(segments, "recording_id") | _strings(regions, "recording_id")
    recordings |= frozenset(_contents(_full(base, files), run.storage))
    known = asked.known(documents | recordings, files)
    files |= _other_names(run, corpus, recordings)
    addresses = _full(base, files)
    names = Names(ids=documents, files=files, addresses=addresses, recordings=recordings)
    return Found(names=names, known=known)


def _listed(corpus: str, told: Corpus, storage: Storage) -> list[dict[str, Any]]:
    with suppress(InputError):  # lists or recordings that are gone already
        rows: list[dict[str, Any]] = list_recordings(corpus, told, storage).recordings.to_pylist()
        return rows
    return []


def _contents(addresses: frozenset[str], storage: Storage) -> Iterator[str]:
    """Ids of the recordings that are there: of one without speech nothing else tells it."""
    for uri in addresses:
        if exists(uri, storage):
            with local_file(uri, storage) as path:
                yield file_digest(path)


def _other_names(run: Run, corpus: str, recordings: frozenset[str]) -> frozenset[str]:
    """All names that recordings were heard under."""
    columns = ["segment_id", "recording_id", "source_uri"]
    segments = rows_of(
        run, "segments", corpus, columns, lambda table: is_any(table, recording_id=recordings)
    )
    regions = rows_of(
        run, "regions", corpus, columns[1:], lambda table: is_any(table, recording_id=recordings)
    )
    ids = _strings(segments, "segment_id")
    places = rows_of(
        run, "occurrences", corpus, ["segment_id", "source_uri"],
        lambda table: is_any(table, segment_id=ids),
    )  # fmt: skip
    return _strings(regions, "source_uri") | _strings(places, "source_uri")
