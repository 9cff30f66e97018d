"""Count a corpus, and write deterministic samples of it that a pilot can run on.

A row is in the sample of a fraction if the hash of its place is below it, so that a smaller sample is
part of every larger one; of each language some rows are always in. Recordings are taken whole, in the
order of the hash of their address.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from beam_jobs.forgotten import forgotten_of
from beam_jobs.stage import Run
from beam_jobs.stages.listing import Listing, list_recordings
from mining.config.model import Corpus, LangFrom
from mining.contract.languages import canonical_language
from mining.contract.schemas import SPEECH
from mining.io.local import local_file
from mining.text.corpus import files_of, sources_of
from mining.text.readers import read_batches

LEAST_ROWS = 20  # of a language in the largest sample
_HASH = 2.0**64

Row = tuple[str | None, str, str]  # id, language as it is written, text


@dataclass(frozen=True, kw_only=True)
class Counted:
    """What a corpus holds.

    Attributes:
        rows: by language, of a text corpus.
        chars: of all texts.
        audio_s: by language, of a speech corpus; as the files' headers state it.
        bytes_: by language, of a speech corpus' recordings.
        files: how many.
        read_cpu_s: processor seconds that reading the texts took; ``read_wall_s`` of the clock.
        unknown: rows whose language is none.
    """

    rows: Mapping[str, int] = field(default_factory=dict)
    chars: int = 0
    audio_s: Mapping[str, float] = field(default_factory=dict)
    bytes_: Mapping[str, int] = field(default_factory=dict)
    files: int = 0
    read_cpu_s: float = 0.0
    read_wall_s: float = 0.0
    unknown: int = 0


class Sample:
    """Rows of one fraction, and the rows of each language that are in whatever the fraction."""

    def __init__(self, fraction: float, least: int) -> None:
        self.fraction, self._least = fraction, least
        self._rows: list[tuple[float, Row]] = []
        self._lowest: dict[str, list[tuple[float, Row]]] = defaultdict(list)

    def add(self, place: float, row: Row) -> None:
        """Take a row if its hash is low enough, or among the lowest of its language."""
        if place < self.fraction:
            self._rows.append((place, row))
        lowest = self._lowest[row[1]]
        if len(lowest) < self._least:
            heapq.heappush(lowest, (-place, row))
        elif place < -lowest[0][0]:
            heapq.heapreplace(lowest, (-place, row))

    def rows(self) -> list[Row]:
        """In the order of their hashes."""
        always = ((-place, row) for lowest in self._lowest.values() for place, row in lowest)
        return [row for _, row in sorted({*self._rows, *always}, key=lambda one: one[0])]


def count_texts(run: Run, name: str, samples: Sequence[Sample] = ()) -> Counted:
    """Read a text corpus once: count its rows, and deal them into samples.

    Raises:
        InputError: if an address names no file, or a file cannot be read.
    """
    corpus = run.config.corpora[name]
    rows: Counter[str] = Counter()
    chars = files = unknown = 0
    wanted = None if corpus.langs is None else {canonical_language(code) for code in corpus.langs}
    spent = [0.0, 0.0]
    sources = sources_of(corpus, forgotten_of(run, name))
    for index, file in files_of(sources, run.storage):
        files += 1
        batches = _timed(read_batches(file, sources[index], run.storage), spent)
        for batch in batches:
            columns = (
                batch.rows.column(c).to_pylist() for c in ("row", "doc_id", "lang_raw", "text")
            )
            for number, doc_id, raw, text in zip(*columns, strict=True):
                lang = canonical_language(raw)
                if lang is None or (wanted is not None and lang not in wanted):
                    unknown += 1
                    continue
                rows[lang] += 1
                chars += len(text)
                if samples:
                    place = hash_of(f"{file.uri}#{number}")
                    for sample in samples:
                        sample.add(place, (doc_id, raw, text))
    return Counted(
        rows=dict(sorted(rows.items())), chars=chars, files=files, unknown=unknown,
        read_cpu_s=spent[0], read_wall_s=spent[1],
    )  # fmt: skip


def _timed(batches: Iterator[Any], spent: list[float]) -> Iterator[Any]:
    """The same batches; what they cost is added to ``spent`` (processor, clock)."""
    while True:
        cpu, wall = time.process_time(), time.monotonic()
        batch = next(batches, None)
        spent[0] += time.process_time() - cpu
        spent[1] += time.monotonic() - wall
        if batch is None:
            return
        yield batch


def hash_of(place: str) -> float:
    """A number from 0 to 1 that a place always has."""
    digest = hashlib.blake2b(place.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / _HASH


def listing_of(run: Run, name: str) -> Listing:
    """The recordings of a speech corpus."""
    forgotten = forgotten_of(run, name)
    return list_recordings(name, run.config.corpora[name], run.storage, forgotten=forgotten)


def count_recordings(run: Run, listing: Listing, *, seconds: bool) -> Counted:
    """Bytes of a corpus' recordings by language, and, if wanted, the seconds that they state."""
    audio_s: Counter[str] = Counter()
    bytes_: Counter[str] = Counter()
    for row in listing.recordings.to_pylist():
        bytes_[row["lang"]] += row["bytes"]
        if seconds:
            audio_s[row["lang"]] += stated_seconds(row["uri"], run)  # type: ignore[assignment]
    return Counted(
        audio_s=dict(sorted(audio_s.items())),
        bytes_=dict(sorted(bytes_.items())),
        files=listing.recordings.num_rows,
    )


def stated_seconds(uri: str, run: Run) -> float:
    """Length of a recording by its header; 0 where that is not known."""
    import soundfile

    with local_file(uri, run.storage) as path:
        try:
            return float(soundfile.info(path).duration)
        except soundfile.LibsndfileError:
            return 0.0


def take_recordings(listing: Listing, fraction: float, least: int) -> pa.Table:
    """Whole recordings: of each language that share of them, but at least ``least`` if there are."""
    by_lang: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for number, row in enumerate(listing.recordings.to_pylist()):
        by_lang[row["lang"]].append((hash_of(row["source_uri"]), number))
    taken: list[int] = []
    for ranked in by_lang.values():
        count = max(least, round(fraction * len(ranked)))
        taken += [number for _, number in sorted(ranked)[:count]]
    return listing.recordings.take(pa.array(sorted(taken), pa.int64()))


def write_texts(folder: Path, name: str, corpus: Corpus, rows: Sequence[Row]) -> dict[str, Any]:
    """Write a sample of texts; returns the corpus' settings over it."""
    path = folder / f"{name}.parquet"
    ids, langs, texts = zip(*rows, strict=True) if rows else ((), (), ())
    columns = {"lang": pa.array(langs, pa.string()), "text": pa.array(texts, pa.string())}
    named: dict[str, Any] = {"text": "text"}
    if corpus.columns.id is not None:
        columns["id"] = pa.array(ids, pa.string())
        named["id"] = "id"
    pq.write_table(pa.table(columns), path)
    return {"uri": str(path), "format": "parquet", "lang": {"column": "lang"}, "columns": named}


def write_recordings(folder: Path, name: str, corpus: Corpus, taken: pa.Table) -> dict[str, Any]:
    """Write a list of recordings; returns the corpus' settings over it."""
    path = folder / f"{name}.jsonl"
    has_ids = taken["doc_id"].null_count == 0
    lines = [
        _line(
            {"path": row["uri"], "lang": row["lang"]} | ({"id": row["doc_id"]} if has_ids else {})
        )
        for row in taken.to_pylist()
    ]
    path.write_text("".join(lines), encoding="utf-8")
    told = isinstance(corpus.lang, LangFrom) and corpus.lang.recognised
    named = {"audio": "path"} | ({"id": "id"} if has_ids else {})
    return {
        "modality": SPEECH,
        "uri": str(path),
        "format": "jsonl",
        "lang": {"recognised": True} if told else {"column": "lang"},
        "columns": named,
    }


def _line(value: Mapping[str, Any]) -> str:
    """One line of JSON."""
    return json.dumps(value, ensure_ascii=False) + "\n"
