"""Stage pairs: margin scores and selection for each language pair, joined with its texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.stage import Stage, Unit, reason_counters
from beam_jobs.stages.tasks import modality_of, overlaps
from mining.contract.errors import DatasetError
from mining.contract.schemas import BACKWARD, FORWARD, NEIGHBOR, PAIR, REJECT, SEGMENT
from mining.io.dataset import (
    MANIFEST,
    Manifest,
    Receipt,
    has_manifest,
    read_json,
    read_manifest,
    remove_strays,
    write_json,
    write_manifest,
)
from mining.io.filesystem import exists, list_glob, remove
from mining.io.parquet import read_part, write_part
from mining.io.pools import distinct
from mining.score import (
    SEGMENT_COLUMNS,
    SPAN_COLUMNS,
    ScoreSettings,
    Spans,
    join_pairs,
    select_neighbors,
)

_PART_ROWS = 1_000_000  # fixed: part boundaries must not depend on who wrote them


@dataclass(frozen=True, kw_only=True)
class Pairs(Stage):
    """Pairs of one task.

    Attributes:
        sources: segment manifests of the source corpora.
        targets: of the target corpora.
        neighbors: manifest of the task's neighbours.
        settings: margin and selection; its threshold is replaced by ``thresholds``.
        thresholds: lowest margin score by language pair (``deu-eng``), None for none.
        licences: of the corpora and models that the pairs are made of, for the manifest; they decide
            nothing.
    """

    sources: tuple[Manifest, ...]
    targets: tuple[Manifest, ...]
    neighbors: Manifest
    settings: ScoreSettings
    thresholds: Mapping[str, float | None]
    licences: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    name: ClassVar[str] = "pairs"
    phases: ClassVar[tuple[str, ...]] = ("pairs",)
    version: ClassVar[int] = 2

    @cached_property
    def hash(self) -> str:
        """Decided by the neighbours, the segments' bytes, and how pairs are chosen."""
        return self.hash_of(
            {
                "sources": [manifest.content for manifest in self.sources],
                "targets": [manifest.content for manifest in self.targets],
                "neighbors": self.neighbors.hash,
                "settings": self.settings,
                "thresholds": self.thresholds,
            },
        )

    @property
    def folder(self) -> str:
        """Folder of the pairs: one folder a language pair, no hash, so that users find it."""
        return self.run.dataset("pairs", self.subject)

    @property
    def src_modality(self) -> str:
        """Text or speech."""
        return modality_of(self.run.config, [manifest.name for manifest in self.sources])

    @property
    def tgt_modality(self) -> str:
        """Text or speech."""
        return modality_of(self.run.config, [manifest.name for manifest in self.targets])

    def is_done(self) -> bool:
        """Whether the pairs in the folder are those of this configuration."""
        return has_manifest(self.folder, self.hash, self.run.storage)

    @property
    def _current(self) -> str:
        return self.run.state(self.name, self.subject, "current.json")

    def _latest(self) -> tuple[str, int] | None:
        """Whose pairs are written to the folder: hash, and how many others wrote there before."""
        if not exists(self._current, self.run.storage):
            return None
        found = read_json(self._current, self.run.storage)
        # output of versions without workers: the hash alone
        return (found, 0) if isinstance(found, str) else (found["hash"], found["turn"])

    @property
    def _turn(self) -> int:
        """How many other settings have written to the folder before these."""
        hash_, turn = self._latest() or (self.hash, 0)
        return turn if hash_ == self.hash else turn + 1

    @property
    def home(self) -> str:
        """Folder of the receipts. Of each turn its own: those of an earlier one are not taken."""
        turn = self._turn
        return self.run.state(self.name, self.subject, f"{self.hash}.{turn}" if turn else self.hash)

    def restate(self) -> None:
        """State the licences anew where the config names others than the finished pairs' manifest."""
        if not self.is_done():
            return
        manifest = read_manifest(self.folder, self.run.storage)
        if manifest.attributes.get("licences") != self.licences:
            attributes = {**manifest.attributes, "licences": self.licences}
            write_manifest(self.folder, replace(manifest, attributes=attributes), self.run.storage)

    def begin(self) -> None:
        """Start a new turn if other settings have written to the folder since.

        Workers that begin at once come to the same turn, and none removes what is of it.
        """
        storage, latest, manifest = self.run.storage, self._latest(), f"{self.folder}/{MANIFEST}"
        if latest is not None and latest[0] == self.hash:
            return
        turn, home = self._turn, self.home
        if exists(manifest, storage) and not self.is_done():
            remove(manifest, storage)
        write_json(self._current, {"hash": self.hash, "turn": turn}, storage)
        for uri in list_glob(self.run.state(self.name, self.subject), storage):
            if uri != self._current and not uri.startswith(f"{home}/"):
                remove(uri, storage)

    def units(self, phase: str) -> tuple[Unit, ...]:
        """One unit a language pair."""
        return tuple(Unit(key=pair) for pair in self.thresholds)

    def process(self, phase: str, unit: Unit) -> Receipt:
        """Score, select and write one language pair."""
        storage = self.run.storage
        src, tgt = unit.key.split("-")
        spans = self.spans(self.sources, src), self.spans(self.targets, tgt)
        settings = replace(self.settings, threshold=self.thresholds[unit.key])
        found = select_neighbors(*self.neighbor_tables(unit.key), settings, *spans)
        kept, rejected = found.kept, found.rejected
        pairs = join_pairs(
            kept,
            self._segments(self.sources, src, kept["src_segment_id"]),
            self._segments(self.targets, tgt, kept["tgt_segment_id"]),
            self.hash,
        )
        parts = [
            write_part(
                self.folder,
                f"{unit.key}/part-{number:05d}.parquet",
                pairs.slice(start, _PART_ROWS),
                PAIR,
                storage,
            )
            for number, start in enumerate(range(0, max(pairs.num_rows, 1), _PART_ROWS))
        ]
        refused = write_part(
            self.rejects_folder(), f"{unit.key}.parquet", rejected, REJECT, storage
        )
        return Receipt(
            unit=unit.key,
            parts={"pairs": tuple(parts), "rejects": (refused,)},
            counters={
                "candidates": found.candidates,
                "kept": pairs.num_rows,
                "rejected": rejected.num_rows,
                **reason_counters(rejected),
                f"kept.{unit.key}": pairs.num_rows,
            },
        )

    def neighbor_tables(self, pair: str) -> tuple[pa.Table, pa.Table]:
        """Forward and backward NEIGHBOR tables of a language pair."""
        return self._neighbors(pair, FORWARD), self._neighbors(pair, BACKWARD)

    def _neighbors(self, pair: str, direction: str) -> pa.Table:
        folder = self.run.dataset("neighbors", self.subject, self.neighbors.hash)
        tables = [
            read_part(f"{folder}/{part.path}", NEIGHBOR, self.run.storage)
            for part in self.neighbors.parts
            if part.path.startswith(f"{pair}.") and f".{direction}." in part.path
        ]
        return pa.concat_tables(tables) if tables else NEIGHBOR.empty_table()

    def spans(self, manifests: Sequence[Manifest], lang: str) -> Spans | None:
        """Where the segments of a language lie in their recordings; None if none may overlap."""
        if not overlaps(self.run.config, [manifest.name for manifest in manifests]):
            return None
        table = pa.concat_tables(self._read(manifests, lang, SPAN_COLUMNS))
        return Spans.of(distinct(table))

    def _read(
        self, manifests: Sequence[Manifest], lang: str, columns: Sequence[str]
    ) -> Iterator[pa.Table]:
        """Columns of all segments of a language."""
        for manifest in manifests:
            folder = self.run.dataset("segments", manifest.name, manifest.hash)
            for part in manifest.parts:
                if lang in part.langs:
                    yield read_part(
                        f"{folder}/{part.path}", SEGMENT, self.run.storage,
                        columns=columns, lang=lang,
                    )  # fmt: skip

    def _segments(self, manifests: Sequence[Manifest], lang: str, ids: pa.ChunkedArray) -> pa.Table:
        """Segments with the wanted ids, in the order of ``ids``."""
        wanted = pc.unique(ids)
        tables = [
            table.filter(pc.is_in(table["segment_id"], wanted))
            for table in self._read(manifests, lang, SEGMENT_COLUMNS)
        ]
        found = pa.concat_tables(tables).combine_chunks()
        place = pc.index_in(ids, found["segment_id"].combine_chunks())
        if place.null_count:
            raise DatasetError(
                f"pairs {self.subject}: every pair's segment must be in segments/, but "
                f"{place.null_count} of {lang} are not; remove {self.run.output} and run again"
            )
        return found.take(place)

    def finish(self) -> None:
        """Check candidates = kept + rejected, remove pairs of earlier settings, write manifests."""
        done = self.receipts("pairs")
        remove_strays(
            self.folder, (part.path for r in done for part in r.parts["pairs"]), self.run.storage
        )
        self.publish(
            {"rejects": self.rejects_folder(), "pairs": self.folder},
            done,
            {"thresholds": dict(self.thresholds), "licences": self.licences},
            laws=[("candidates", ("kept", "rejected"))],
        )
