"""Within paired documents, neighbours are those of the definition, however the work is dealt."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_jobs.stage import Run, do_unit
from beam_jobs.stages.document_knn import DocumentKnn
from mining.config.execution import Execution
from mining.config.model import Config, Corpus, DocumentPairs, Task
from mining.contract.ids import partition_of, text_segment_id
from mining.contract.schemas import BACKWARD, FORWARD, OCCURRENCE, embedding_schema
from mining.contract.vectors import pack, to_stored
from mining.io.dataset import Manifest, write_manifest
from mining.io.document_pairs import DOCUMENT_PAIR, DocumentGroups, digest_of, read_document_pairs
from mining.io.filesystem import Storage
from mining.io.parquet import write_part
from mining.io.pools import Dataset
from mining.knn import DocumentSearch, merge_within, search_documents
from tests.reference.documents import neighbors_within
from tests.reference.neighbors import as_rows

STORAGE = Storage()
K = {FORWARD: 2, BACKWARD: 3}
PARTITIONS = 2
components = st.lists(st.integers(-2, 2), min_size=3, max_size=3).filter(any)


class Side:
    """Segments with their vectors, and the documents that they stand in (none: in none)."""

    def __init__(self, lang: str, texts: dict[int, tuple[list[int], list[str]]]) -> None:
        self.lang = lang
        self.vectors: dict[str, np.ndarray] = {}
        self.stands: list[tuple[str, str]] = []
        for text, (vector, documents) in texts.items():
            name = text_segment_id(lang, str(text))
            self.vectors[name] = to_stored(np.array([vector], np.float64))[0][0]
            self.stands += [(document, name) for document in set(documents)]

    def members(self) -> pa.Table:
        stored = [self.vectors[name] for _, name in self.stands]
        columns = {
            "doc_id": pa.array([document for document, _ in self.stands], pa.string()),
            "segment_id": pa.array([name for _, name in self.stands], pa.string()),
            "vector": pack(np.array(stored, np.float16).reshape(-1, 3)),
        }
        return pa.table(columns)


def sides(lang: str) -> st.SearchStrategy[Side]:
    documents = st.lists(st.sampled_from("ABCDE"), max_size=3)
    texts = st.dictionaries(
        st.integers(0, 40), st.tuples(components, documents), min_size=1, max_size=16
    )
    return texts.map(lambda some: Side(lang, some))


# F and G are in no corpus
document_pairs = st.sets(
    st.tuples(st.sampled_from("ABCDEF"), st.sampled_from("ABCDEG")), max_size=9
)


def table_of(pairs: set[tuple[str, str]]) -> pa.Table:
    columns = list(zip(*sorted(pairs), strict=True)) or [[], []]
    return pa.table([pa.array(column, pa.string()) for column in columns], schema=DOCUMENT_PAIR)


def expected(x: Side, y: Side, pairs: set[tuple[str, str]]) -> dict[str, list]:
    turned = {(tgt, src) for src, tgt in pairs}
    return {
        FORWARD: neighbors_within(x.vectors, y.vectors, (x.stands, y.stands), pairs, K[FORWARD]),
        BACKWARD: neighbors_within(y.vectors, x.vectors, (y.stands, x.stands), turned, K[BACKWARD]),
    }


@settings(max_examples=60, deadline=None)
@given(
    x=sides("deu"),
    y=sides("eng"),
    pairs=document_pairs,
    block=st.integers(1, 6),
    groups=st.integers(1, 4),
)
def test_any_groups_and_blocks_give_the_neighbours_of_the_definition(
    x: Side, y: Side, pairs: set[tuple[str, str]], block: int, groups: int
) -> None:
    dealt = DocumentGroups(pairs=table_of(pairs), count=groups)
    source, of_source = dealt.deal(x.members(), source=True)
    target, of_target = dealt.deal(y.members(), source=False)
    search = DocumentSearch(k=K[FORWARD], backward_k=K[BACKWARD], block_rows=block, threads=1)
    found = []
    for group in range(groups):
        mine = (
            source.filter(pa.array(of_source == group)),
            target.filter(pa.array(of_target == group)),
        )
        found.append(search_documents(*mine, dealt.pairs_of(group, *mine), 3, search))
    for number, direction in enumerate((FORWARD, BACKWARD)):
        some = [one[number] for one in found]
        merged = merge_within([w.neighbors for w in some], [w.reach for w in some], K[direction])
        assert as_rows(merged.neighbors) == expected(x, y, pairs)[direction]
        reached = merged.reach.to_pydict()
        with_some = {q for q, n in zip(reached["query_id"], reached["reach"], strict=True) if n}
        assert with_some == set(merged.neighbors["query_id"].to_pylist())


def write_corpus(output: Path, name: str, side: Side) -> tuple[Dataset, Manifest]:
    """Embeddings and occurrences of a side, in partitions by id."""
    schema = embedding_schema(3, "space", "model")
    folders = {kind: str(output / kind / name / "h") for kind in ("embeddings", "occurrences")}
    parts: dict[str, list] = {kind: [] for kind in folders}
    for number in range(PARTITIONS):
        mine = sorted(i for i in side.vectors if partition_of(i, PARTITIONS) == number)
        stored = np.array([side.vectors[i] for i in mine], np.float16).reshape(-1, 3)
        rows = pa.table([mine, [side.lang] * len(mine), pack(stored)], schema=schema)
        stood = [(i, d) for d, i in side.stands if i in mine]
        stood += [(i, None) for i in mine if i not in {one for one, _ in stood}]
        stood = sorted(stood, key=str) * 2  # a segment stands in a document twice
        columns = [[i for i, _ in stood], [name] * len(stood), [d for _, d in stood]]
        columns += [["uri"] * len(stood), list(range(len(stood))), [0] * len(stood)]
        tables = {
            "embeddings": (rows, schema),
            "occurrences": (pa.table(columns, schema=OCCURRENCE), OCCURRENCE),
        }
        for kind, (table, of) in tables.items():
            parts[kind].append(
                write_part(folders[kind], f"part-{number}.parquet", table, of, STORAGE)
            )
    facts = {"dim": 3, "space": "space", "model_fingerprint": "model"}
    manifests = {}
    for kind, some in parts.items():
        manifests[kind] = Manifest(
            kind=kind, name=name, hash="h", parts=tuple(some), attributes=facts
        )
        write_manifest(folders[kind], manifests[kind], STORAGE)
    return Dataset(manifest=manifests["embeddings"], folder=folders["embeddings"]), manifests[
        "occurrences"
    ]


@settings(max_examples=12, deadline=None)
@given(
    x=sides("deu"),
    y=sides("eng"),
    pairs=document_pairs,
    groups=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_the_stage_finds_them_and_loses_no_row(
    tmp_path_factory: pytest.TempPathFactory,
    x: Side, y: Side, pairs: set[tuple[str, str]], groups: int, seed: int,
) -> None:  # fmt: skip
    """With pairs of a file, or documents of one id; units in any order; stopped in between."""
    # the stage refuses to go on where no two documents are paired
    pairs = pairs | {("A", "A")}
    for side in (x, y):
        side.stands = sorted({*side.stands, ("A", min(side.vectors))})
    folder = tmp_path_factory.mktemp("documents")
    (folder / "pairs.tsv").write_text(
        "score\ttgt_doc_id\tsrc_doc_id\n" + "".join(f"1\t{t}\t{s}\n" for s, t in pairs)
    )
    same = {(d, d) for d, _ in x.stands} & {(d, d) for d, _ in y.stands}
    for documents, meant in (
        ("same_id", same),
        (DocumentPairs(pairs=str(folder / "pairs.tsv")), pairs),
    ):
        output = folder / ("same" if documents == "same_id" else "file")
        (source, at_source), (target, at_target) = (
            write_corpus(output, name, side) for name, side in (("x", x), ("y", y))
        )
        config = Config(
            schema=1,
            output=str(output),
            corpora={name: Corpus(uri="u", lang="deu") for name in "xy"},
            tasks={"tt": Task(source="x", target="y", documents=documents)},
            partitions=PARTITIONS,
            execution=Execution(tile_rows=2 + seed % 5, threads=1),
        )
        read = None if documents == "same_id" else read_document_pairs(documents.pairs, STORAGE)
        knn = DocumentKnn(
            run=Run(config=config),
            subject="tt",
            sources=(source,),
            targets=(target,),
            lang_pairs=(("deu", "eng"),),
            forward_k=K[FORWARD],
            backward_k=K[BACKWARD],
            documents=documents,
            digest=digest_of(read) if read is not None else "",
            occurrences=((at_source,), (at_target,)),
            groups=groups,
        )
        order = random.Random(seed)
        for phase in knn.phases:
            units = list(knn.units(phase))
            order.shuffle(units)
            for unit in units:
                do_unit(knn, phase, unit)
        knn.finish()
        rejected = [pq.read_table(p) for p in Path(knn.rejects_folder()).rglob("*.parquet")]
        refused = pa.concat_tables(rejected)["row_id"].to_pylist()
        held = []
        for direction, rows in expected(x, y, meant).items():
            paths = sorted(Path(knn.folder).glob(f"deu-eng.{direction}.*.parquet"))
            tables = pa.concat_tables(pq.read_table(path) for path in paths)
            assert sorted(as_rows(tables), key=lambda row: (row[0], row[3])) == rows
            held += sorted({row[0] for row in rows})
        assert sorted([*held, *refused]) == sorted([*x.vectors, *y.vectors])
        assert not list((output / "_state").rglob("*.arrow"))
