"""Stage knn of a task with ``documents``: neighbours within paired documents only.

Phase ``deal`` takes the rows of each part with their documents (from the occurrences, so that a text
that was collapsed is in every document it stands in) and deals them into groups: a pair of documents is
in the group of its source document. Phase ``search`` searches the document pairs of a group; phase
``merge`` brings together what a segment found in several groups. Groups are by hash, so of about one
size, which follows ``execution.tile_rows``; the result does not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, product
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.forgotten import forgotten_of
from beam_jobs.stage import Unit, reason_counters
from beam_jobs.stages.neighbors import SOURCE, TARGET, Neighbors, pools_of
from beam_jobs.stages.spills import Notes, gathered, spills_of
from beam_jobs.stages.tasks import LangPair
from mining.config.model import DocumentPairs
from mining.contract.errors import DatasetError, InputError
from mining.contract.ids import partitions_of
from mining.contract.schemas import BACKWARD, FORWARD, NEIGHBOR, OCCURRENCE, REJECT
from mining.io.dataset import Manifest, Receipt, read_manifest, remove_strays, remove_tree
from mining.io.document_pairs import DOCUMENT_PAIR, DocumentGroups, read_document_pairs
from mining.io.filesystem import remove
from mining.io.forgotten import Forgotten
from mining.io.parquet import read_part, write_part
from mining.io.pools import Block, read_block
from mining.knn import DocumentSearch, merge_within, search_documents

_DEALT = ("members", "documents")
_REASON = "no_paired_document"
_SHOWN = 3  # unknown documents that a warning names
_SIDES = ((FORWARD, SOURCE), (BACKWARD, TARGET))


@dataclass(frozen=True, kw_only=True)
class DocumentKnn(Neighbors):
    """Neighbours of one task within paired documents.

    Attributes:
        documents: which are paired.
        digest: of the document pairs; empty: those of one id.
        occurrences: manifests of where the segments stand, of the source and of the target corpora.
        groups: into how many the document pairs are dealt.
    """

    documents: str | DocumentPairs
    digest: str
    occurrences: tuple[tuple[Manifest, ...], tuple[Manifest, ...]]
    groups: int
    phases: ClassVar[tuple[str, ...]] = ("deal", "search", "merge")

    @cached_property
    def hash(self) -> str:
        """Decided by what decides all neighbours, where segments stand, and the document pairs."""
        stood = [[manifest.content for manifest in side] for side in self.occurrences]
        return self.hash_of({**self.decides(), "occurrences": stood, "documents": self.digest})

    def pools(self, pair: LangPair) -> tuple[int, int]:
        """Mean rows that a target row, and a source row, is compared with, rounded."""
        sides = ([dataset.manifest for dataset in side] for side in (self.sources, self.targets))
        return pools_of(read_manifest(self.folder, self.run.storage), pair, *sides)

    # Read once a worker, not once a unit:

    @cached_property
    def _groups(self) -> DocumentGroups:
        pairs = None
        if not isinstance(self.documents, str):
            pairs = read_document_pairs(self.documents.pairs, self.run.storage)
        return DocumentGroups(pairs=pairs, count=self.groups)

    @cached_property
    def _dealt(self) -> dict[tuple[str, str], Notes]:
        """What phase deal has spilled, by side and language."""
        by_pool: dict[tuple[str, str], list[Receipt]] = {}
        for unit, receipt in zip(self.units("deal"), self.receipts("deal"), strict=True):
            by_pool.setdefault((unit.args["side"], unit.args["lang"]), []).append(receipt)
        return {pool: gathered(some, _DEALT) for pool, some in by_pool.items()}

    @cached_property
    def _found(self) -> dict[LangPair, Notes]:
        """What phase search has spilled, by language pair."""
        by_pair: dict[LangPair, list[Receipt]] = {}
        for unit, receipt in zip(self.units("search"), self.receipts("search"), strict=True):
            if "pair" in unit.args:
                by_pair.setdefault(tuple(unit.args["pair"]), []).append(receipt)
        kinds = tuple(f"{direction}{what}" for direction, _ in _SIDES for what in ("", "_reach"))
        return {pair: gathered(some, kinds) for pair, some in by_pair.items()}

    def units(self, phase: str) -> tuple[Unit, ...]:
        """Parts of each side and language; groups of document pairs; partitions of the queries.

        Keys hold the number of groups: a run that is resumed with another one must not take its rows.
        """
        if phase == "deal":
            pools = {
                (side, pair[i]) for pair in self.lang_pairs for i, (_, side) in enumerate(_SIDES)
            }
            return tuple(
                Unit(
                    key=f"{side}.{lang}.{self.groups}.{path.removesuffix('.parquet')}",
                    args={"side": side, "lang": lang, "path": path},
                )
                for side, lang in sorted(pools)
                for path in self._paths(side, lang)
            )
        if phase == "search":
            known = [Unit(key=f"known.{self.groups}.{g:05d}", args={"group": g})
                     for g in range(self.groups)]  # fmt: skip
            return (*known, *(
                Unit(key=f"{'-'.join(pair)}.{self.groups}.{g:05d}", args={"group": g, "pair": pair})
                for pair, g in product(self.lang_pairs, range(self.groups))
            ))  # fmt: skip
        return tuple(
            Unit(
                key=f"{'-'.join(pair)}.{direction}.{number:05d}",
                args={"pair": pair, "direction": direction, "partition": number},
            )
            for pair, (direction, _), number in product(
                self.lang_pairs, _SIDES, range(self.run.config.partitions)
            )
        )

    def _paths(self, side: str, lang: str) -> list[str]:
        parts = [part for data in self.datasets(side) for part in data.manifest.parts]
        return sorted({part.path for part in parts if lang in part.langs})

    def process(self, phase: str, unit: Unit) -> Receipt:
        """Deal a part, search a group or count its documents, or merge a partition."""
        if phase == "search" and "pair" not in unit.args:
            return self._known(unit)
        work = {"deal": self._deal, "search": self._search, "merge": self._merge}
        return work[phase](unit)

    # Phase deal

    def _deal(self, unit: Unit) -> Receipt:
        side, lang, path = (unit.args[name] for name in ("side", "lang", "path"))
        datasets, storage = self.datasets(side), self.run.storage
        blocks = [
            Block(dataset=number, paths=(path,))
            for number, data in enumerate(datasets)
            if any(part.path == path and lang in part.langs for part in data.manifest.parts)
        ]
        rows = pa.concat_tables(read_block(datasets, lang, b, storage).rows for b in blocks)
        stood = self._documents_of(side, path, rows["segment_id"])
        notes: Notes = {kind: [] for kind in _DEALT}
        documents = pc.unique(stood["doc_id"])
        names = pa.table([documents], names=["doc_id"])
        spills_of(self).write(notes, "documents", unit.key, names, self._groups.of(documents))
        stood, group = self._groups.deal(stood, source=side == SOURCE)
        place = pc.index_in(stood["segment_id"], value_set=rows["segment_id"].combine_chunks())
        members = rows.take(place).append_column("doc_id", stood["doc_id"])
        spills_of(self).write(notes, "members", unit.key, members, group)
        alone = pc.invert(pc.is_in(rows["segment_id"], value_set=pc.unique(stood["segment_id"])))
        refused = _rejects(
            rows["segment_id"].filter(alone), f"{lang}, {side}: in no paired document"
        )
        # no number of groups in its name: it follows how the work is done
        name = f"{side}.{lang}.{path}"
        part = write_part(self.rejects_folder(), name, refused, REJECT, storage)
        return Receipt(
            unit=unit.key,
            parts={"rejects": (part,)},
            counters={
                f"rows.{side}.{lang}": rows.num_rows,
                f"alone.{side}.{lang}": refused.num_rows,
                **reason_counters(refused),
            },
            notes=notes,
        )

    def _documents_of(self, side: str, path: str, segments: pa.ChunkedArray) -> pa.Table:
        """Columns segment_id and doc_id, distinct: the documents of some segments of a part."""
        wanted = pc.unique(segments)

        def keep(table: pa.Table) -> pa.Table:
            known = pc.and_(
                pc.is_in(table["segment_id"], value_set=wanted), table["doc_id"].is_valid()
            )
            return table.filter(known)

        manifests = self.occurrences[0 if side == SOURCE else 1]
        columns = ["segment_id", "doc_id"]
        tables = [
            read_part(
                f"{self.run.dataset('occurrences', manifest.name, manifest.hash)}/{path}",
                OCCURRENCE, self.run.storage, columns=columns, keep=keep,
            )
            for manifest in manifests
            if any(part.path == path for part in manifest.parts)
        ]  # fmt: skip
        return pa.concat_tables(tables).group_by(columns, use_threads=False).aggregate([])

    # Phase search

    def _members(self, side: str, lang: str, group: int) -> pa.Table:
        dim = self.sources[0].manifest.attributes["dim"]
        schema = pa.schema(
            {"segment_id": pa.string(), "vector": pa.binary(2 * dim), "doc_id": pa.string()}
        )
        tables = spills_of(self).read(self._dealt[side, lang], "members", group)
        return pa.concat_tables([schema.empty_table(), *(table.cast(schema) for table in tables)])

    def _search(self, unit: Unit) -> Receipt:
        execution = self.run.config.execution
        pair, group = tuple(unit.args["pair"]), unit.args["group"]
        source, target = (self._members(side, lang, group)
                          for (_, side), lang in zip(_SIDES, pair, strict=True))  # fmt: skip
        pairs = self._groups.pairs_of(group, source, target)
        search = DocumentSearch(
            k=self.forward_k,
            backward_k=self.backward_k,
            block_rows=execution.tile_rows,
            backend=execution.backend,
            threads=execution.threads,
        )
        dim = self.sources[0].manifest.attributes["dim"]
        found = search_documents(source, target, pairs, dim, search)
        notes: Notes = {}
        for (direction, _), within in zip(_SIDES, found, strict=True):
            tables = {direction: within.neighbors, f"{direction}_reach": within.reach}
            for kind, table in tables.items():
                notes[kind] = []
                where = partitions_of(table["query_id"].to_pylist(), self.run.config.partitions)
                spills_of(self).write(notes, kind, unit.key, table, where)
        return Receipt(unit=unit.key, counters={"document_pairs": pairs.num_rows}, notes=notes)

    def _known(self, unit: Unit) -> Receipt:
        """Count the documents of the pairs that no corpus holds."""
        counters: Counter[str] = Counter()
        notes: dict[str, list[str]] = {}
        for (_, side), name in zip(_SIDES, DOCUMENT_PAIR.names, strict=True):
            if self._groups.pairs is None:
                continue
            named = self._groups.named(name, unit.args["group"])
            held = [
                table["doc_id"]
                for pool, dealt in self._dealt.items() if pool[0] == side
                for table in spills_of(self).read(dealt, "documents", unit.args["group"])
            ]  # fmt: skip
            there = pa.chunked_array([c for one in held for c in one.chunks], pa.string())
            unknown = named.filter(pc.invert(pc.is_in(named, value_set=pc.unique(there))))
            counters[f"documents.{side}"] = len(named)
            counters[f"unknown.{side}"] = len(unknown)
            told = (one for one in sorted(unknown.to_pylist()) if not self._is_forgotten(side, one))
            notes[side] = list(islice(told, _SHOWN))
        return Receipt(unit=unit.key, counters=dict(counters), notes=notes)

    def _is_forgotten(self, side: str, document: str) -> bool:
        """Whether pairs still name a document that is not to be named any more."""
        return any(one.has_id(document) for one in self._forgotten[side])

    @cached_property
    def _forgotten(self) -> dict[str, list[Forgotten]]:
        return {
            side: [forgotten_of(self.run, data.manifest.name) for data in self.datasets(side)]
            for _, side in _SIDES
        }

    # Phase merge

    def _merge(self, unit: Unit) -> Receipt:
        pair, direction = tuple(unit.args["pair"]), unit.args["direction"]
        found, partition, k = self._found[pair], unit.args["partition"], self.k_of(direction)
        within = merge_within(
            spills_of(self).read(found, direction, partition),
            spills_of(self).read(found, f"{direction}_reach", partition),
            k,
        )
        merged, reach = within.neighbors, within.reach
        alone = reach.filter(pc.equal(reach["reach"], 0))["query_id"]
        name = f"{'-'.join(pair)}.{direction}"
        refused = _rejects(alone, f"{name}: its paired documents hold none of that language")
        storage, path = self.run.storage, f"{unit.key}.parquet"
        return Receipt(
            unit=unit.key,
            parts={
                "neighbors": (write_part(self.folder, path, merged, NEIGHBOR, storage),),
                "rejects": (write_part(self.rejects_folder(), path, refused, REJECT, storage),),
            },
            counters={
                "neighbors": merged.num_rows,
                f"kept.{name}": reach.num_rows - refused.num_rows,
                f"alone.{name}": refused.num_rows,
                f"reach.{name}": pc.sum(reach["reach"]).as_py() or 0,
                **reason_counters(refused),
            },
        )

    # The end

    def finish(self) -> None:
        """Check that no row is lost; write the manifests; drop the spills.

        Law, for each language pair and direction: rows = rows in no paired document + rows whose
        paired documents hold nothing of the other language + rows with neighbours.

        Raises:
            InputError: if no document of the pairs is in the corpora, on one side, or no two documents
                that are paired.
        """
        dealt, merged = self.receipts("deal"), self.receipts("merge")
        known = [r for u, r in zip(self.units("search"), self.receipts("search"), strict=True)
                 if "pair" not in u.args]  # fmt: skip
        attributes = {**self.attributes(), "documents": self._facts(known)}
        done = [*dealt, *merged]
        counted: Counter[str] = Counter()
        for receipt in done:
            counted.update(receipt.counters)
        for pair, (i, (direction, side)) in product(self.lang_pairs, enumerate(_SIDES)):
            pool, name = f"{side}.{pair[i]}", f"{'-'.join(pair)}.{direction}"
            accounted = (
                counted[f"alone.{pool}"] + counted[f"alone.{name}"] + counted[f"kept.{name}"]
            )
            if accounted != counted[f"rows.{pool}"]:
                raise DatasetError(
                    f"knn {self.subject} {name}: must account for {counted[f'rows.{pool}']} rows, but "
                    f"does for {accounted}; this is a fault of the program"
                )
        if not counted["neighbors"]:
            raise InputError(
                f"tasks.{self.subject}.documents: some pair of documents must have sentences on both "
                f"sides in the languages of the task, but none has; see {self.rejects_folder()}"
            )
        for kind, folder in (("neighbors", self.folder), ("rejects", self.rejects_folder())):
            paths = [part.path for receipt in done for part in receipt.parts.get(kind, ())]
            remove_strays(folder, paths, self.run.storage)
        self.publish({"rejects": self.rejects_folder(), "neighbors": self.folder}, done, attributes)
        remove_tree(spills_of(self).folder, self.run.storage)
        # of this task when it was mined without documents
        remove(self.run.state("tiles_used", f"{self.subject}.json"), self.run.storage)

    def _facts(self, known: list[Receipt]) -> dict[str, object]:
        """Documents that the pairs name and that no corpus holds: how many, and some."""
        facts: dict[str, object] = {}
        if isinstance(self.documents, str):
            return facts
        for side in (SOURCE, TARGET):
            counts = [
                sum(r.counters[f"{what}.{side}"] for r in known)
                for what in ("documents", "unknown")
            ]
            names = sorted(name for receipt in known for name in receipt.notes[side])[:_SHOWN]
            if counts[0] == counts[1]:
                such = _such_as([repr(one) for one in names[:1]])
                raise InputError(
                    f"tasks.{self.subject}.documents: {self.documents.pairs} must name documents of the "
                    f"{side} corpora, but names none that is there{such}; its ids must be those that "
                    "columns.id names"
                )
            facts[side] = {"named": counts[0], "unknown": counts[1], "such_as": names}
        return facts


def unknown_documents(manifest: Manifest) -> Iterator[str]:
    """What to warn of: documents that a task's pairs name and no corpus holds."""
    for side, facts in manifest.attributes.get("documents", {}).items():
        if facts["unknown"]:
            yield (
                f"documents: {facts['unknown']} of the {facts['named']} {side} documents in pairs are "
                f"in no corpus{_such_as(facts['such_as'])}"
            )


def _such_as(names: list[str]) -> str:
    return f", such as {', '.join(names)}" if names else ""


def _rejects(ids: pa.ChunkedArray, detail: str) -> pa.Table:
    ids = ids.take(pc.sort_indices(ids))
    columns = [
        pa.repeat(pa.scalar(text, pa.string()), len(ids)) for text in ("knn", _REASON, detail)
    ]
    return pa.table([ids, *columns], schema=REJECT)
