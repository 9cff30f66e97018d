"""Stage knn: nearest neighbours in both directions, tile by tile, then merged.

A tile is one block of source rows against one block of target rows of a language pair. Blocks are cut
corpus by corpus, and a row that stands in two corpora is in a block of the first only. Results of
tiles are kept by the content of their blocks (:mod:`mining.io.tiles`), so that a run with a further
corpus searches only the tiles that hold its rows. The size of blocks follows
``execution.tile_rows``; the result does not, unless ``mining.index`` is approximate.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from functools import cached_property
from itertools import product
from typing import ClassVar

import pyarrow as pa

from beam_jobs.stage import Unit
from beam_jobs.stages.neighbors import SOURCE, TARGET, Neighbors
from beam_jobs.stages.once import Recent
from beam_jobs.stages.tasks import LangPair
from mining.config.model import EXACT
from mining.contract.errors import DatasetError
from mining.contract.schemas import BACKWARD, FORWARD, NEIGHBOR
from mining.io.dataset import (
    Receipt,
    read_json,
    read_receipt,
    remove_strays,
    sum_counters,
    write_json,
)
from mining.io.filesystem import list_glob
from mining.io.parquet import write_part
from mining.io.pools import Block, blocks_of, content_of, read_block
from mining.io.tiles import Tiles, neighbors_of, tile_address, tile_of
from mining.knn import (
    Recall,
    Stored,
    TopK,
    Vectors,
    approximate_arrays,
    fewest_rows,
    measure_recall,
    merge_neighbors,
    search_arrays,
)

Place = tuple[str, str, int]  # of a block: side, language, number

# of the tile before: units are ordered index block by index block, so the next tile mostly needs one
_VECTORS = Recent[Vectors](kept=2)
# of the blocks of some language pairs, 36 bytes a row: on an object store a block is many requests
_IDS = Recent[pa.Array](kept=32)
_SAMPLED = 100  # rows of a tile that an approximate search is judged by
_RECALL = "recall."  # before the counters of what it found of them


@dataclass(frozen=True, kw_only=True)
class _Facts:
    """What is known of a block once it has been read: distinct rows, and a digest of them."""

    rows: int
    content: str


@dataclass(frozen=True, kw_only=True)
class Knn(Neighbors):
    """Neighbours of one task among all rows of the other side."""

    phases: ClassVar[tuple[str, ...]] = ("blocks", "tiles", "merge")
    version: ClassVar[int] = 2

    @cached_property
    def hash(self) -> str:
        """Decided by the embeddings' bytes, the languages and k; by an index and its blocks."""
        decides = dict(self.decides())
        if self._index != EXACT:
            tile_rows = self.run.config.execution.tile_rows
            decides["index"] = (self._index, self.run.config.mining.probes, tile_rows)
        return self.hash_of(decides)

    @property
    def _index(self) -> str:
        """``exact``, or an approximate index of every block."""
        return self.run.config.mining.index

    def _how(self, direction: str) -> str:
        """What of a search of two blocks decides its result."""
        k = self.k_of(direction)
        return (
            f"{k}" if self._index == EXACT else f"{k} {self._index} {self.run.config.mining.probes}"
        )

    @property
    def _tiles(self) -> Tiles:
        return Tiles(folder=self.run.state("tiles"), storage=self.run.storage)

    # Blocks

    @cached_property
    def _blocks(self) -> dict[tuple[str, str], list[Block]]:
        """The blocks of each side and language. Cut from manifests, so everywhere the same."""
        rows = self.run.config.execution.tile_rows
        needed = [
            (s, lang) for pair in self.lang_pairs for s, lang in zip(self._sides, pair, strict=True)
        ]
        return {
            (side, lang): blocks_of(self.datasets(side), lang, rows)
            for side, lang in dict.fromkeys(needed)
        }

    @property
    def _sides(self) -> tuple[str, str]:
        """Names of both sides; one where they are the same, so that no block is read twice."""
        return SOURCE, SOURCE if self.targets == self.sources else TARGET

    def _places(self, side: str, lang: str) -> list[Place]:
        return [(side, lang, number) for number in range(len(self._blocks[side, lang]))]

    def _key(self, place: Place) -> str:
        """Keys hold the tile size: a run that is resumed with another one has other blocks."""
        side, lang, number = place
        return f"{lang}.{self.run.config.execution.tile_rows}.{side}.{number:05d}"

    def _read(self, place: Place, *columns: str) -> tuple[pa.Table, int]:
        """Rows of a block, and how many of it stand in an earlier corpus."""
        side, lang, number = place
        block = self._blocks[side, lang][number]
        taken = read_block(self.datasets(side), lang, block, self.run.storage, columns)
        return taken.rows, taken.elsewhere

    def _vectors(self, place: Place) -> Vectors:
        def load() -> Vectors:
            rows, _ = self._read(place, "segment_id", "vector")
            return Vectors.from_arrow(rows, self.sources[0].manifest.attributes["dim"])

        return _VECTORS.get(self._facts(place).content, load)

    def _ids(self, place: Place) -> pa.Array:
        def load() -> pa.Array:
            return self._read(place, "segment_id")[0]["segment_id"].combine_chunks()

        return _IDS.get(self._facts(place).content, load)

    @cached_property
    def _known(self) -> dict[Place, _Facts]:
        """Of the blocks that this copy of the stage has asked for."""
        return {}

    def _facts(self, place: Place) -> _Facts:
        if place not in self._known:
            self._known[place] = self._facts_of_receipt(place)
        return self._known[place]

    def _facts_of_receipt(self, place: Place) -> _Facts:
        folder = self.receipts_folder("blocks")
        receipt = read_receipt(folder, self._key(place), self.run.storage)
        if receipt is None:
            raise DatasetError(f"{folder}: the receipt of {self._key(place)} is missing; run again")
        return _Facts(rows=receipt.counters["rows"], content=receipt.notes["content"])

    # Units

    def units(self, phase: str) -> tuple[Unit, ...]:
        """Blocks; tiles, index block by index block; merges, one a block and direction."""
        if phase == "blocks":
            places = [place for key in self._blocks for place in self._places(*key)]
            return tuple(Unit(key=self._key(place), args={"block": place}) for place in places)
        units = []
        for src, tgt in self.lang_pairs:
            name = f"{src}-{tgt}.{self.run.config.execution.tile_rows}"
            rows, columns = self._grid((src, tgt))
            if phase == "tiles":
                units += [
                    Unit(
                        key=f"{name}.{row[2]:05d}.{column[2]:05d}",
                        args={"row": row, "column": column},
                    )
                    for column, row in product(columns, rows)
                ]
                continue
            units += [
                Unit(
                    key=f"{name}.{direction}.{place[2]:05d}",
                    args={"pair": (src, tgt), "place": place, "direction": direction},
                )
                for direction, places in ((FORWARD, rows), (BACKWARD, columns))
                for place in places
            ]
        return tuple(units)

    def _grid(self, pair: LangPair) -> tuple[list[Place], list[Place]]:
        """Source and target blocks of a language pair."""
        source, target = self._sides
        return self._places(source, pair[0]), self._places(target, pair[1])

    def process(self, phase: str, unit: Unit) -> Receipt:
        """Read a block, search a tile, or merge tiles."""
        work = {"blocks": self._block, "tiles": self._tile, "merge": self._merge}
        return work[phase](unit)

    def _block(self, unit: Unit) -> Receipt:
        rows, elsewhere = self._read(tuple(unit.args["block"]), "segment_id", "vector")
        return Receipt(
            unit=unit.key,
            counters={"rows": rows.num_rows, "elsewhere": elsewhere},
            notes={"content": content_of(rows)},
        )

    def _tile(self, unit: Unit) -> Receipt:
        row, column = tuple(unit.args["row"]), tuple(unit.args["column"])
        rows, columns = self._facts(row), self._facts(column)
        there = all(
            self._tiles.holds(self._address(*pair, direction), self._due(*pair, direction))
            for direction, pair in ((FORWARD, (rows, columns)), (BACKWARD, (columns, rows)))
        )
        seen = None if there else self._search(row, column)
        counters = {
            "tiles": 1,
            "tiles_searched": int(not there),
            "similarities": 0 if there else rows.rows * columns.rows,
        }
        if seen is not None:
            counters |= {_RECALL + name: count for name, count in asdict(seen).items()}
        return Receipt(unit=unit.key, counters=counters)

    def _address(self, queries: _Facts, index: _Facts, direction: str) -> str:
        return tile_address(queries.content, index.content, self._how(direction))

    def _due(self, queries: _Facts, index: _Facts, direction: str) -> int:
        """How many neighbours the rows of a tile have in it."""
        return queries.rows * min(self.k_of(direction), index.rows)

    def _search(self, row: Place, column: Place) -> Recall | None:
        """Search a tile and keep what was found, both ways; says what an approximate index missed."""
        rows, columns = self._vectors(row), self._vectors(column)
        found, seen = self._found(rows.values, columns.values)
        facts = self._facts(row), self._facts(column)
        for direction, (queries, index), one in (
            (FORWARD, facts, found[0]), (BACKWARD, facts[::-1], found[1]),
        ):  # fmt: skip
            tile = tile_of(one.row, one.similarity)
            self._tiles.write(self._address(queries, index, direction), tile)
        return seen

    def _found(self, x: Stored, y: Stored) -> tuple[tuple[TopK, TopK], Recall | None]:
        execution = self.run.config.execution
        k, back, threads = self.forward_k, self.backward_k, execution.threads
        if self._index == EXACT or min(len(x), len(y)) < fewest_rows(self._index):
            backend = execution.backend
            return search_arrays(x, y, k, backward_k=back, backend=backend, threads=threads), None
        found = approximate_arrays(
            x, y, k, index=self._index, probes=self.run.config.mining.probes, backward_k=back,
            threads=threads,
        )  # fmt: skip
        return found, measure_recall(x, y, found, sample=_SAMPLED, threads=threads)

    def _merge(self, unit: Unit) -> Receipt:
        place, direction = tuple(unit.args["place"]), unit.args["direction"]
        rows, columns = self._grid(tuple(unit.args["pair"]))
        queries, facts = self._ids(place), self._facts(place)
        tables = []
        for other in columns if direction == FORWARD else rows:
            against = self._facts(other)
            wanted = self._address(facts, against, direction), self._due(facts, against, direction)
            if (tile := self._tiles.read_if_whole(*wanted)) is None:
                # removed since: by hand, or as a stranger by a run of other corpora in between
                self._search(*((place, other) if direction == FORWARD else (other, place)))
                tile = self._tiles.read_if_whole(*wanted)
            if tile is None:
                raise DatasetError(
                    f"{self._tiles.folder}: tile {wanted[0]} must be there, but was removed at once; "
                    "run again when nothing else works on this output"
                )
            tables.append(neighbors_of(tile, queries, self._ids(other), direction))
        merged = merge_neighbors(tables, self.k_of(direction))
        part = write_part(self.folder, f"{unit.key}.parquet", merged, NEIGHBOR, self.run.storage)
        return Receipt(
            unit=unit.key, parts={"neighbors": (part,)}, counters={"neighbors": part.rows}
        )

    # The end

    def finish(self) -> None:
        """Check that no row is lost and every row has its neighbours; write the manifest.

        Laws, for each side and language: rows of all corpora = distinct rows + rows that an earlier
        corpus holds; and neighbours = sum over distinct rows of min(k, rows of the other side).
        """
        merged = self.receipts("merge")
        rows = self._distinct_rows()
        due = 0
        for src, tgt in self.lang_pairs:
            n, m = (rows[key] for key in zip(self._sides, (src, tgt), strict=True))
            due += n * min(self.forward_k, m) + m * min(self.backward_k, n)
        found = sum(receipt.counters["neighbors"] for receipt in merged)
        if found != due:
            raise DatasetError(
                f"knn {self.subject}: must have {due} neighbours, but has {found}; this is a fault of "
                "the program"
            )
        paths = [part.path for receipt in merged for part in receipt.parts["neighbors"]]
        remove_strays(self.folder, paths, self.run.storage)
        write_json(self._references(self.subject), self._used(), self.run.storage)
        self.publish({"neighbors": self.folder}, merged, self.attributes())

    def _distinct_rows(self) -> dict[tuple[str, str], int]:
        """Distinct rows of each side and language."""
        rows: dict[tuple[str, str], int] = dict.fromkeys(self._blocks, 0)
        held = dict(rows)
        for unit, receipt in zip(self.units("blocks"), self.receipts("blocks"), strict=True):
            side, lang, _ = unit.args["block"]
            rows[side, lang] += receipt.counters["rows"]
            held[side, lang] += receipt.counters["rows"] + receipt.counters["elsewhere"]
        for (side, lang), count in held.items():
            due = sum(data.manifest.langs.get(lang, 0) for data in self.datasets(side))
            if count != due:
                raise DatasetError(
                    f"knn {self.subject}: must search {due} rows of {lang}, but has {count}; this is "
                    "a fault of the program"
                )
        return rows

    # Which tiles are kept

    def _references(self, task: str) -> str:
        return self.run.state("tiles_used", f"{task}.json")

    def _used(self) -> list[tuple[str, list[str], list[str]]]:
        """The tiles of this task: (how, contents of query blocks, contents of index blocks)."""
        if not self.run.config.execution.keep_tiles:
            return []
        used = []
        for pair in self.lang_pairs:
            rows, columns = (
                [self._facts(p).content for p in places] for places in self._grid(pair)
            )
            used += [
                (self._how(FORWARD), rows, columns),
                (self._how(BACKWARD), columns, rows),
            ]
        return used

    def tidy(self) -> None:
        """Remove the tiles that no task of this output refers to any more, and let go of the blocks."""
        _VECTORS.clear()
        _IDS.clear()
        storage = self.run.storage
        used = [entry for uri in list_glob(self.run.state("tiles_used"), storage)
                for entry in read_json(uri, storage)]  # fmt: skip
        self._tiles.remove_others(
            tile_address(query, block, how)
            for how, queries, index in used
            for query, block in product(queries, index)
        )

    def remark(self) -> str:
        """How many tiles were there already, if any; and what an approximate index found."""
        done, told = self.receipts("tiles"), []
        searched = sum(receipt.counters["tiles_searched"] for receipt in done)
        if searched != len(done):
            told.append(f"{searched} of {len(done)} tiles were searched, the others are kept ones")
        if self._index != EXACT and searched:
            counts = sum_counters(done)
            names = [field.name for field in fields(Recall)]
            seen = Recall(**{name: counts.get(_RECALL + name, 0) for name in names})
            told.append(
                f"{self._index}, {self.run.config.mining.probes} lists a query: {seen}"
                if seen.queries
                else f"all blocks were too small for {self._index} and were searched exactly"
            )
        return f"{self.subject}: {'; '.join(told)}" if told else ""
