"""What would betray something forgotten: gathered before it is gone, looked for afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.forget.names import Names, is_any, rows_of
from beam_jobs.stage import Run
from mining.io.filesystem import exists, remove
from mining.io.forgotten import EVERYWHERE
from mining.io.parquet import read_part, write_table

ID, FILE, RECORDING, SEGMENT, TEXT = "id", "file", "recording", "segment", "text"
# While something is forgotten, so that who is killed can go on; removed when all of it is gone.
_KEPT = "forgetting.parquet"
_TRACE = pa.schema([(name, pa.string()) for name in ("kind", "value", "corpus")])


def kept_uri(run: Run) -> str:
    """Where it is kept meanwhile."""
    return run.state(_KEPT)


def gather(run: Run, names: Mapping[str, Names], *, everywhere: bool) -> pa.Table:
    """Add to what is kept whatever the output holds of some names: their segments and texts, too.

    Args:
        run: whose output.
        names: by corpus.
        everywhere: whether recordings, segments and texts may not be left in other corpora either.

    Returns:
        Columns kind, value and corpus, which may be :data:`~mining.io.forgotten.EVERYWHERE`.
    """
    uri, tables = kept_uri(run), [_TRACE.empty_table()]
    if exists(uri, run.storage):
        tables.append(read_part(uri, None, run.storage))
    for corpus, one in names.items():
        found = [*_of_corpus(run, corpus, one)]
        tables += found
        if everywhere:
            tables += [_everywhere(table) for table in found]
    trace = pa.concat_tables(tables).group_by(_TRACE.names, use_threads=False).aggregate([])
    write_table(uri, trace, run.storage)
    return trace


def discard(run: Run) -> None:
    """Remove what was kept."""
    remove(kept_uri(run), run.storage)


def _of_corpus(run: Run, corpus: str, names: Names) -> Iterator[pa.Table]:
    yield _traces(ID, names.ids, corpus)
    yield _traces(FILE, names.files | names.addresses, corpus)
    yield _traces(RECORDING, names.recordings, corpus)
    places = rows_of(
        run, "occurrences", corpus, ["segment_id", "source_uri", "doc_id"],
        lambda table: is_any(table, source_uri=names.files, doc_id=names.ids),
    )  # fmt: skip
    found = frozenset() if places is None else frozenset(places["segment_id"].to_pylist())
    segments = rows_of(
        run, "segments", corpus, ["segment_id", "recording_id", "text"],
        lambda table: is_any(table, segment_id=found, recording_id=names.recordings),
    )  # fmt: skip
    heard = rows_of(
        run, "transcripts", corpus, ["recording_id", "text"],
        lambda table: is_any(table, recording_id=names.recordings),
    )  # fmt: skip
    yield _traces(SEGMENT, found, corpus)
    if segments is not None:
        yield _traces(SEGMENT, segments["segment_id"].unique().to_pylist(), corpus)
    for table in (segments, heard):
        if table is not None:
            yield _traces(TEXT, table["text"].drop_null().unique().to_pylist(), corpus)


def _everywhere(table: pa.Table) -> pa.Table:
    """The traces that mean the same in every corpus."""
    same = table.filter(pc.is_in(table["kind"], value_set=pa.array([RECORDING, SEGMENT, TEXT])))
    corpora = pa.array([EVERYWHERE] * same.num_rows, pa.string())
    return same.set_column(_TRACE.get_field_index("corpus"), "corpus", corpora)


def _traces(kind: str, values: Iterable[str], corpus: str) -> pa.Table:
    some = sorted(set(values) - {""})
    return pa.table([[kind] * len(some), some, [corpus] * len(some)], schema=_TRACE)
