"""Stage knn: nearest neighbours in both directions, tile by tile, then merged.

A tile is one block of source rows against one block of target rows of a language pair. Blocks are cut
by id, so that a text that stands in two corpora is in one block of both and is searched once. Their
size follows ``execution.tile_rows``; the result does not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, ClassVar

from beam_jobs.stage import Stage, Unit
from beam_jobs.tasks import modality_of
from mining.contract.errors import DatasetError
from mining.contract.schemas import BACKWARD, FORWARD, NEIGHBOR
from mining.io.dataset import Receipt, has_manifest, remove_strays, remove_tree
from mining.io.parquet import read_part, write_part
from mining.io.pools import Block, Dataset, blocks_of, read_pool
from mining.knn import Vectors, merge_neighbors, search_tile_both

LangPair = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Knn(Stage):
    """Neighbours of one task.

    Attributes:
        sources: embeddings of the source corpora, in the task's order.
        targets: of the target corpora.
        lang_pairs: (source, target) languages, each with rows on both sides.
        forward_k: neighbours of a source row.
        backward_k: neighbours of a target row.
    """

    sources: tuple[Dataset, ...]
    targets: tuple[Dataset, ...]
    lang_pairs: tuple[LangPair, ...]
    forward_k: int
    backward_k: int
    name: ClassVar[str] = "knn"
    phases: ClassVar[tuple[str, ...]] = ("tiles", "merge")

    @cached_property
    def hash(self) -> str:
        """Decided by the embeddings' bytes, the languages and k."""
        return self.hash_of(
            {
                "sources": [dataset.manifest.content for dataset in self.sources],
                "targets": [dataset.manifest.content for dataset in self.targets],
                "langs": self.lang_pairs,
                "k": (self.forward_k, self.backward_k),
            },
        )

    @property
    def folder(self) -> str:
        """Folder of the neighbours."""
        return self.run.dataset("neighbors", self.subject, self.hash)

    @property
    def _partials(self) -> str:
        return f"{self.home}/partials"

    @property
    def src_modality(self) -> str:
        """Text or speech."""
        return modality_of(self.run.config, [side.manifest.name for side in self.sources])

    @property
    def tgt_modality(self) -> str:
        """Text or speech."""
        return modality_of(self.run.config, [side.manifest.name for side in self.targets])

    def is_done(self) -> bool:
        """Whether the neighbours are finished."""
        return has_manifest(self.folder, self.hash, self.run.storage)

    def _blocks(self, datasets: Sequence[Dataset], lang: str) -> list[dict[str, Any]]:
        blocks = blocks_of(datasets, lang, self.run.config.execution.tile_rows)
        return [asdict(block) for block in blocks]

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
                        args={
                            "src": src,
                            "tgt": tgt,
                            "row": i,
                            "column": j,
                            "rows": rows[i],
                            "columns": columns[j],
                        },
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
            rows,
            columns,
            self.forward_k,
            backward_k=self.backward_k,
            backend=execution.backend,
            threads=execution.threads,
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
            notes={"rows": len(rows), "columns": len(columns)},
        )

    def _k(self, direction: str) -> int:
        return self.forward_k if direction == FORWARD else self.backward_k

    def _merge(self, unit: Unit) -> Receipt:
        storage, direction = self.run.storage, unit.args["direction"]
        tables = [
            read_part(f"{self._partials}/{tile}.{direction}.parquet", NEIGHBOR, storage)
            for tile in unit.args["tiles"]
        ]
        merged = merge_neighbors(tables, self._k(direction))
        part = write_part(self.folder, f"{unit.key}.parquet", merged, NEIGHBOR, storage)
        return Receipt(
            unit=unit.key, parts={"neighbors": (part,)}, counters={"neighbors": part.rows}
        )

    def _vectors(self, datasets: Sequence[Dataset], lang: str, block: Mapping[str, Any]) -> Vectors:
        table = read_pool(datasets, lang, Block.of(block), self.run.storage)
        return Vectors.from_arrow(table, datasets[0].manifest.attributes["dim"])

    def finish(self) -> None:
        """Check that every row has its neighbours; write the manifest; drop the tiles' results.

        Law: neighbours = sum over rows of min(k, rows of the other side), both ways.
        """
        merged = self.receipts("merge")
        found = sum(receipt.counters["neighbors"] for receipt in merged)
        due = self._due()
        if found != due:
            raise DatasetError(
                f"knn {self.subject}: must have {due} neighbours, but has {found}; this is a fault of "
                "the program"
            )
        paths = [part.path for receipt in merged for part in receipt.parts["neighbors"]]
        remove_strays(self.folder, paths, self.run.storage)
        attributes = {
            "k": self.forward_k,
            "backward_k": self.backward_k,
            "langs": [f"{src}-{tgt}" for src, tgt in self.lang_pairs],
        }
        self.publish({"neighbors": self.folder}, merged, attributes)
        remove_tree(self._partials, self.run.storage)

    def _due(self) -> int:
        """How many neighbours there must be, from the sizes of the tiles."""
        rows: dict[LangPair, dict[int, int]] = defaultdict(dict)
        columns: dict[LangPair, dict[int, int]] = defaultdict(dict)
        for unit, receipt in zip(self.units("tiles"), self.receipts("tiles"), strict=True):
            pair = (unit.args["src"], unit.args["tgt"])
            rows[pair][unit.args["row"]] = receipt.notes["rows"]
            columns[pair][unit.args["column"]] = receipt.notes["columns"]
        due = 0
        for pair in self.lang_pairs:
            n, m = sum(rows[pair].values()), sum(columns[pair].values())
            due += n * min(self.forward_k, m) + m * min(self.backward_k, n)
        return due
