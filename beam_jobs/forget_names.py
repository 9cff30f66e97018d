"""What a name that is to be forgotten stands for in each corpus: documents, files, recordings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields

import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.listing import audio_base, list_recordings
from beam_jobs.stage import Run
from mining.config.model import Corpus
from mining.contract.errors import InputError
from mining.contract.schemas import SPEECH
from mining.contract.uris import absolute, canonical_uri
from mining.io.filesystem import Storage, exists, list_glob
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

    def said(self) -> str:
        """What it is, in one line; the names themselves are the user's to know."""
        counts = {"documents": self.ids, "files": self.files, "recordings": self.recordings}
        return ", ".join(f"{what} {len(some)}" for what, some in counts.items() if some)


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


def find_names(run: Run, corpus: str, wanted: Sequence[str]) -> dict[str, Names]:
    """What each name stands for in a corpus: in what was made of it, and in its files as they are.

    Documents are looked for in the corpus' files only where nothing else knows a name, since all of
    it is read for them.

    Args:
        run: whose output and config.
        corpus: its name; one that the config has no more is known by its results only.
        wanted: names.

    Returns:
        By name; without those that are not found.
    """
    told = run.config.corpora.get(corpus)
    base = _base_of(told) if told is not None else ""
    is_speech = told is not None and told.modality == SPEECH
    find = _in_speech if is_speech else _in_text
    found = {name: find(run, corpus, told, base, name) for name in wanted}
    return {name: names for name, names in found.items() if names}


def find_documents(run: Run, corpus: str, wanted: Sequence[str]) -> dict[str, Names]:
    """Documents of which the output knows nothing: those in the files of a text corpus.

    Raises:
        InputError: if a file cannot be read.
    """
    told = run.config.corpora.get(corpus)
    if told is None or told.modality == SPEECH or told.columns.id is None:
        return {}
    left, found = set(wanted), {}
    sources = sources_of(told)
    for index, file in files_of(sources, run.storage):
        for batch in read_batches(file, sources[index], run.storage):
            for name in left.intersection(batch.rows.column("doc_id").to_pylist()):
                found[name] = Names(ids=frozenset([name]))
            left -= set(found)
            if not left:
                return found
    return found


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


def _in_text(run: Run, corpus: str, told: Corpus | None, base: str, name: str) -> Names:
    spelled, ids = _spellings(name, base), frozenset([name])
    places = rows_of(
        run, "occurrences", corpus, ["source_uri", "doc_id"],
        lambda table: is_any(table, source_uri=spelled, doc_id=ids),
    )  # fmt: skip
    files = _strings(places, "source_uri") & spelled | _in_rejects(run, corpus, spelled)
    documents = _strings(places, "doc_id") & ids
    if not documents:
        refused = rows_of(
            run, "rejects/prepare", corpus, ["detail"], lambda table: is_any(table, detail=ids)
        )
        documents = _strings(refused, "detail") & ids if _has_ids(told) else documents
    if told is not None:
        with suppress(InputError):  # files that are gone already
            listed = {absolute(file.uri) for _, file in files_of(sources_of(told), run.storage)}
            files |= {one for one in spelled if f"{base}{one}" in listed or one in listed}
    return Names(ids=documents, files=files, addresses=_full(base, files))


def _has_ids(told: Corpus | None) -> bool:
    return told is None or told.columns.id is not None


def _in_rejects(run: Run, corpus: str, spelled: frozenset[str]) -> frozenset[str]:
    """Files of which everything was refused."""

    def of_them(table: pa.Table) -> pa.ChunkedArray:
        return is_any(table.append_column("uri", _uris(table)), uri=spelled)

    found = rows_of(run, "rejects/prepare", corpus, ["row_id"], of_them)
    return frozenset() if found is None else frozenset(_uris(found).to_pylist()) & spelled


def _uris(rejects: pa.Table) -> pa.ChunkedArray:
    """What stands before the ``#`` of a row id."""
    return pc.replace_substring_regex(rejects["row_id"], pattern="#[^#]*$", replacement="")


def _in_speech(run: Run, corpus: str, told: Corpus | None, base: str, name: str) -> Names:
    """A recording by name, id or content: all its names, since a copy is the same recording."""
    assert told is not None
    spelled, ids = _spellings(name, base), frozenset([name])
    places = rows_of(
        run, "occurrences", corpus, ["segment_id", "source_uri", "doc_id"],
        lambda table: is_any(table, source_uri=spelled, doc_id=ids),
    )  # fmt: skip
    files = _strings(places, "source_uri") | _in_rejects(run, corpus, spelled)
    documents = _strings(places, "doc_id") & ids
    for row in _listed(corpus, told, run.storage):
        if row["source_uri"] in spelled or row["doc_id"] == name:
            files |= {row["source_uri"]}
            documents |= {name} & {row["doc_id"]}
    heard = _strings(places, "segment_id")
    segments = rows_of(
        run, "segments", corpus, ["segment_id", "recording_id"],
        lambda table: is_any(table, segment_id=heard, recording_id=ids),
    )  # fmt: skip
    regions = rows_of(
        run, "regions", corpus, ["recording_id", "source_uri"],
        lambda table: is_any(table, source_uri=files, recording_id=ids),
    )  # fmt: skip
    recordings = _strings(segments, "recording_id") | _strings(regions, "recording_id")
    recordings |= frozenset(_contents(_full(base, files), run.storage))
    files |= _other_names(run, corpus, recordings)
    return Names(ids=documents, files=files, addresses=_full(base, files), recordings=recordings)


def _listed(corpus: str, told: Corpus, storage: Storage) -> list[dict[str, str]]:
    with suppress(InputError):  # lists or recordings that are gone already
        rows: list[dict[str, str]] = list_recordings(corpus, told, storage).recordings.to_pylist()
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
