"""Stage knn: nearest neighbours in both directions, tile by tile, then merged.

A tile is one block of source rows against one block of target rows of a language pair. A block is a
run of partitions, so that a text that stands in two corpora (and thus in the same partition of both)
is searched once. Blocks follow ``execution.tile_rows``; the result does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import pyarrow as pa

from beam_jobs.stage import Stage, Unit
from mining.config import stage_hash
from mining.contract.schemas import BACKWARD, FORWARD, NEIGHBOR, embedding_schema
from mining.io.dataset import Manifest, Receipt, has_manifest, remove_strays
from mining.io.parquet import read_part, write_part
from mining.knn import Vectors, merge_neighbors, search_tile_both

LangPair = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Knn(Stage):
    """Neighbours of one task.

    Attributes:
        sources: embedding manifests of the source corpora, in the task's order.
        targets: of the target corpora.
        lang_pairs: (source, target) languages, each with rows on both sides.
        k: neighbours a row.
    """

    sources: tuple[Manifest, ...]
    targets: tuple[Manifest, ...]
    lang_pairs: tuple[LangPair, ...]
    k: int
    name: ClassVar[str] = "knn"
    phases: ClassVar[tuple[str, ...]] = ("tiles", "merge")

    @cached_property
    def hash(self) -> str:
        """Decided by the embeddings' bytes, the languages and k."""
        return stage_hash(
            self.name,
            {
                "sources": [manifest.content for manifest in self.sources],
                "targets": [manifest.content for manifest in self.targets],
                "langs": self.lang_pairs,
                "k": self.k,
            },
        )

    @property
    def folder(self) -> str:
        """Folder of the neighbours."""
        return self.run.dataset("neighbors", self.subject, self.hash)

    @property
    def _partials(self) -> str:
        return f"{self.home}/partials"

    def is_done(self) -> bool:
        """Whether the neighbours are finished."""
        return has_manifest(self.folder, self.hash, self.run.storage)

    def _blocks(self, manifests: Sequence[Manifest], lang: str) -> list[list[str]]:
        return blocks_of(manifests, lang, self.run.config.execution.tile_rows)

    def units(self, phase: str) -> tuple[Unit, ...]:
        """Tiles, index block by index block; or merges, one for each block of each direction.

        Keys hold the tile size: a run that is resumed with another one must not take its tiles.
        """
        units = []
        size = self.run.config.execution.tile_rows
        for src, tgt in self.lang_pairs:
            rows, columns = self._blocks(self.sources, src), self._blocks(self.targets, tgt)
            name = f"{src}-{tgt}.{size}"
            if phase == "tiles":
                units += [
                    Unit(
                        key=f"{name}.{i:05d}.{j:05d}",
                        args={"src": src, "tgt": tgt, "rows": rows[i], "columns": columns[j]},
                    )
                    for j in range(len(columns))
                    for i in range(len(rows))
                ]
                continue
            tiles = [[f"{name}.{i:05d}.{j:05d}" for j in range(len(columns))]
                     for i in range(len(rows))]  # fmt: skip
            for direction, groups in ((FORWARD, tiles), (BACKWARD, list(zip(*tiles, strict=True)))):
                units += [
                    Unit(
                        key=f"{name}.{direction}.{number:05d}",
                        args={"tiles": list(group), "direction": direction},
                    )
                    for number, group in enumerate(groups)
                ]
        return tuple(units)

    def process(self, phase: str, unit: Unit) -> Receipt:
        """Search a tile, or merge tiles."""
        return self._tile(unit) if phase == "tiles" else self._merge(unit)

    def _tile(self, unit: Unit) -> Receipt:
        execution = self.run.config.execution
        rows = self._vectors(self.sources, unit.args["src"], unit.args["rows"])
        columns = self._vectors(self.targets, unit.args["tgt"], unit.args["columns"])
        found = search_tile_both(
            rows, columns, self.k, backend=execution.backend, threads=execution.threads
        )
        parts = [
            write_part(
                self._partials, f"{unit.key}.{direction}.parquet", table, NEIGHBOR, self.run.storage
            )
            for direction, table in zip((FORWARD, BACKWARD), found, strict=True)
        ]
        return Receipt(
            unit=unit.key,
            parts={"partials": tuple(parts)},
            counters={"similarities": len(rows) * len(columns)},
        )

    def _merge(self, unit: Unit) -> Receipt:
        storage, direction = self.run.storage, unit.args["direction"]
        tables = [
            read_part(f"{self._partials}/{tile}.{direction}.parquet", NEIGHBOR, storage)
            for tile in unit.args["tiles"]
        ]
        merged = merge_neighbors(tables, self.k)
        part = write_part(self.folder, f"{unit.key}.parquet", merged, NEIGHBOR, storage)
        return Receipt(
            unit=unit.key, parts={"neighbors": (part,)}, counters={"neighbors": part.rows}
        )

    def _vectors(self, manifests: Sequence[Manifest], lang: str, paths: Sequence[str]) -> Vectors:
        tables = []
        for manifest in manifests:
            attributes = manifest.attributes
            schema = embedding_schema(
                attributes["dim"], attributes["space"], attributes["model_fingerprint"]
            )
            folder = self.run.dataset("embeddings", manifest.name, manifest.hash)
            held = {part.path for part in manifest.parts if lang in part.langs}
            tables += [
                read_part(f"{folder}/{path}", schema, self.run.storage, lang=lang)
                for path in paths
                if path in held
            ]
        table = pa.concat_tables(
            [table.select(["segment_id", "vector"]).replace_schema_metadata() for table in tables]
        )
        # a text that stands in two corpora is one point of the pool
        _, first = np.unique(table["segment_id"].to_numpy(), return_index=True)
        return Vectors.from_arrow(table.take(pa.array(first)), manifests[0].attributes["dim"])

    def finish(self) -> None:
        """Write the manifest."""
        done = self.receipts("merge")
        remove_strays(self.folder, (part.path for r in done for part in r.parts["neighbors"]),
                      self.run.storage)  # fmt: skip
        attributes = {"k": self.k, "langs": [f"{src}-{tgt}" for src, tgt in self.lang_pairs]}
        self.publish({"neighbors": self.folder}, done, attributes)


def blocks_of(manifests: Sequence[Manifest], lang: str, block_rows: int) -> list[list[str]]:
    """Runs of partitions whose rows of ``lang`` (all corpora together) stay within ``block_rows``.

    A partition larger than that is a block of its own.
    """
    counts: dict[str, int] = {}
    for manifest in manifests:
        for part in manifest.parts:
            if lang in part.langs:
                counts[part.path] = counts.get(part.path, 0) + part.langs[lang]
    blocks: list[list[str]] = []
    filled = 0
    for path in sorted(counts):
        if not blocks or filled + counts[path] > block_rows:
            blocks.append([])
            filled = 0
        blocks[-1].append(path)
        filled += counts[path]
    return blocks
