"""Looks through every file of an output for what was forgotten."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from beam_jobs.forget.trace import FILE, ID, RECORDING, SEGMENT, TEXT, kept_uri
from beam_jobs.stage import Run
from mining.contract.errors import DatasetError
from mining.io.filesystem import list_glob, open_read, read_bytes
from mining.io.forgotten import EVERYWHERE
from mining.io.parquet import read_part
from mining.io.spill import read_spill

_CORPUS_KINDS = ("segments", "occurrences", "regions", "transcripts", "audio_frames", "embeddings")
_CORPUS_STAGES = ("prepare", "transcribe", "tokenize", "embed")
_COLUMNS = {
    **dict.fromkeys(("doc_id", "src_doc_id", "tgt_doc_id"), ID),
    **dict.fromkeys(("source_uri", "src_uri", "tgt_uri", "uri"), FILE),
    "recording_id": RECORDING,
    **dict.fromkeys(("segment_id", "query_id", "index_id"), SEGMENT),
    **dict.fromkeys(("src_segment_id", "tgt_segment_id"), SEGMENT),
    **dict.fromkeys(("text", "src_text", "tgt_text"), TEXT),
}
_LONG = 16  # characters from which a value means nothing else wherever it stands


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    """What may not be left, in one file.

    Attributes:
        by_kind: values by kind, for the columns that are of it.
        anywhere: values that mean nothing else wherever they stand.
    """

    by_kind: Mapping[str, pa.Array]
    anywhere: pa.Array = field(repr=False)


class Search:
    """Looks through the files of an output.

    Args:
        run: whose output.
        trace: of :func:`gather`.
        current: folders of the segments, occurrences, regions and transcripts that hold what others
            have of it: by kind, the corpora's.
    """

    def __init__(self, run: Run, trace: pa.Table, current: Mapping[str, Mapping[str, str]]) -> None:
        self._run = run
        self.shared = 0  # sentences that other documents hold, too
        self._by_corpus: dict[str, _Wanted] = {}
        self._trace = self._without_shared(trace, current)
        self._names_of_others = self._still_named(current)

    def files(self) -> int:
        """Look through all files.

        Returns:
            How many there are.

        Raises:
            DatasetError: naming the first that holds something.
        """
        own = kept_uri(self._run)
        uris = list_glob(self._run.output, self._run.storage, hidden=True)
        for uri in uris:
            if uri == own:
                continue
            if (where := self._found(uri)) is not None:
                raise DatasetError(
                    f"{uri}: must hold nothing of what was forgotten, but {where} does; if it is yours, "
                    "remove it, and run the same command again"
                )
        return len(uris)

    def _without_shared(
        self, trace: pa.Table, current: Mapping[str, Mapping[str, str]]
    ) -> pa.Table:
        """Without segments and texts that stand in another document, too: they are that one's."""
        theirs: dict[str, set[str]] = {SEGMENT: set(), TEXT: set()}
        values = {
            kind: trace["value"].filter(pc.equal(trace["kind"], kind)).combine_chunks()
            for kind in theirs
        }
        columns = {"segments": {SEGMENT: "segment_id", TEXT: "text"}, "transcripts": {TEXT: "text"}}
        for kind, looked_at in columns.items():
            for uri in (u for home in current[kind].values() for u in self._list(home)):
                table = read_part(uri, None, self._run.storage, columns=[*looked_at.values()])
                for of, column in looked_at.items():
                    same = pc.is_in(table[column], value_set=values[of])
                    theirs[of].update(table[column].filter(same).to_pylist())
        self.shared = len(theirs[SEGMENT])
        for kind, some in theirs.items():
            held = pc.is_in(trace["value"], value_set=pa.array(sorted(some), pa.string()))
            trace = trace.filter(pc.invert(pc.and_(pc.equal(trace["kind"], kind), held)))
        return trace

    def _list(self, folder: str) -> list[str]:
        return list_glob(folder, self._run.storage)

    def _still_named(self, current: Mapping[str, Mapping[str, str]]) -> pa.Array:
        """Names of documents, files and recordings of a corpus in which they were not forgotten."""
        columns = {
            "occurrences": {"doc_id": ID, "source_uri": FILE},
            "regions": {"recording_id": RECORDING},
        }
        found = set[str]()
        for of, kinds in columns.items():
            for corpus, folder in current[of].items():
                other = self._trace.filter(pc.not_equal(self._trace["corpus"], corpus))
                for column, kind in kinds.items():
                    values = other["value"].filter(pc.equal(other["kind"], kind)).combine_chunks()
                    for uri in self._list(folder) if len(values) else ():
                        table = read_part(uri, None, self._run.storage, columns=[column])
                        held = table[column].filter(pc.is_in(table[column], value_set=values))
                        found.update(held.to_pylist())
        return pa.array(sorted(found), pa.string())

    def _wanted(self, corpus: str) -> _Wanted:
        """For the files of one corpus, in which names mean what they mean in it; or of no single one."""
        if corpus not in self._by_corpus:
            trace = self._trace
            if corpus:
                own = pc.equal(trace["corpus"], corpus)
            else:
                own = pc.invert(pc.is_in(trace["value"], value_set=self._names_of_others))
            trace = trace.filter(pc.or_(pc.equal(trace["corpus"], EVERYWHERE), own))
            by_kind = {
                kind: trace["value"].filter(pc.equal(trace["kind"], kind)).combine_chunks()
                for kind in (ID, FILE, RECORDING, SEGMENT, TEXT)
            }
            long = pc.and_(
                pc.greater_equal(pc.utf8_length(trace["value"]), _LONG),
                pc.not_equal(trace["kind"], ID),
            )
            self._by_corpus[corpus] = _Wanted(
                by_kind=by_kind, anywhere=trace["value"].filter(long).combine_chunks()
            )
        return self._by_corpus[corpus]

    def _found(self, uri: str) -> str | None:
        """Where in a file something is; None: nowhere."""
        corpus = _corpus_of(uri.removeprefix(f"{self._run.output}/"))
        wanted = self._wanted(corpus)
        if uri.endswith(".parquet"):
            return self._in_columns(self._parquet_columns(uri), wanted)
        if uri.endswith(".arrow"):
            table = read_spill(uri, None, self._run.storage)
            return self._in_columns(
                ((n, table[n].combine_chunks()) for n in _texts(table.schema)), wanted
            )
        data = read_bytes(uri, self._run.storage)
        if uri.endswith((".json", ".yaml")):
            return _in_values(data, wanted)
        known = (value for value in wanted.anywhere.to_pylist() if value.encode() in data)
        return "its content" if next(known, None) is not None else None

    def _parquet_columns(self, uri: str) -> Iterator[tuple[str, pa.Array]]:
        """Distinct values of each column of text, of the dictionary pages and of the footer."""
        try:
            with open_read(uri, self._run.storage) as handle:
                names = _texts(pq.read_schema(handle))
                handle.seek(0)
                file = pq.ParquetFile(handle, read_dictionary=names)
                for group in range(file.num_row_groups):
                    table = file.read_row_group(group, columns=names)
                    for name in names:
                        for chunk in table[name].chunks:
                            yield name, chunk.dictionary
                        yield name, _ends(file.metadata.row_group(group), name)
        except (pa.ArrowException, OSError) as error:
            raise DatasetError(
                f"{uri}: must be a whole Parquet file, but is not ({error}); remove it"
            ) from None

    @staticmethod
    def _in_columns(columns: Iterable[tuple[str, pa.Array]], wanted: _Wanted) -> str | None:
        for name, values in columns:
            if name == "row_id":
                values = pc.replace_substring_regex(values, pattern="#[^#]*$", replacement="")
            kinds = [_COLUMNS[name]] if name in _COLUMNS else []
            kinds += [FILE] * (name == "row_id") + [ID] * (name == "detail")
            sets = [wanted.anywhere, *(wanted.by_kind[kind] for kind in kinds)]
            if any(pc.any(pc.is_in(values, value_set=some)).as_py() for some in sets):
                return f"its column {name}"
            if name == "detail" and _holds_part(values, wanted):
                return f"its column {name}"
        return None


def _holds_part(details: pa.Array, wanted: _Wanted) -> bool:
    """Whether a sentence about a reject names a file."""
    names = [one for one in wanted.by_kind[FILE].to_pylist() if len(one) >= _LONG]
    return any(name in detail for detail in details.drop_null().to_pylist() for name in names)


def _texts(schema: pa.Schema) -> list[str]:
    return [field.name for field in schema if pa.types.is_string(field.type)]


def _ends(group: Any, name: str) -> pa.Array:
    """Least and greatest value that the footer tells of a column."""
    columns = (group.column(number) for number in range(group.num_columns))
    told = [one.statistics for one in columns if one.path_in_schema == name]
    ends = [
        end for one in told if one is not None and one.has_min_max for end in (one.min, one.max)
    ]
    return pa.array(ends, pa.string())


def _corpus_of(path: str) -> str:
    """The corpus that a file of the output belongs to; empty: to none, or to a task."""
    parts = path.split("/")
    if len(parts) > 2 and parts[0] in _CORPUS_KINDS:
        return parts[1]
    if len(parts) > 3 and parts[0] in ("rejects", "_state") and parts[1] in _CORPUS_STAGES:
        return parts[2]
    return ""


def _in_values(data: bytes, wanted: _Wanted) -> str | None:
    """JSON or YAML: keys and texts that are exactly something."""
    leaves = set(_leaves(_parsed(data), in_list=False))
    found = pa.array(sorted({leaf for leaf, _ in leaves}), pa.string())
    listed = pa.array(sorted({leaf for leaf, in_list in leaves if in_list}), pa.string())
    # bare words may be anything here: names of languages, models, corpora
    files, ids = wanted.by_kind[FILE], wanted.by_kind[ID]
    sets = [
        (found, wanted.anywhere),
        (found, files.filter(pc.match_substring_regex(files, "[./]"))),
        (listed, ids.filter(pc.match_substring_regex(ids, "[0-9]"))),
    ]
    held = any(pc.any(pc.is_in(some, value_set=values)).as_py() for some, values in sets)
    return "a value" if held else None


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return yaml.safe_load(data)


def _leaves(value: Any, *, in_list: bool) -> Iterator[tuple[str, bool]]:
    """Every text, and whether it stands in a list."""
    if isinstance(value, str):
        yield value, in_list
    elif isinstance(value, Mapping):
        yield from ((str(key), False) for key in value)
        for one in value.values():
            yield from _leaves(one, in_list=False)
    elif isinstance(value, list):
        for one in value:
            yield from _leaves(one, in_list=True)
