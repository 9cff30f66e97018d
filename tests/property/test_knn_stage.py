"""However rows are dealt to corpora, blocks and runs, the neighbours are those of the definition."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_jobs.stage import Run, do_unit
from beam_jobs.stages.knn import Knn
from mining.config.execution import Execution
from mining.config.model import Config, Corpus, Task
from mining.contract.ids import partition_of, text_segment_id
from mining.contract.schemas import BACKWARD, FORWARD, embedding_schema
from mining.contract.vectors import pack, to_stored
from mining.io.dataset import Manifest
from mining.io.filesystem import Storage
from mining.io.parquet import write_part
from mining.io.pools import Dataset, blocks_of, content_of, read_block, read_pool
from tests.reference.neighbors import as_rows, neighbor_rows, similarity_matrix

STORAGE = Storage()
SCHEMA = embedding_schema(3, "space", "model")
PARTITIONS = 2
LANGS = ("deu", "eng")
K = (2, 3)
components = st.lists(st.integers(-2, 2), min_size=3, max_size=3).filter(any)
# a corpus: texts by number; the same text has a vector of its own in each, as encoders of other
# batches or vectors by id may give it
corpora = st.dictionaries(st.integers(0, 25), components, min_size=1, max_size=9)


def write_corpus(folder: Path, lang: str, texts: dict[int, list[int]]) -> Dataset:
    parts = []
    for number in range(PARTITIONS):
        rows = [
            (text_segment_id(lang, str(text)), vector)
            for text, vector in texts.items()
            if partition_of(text_segment_id(lang, str(text)), PARTITIONS) == number
        ]
        stored = to_stored(np.array([v for _, v in rows], np.float64).reshape(-1, 3))[0]
        columns = [[i for i, _ in rows], [lang] * len(rows), pack(stored)]
        table = pa.table(columns, schema=SCHEMA)
        parts.append(write_part(str(folder), f"part-{number}.parquet", table, SCHEMA, STORAGE))
    facts = {"dim": 3, "space": "space", "model_fingerprint": "model"}
    manifest = Manifest(
        kind="embeddings", name=folder.name, hash="h", parts=tuple(parts), attributes=facts
    )
    return Dataset(manifest=manifest, folder=str(folder))


def stage(
    output: Path, sources: list[Dataset], targets: list[Dataset], tile_rows: int, keep: bool = True
) -> Knn:
    config = Config(
        schema=1,
        output=str(output),
        corpora={d.manifest.name: Corpus(uri="x", lang="deu") for d in (*sources, *targets)},
        tasks={"tt": Task(source=sources[0].manifest.name, target=targets[0].manifest.name)},
        execution=Execution(tile_rows=tile_rows, keep_tiles=keep, threads=1),
    )
    return Knn(
        run=Run(config=config),
        subject="tt",
        sources=tuple(sources),
        targets=tuple(targets),
        lang_pairs=(LANGS,),
        forward_k=K[0],
        backward_k=K[1],
    )


def steps(knn: Knn, order: random.Random) -> Iterator[None]:
    """The stage's work, unit by unit, in a random order."""
    for phase in knn.phases:
        units = list(knn.units(phase))
        order.shuffle(units)
        for unit in units:
            do_unit(knn, phase, unit)
            yield
    knn.finish()
    knn.tidy()


def found(knn: Knn) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(knn.folder).glob("*.parquet")}


def addresses(knn: Knn) -> set[tuple[str, str]]:
    """What the tiles are made of."""
    contents = [
        [content_of(read_block(data, lang, block, STORAGE).rows)
         for block in blocks_of(data, lang, knn.run.config.execution.tile_rows)]
        for data, lang in ((knn.sources, "deu"), (knn.targets, "eng"))
    ]  # fmt: skip
    return {(row, column) for row in contents[0] for column in contents[1]}


def searched(knn: Knn) -> int:
    return sum(receipt.counters["tiles_searched"] for receipt in knn.receipts("tiles"))


def expected(knn: Knn, direction: str) -> list[tuple[str, str, float, int]]:
    pools = [read_pool(data, lang, STORAGE) for data, lang in
             ((knn.sources, "deu"), (knn.targets, "eng"))]  # fmt: skip
    sides = [
        (pool["segment_id"].to_pylist(), np.frombuffer(
            b"".join(pool["vector"].to_pylist()), np.float16).reshape(-1, 3))
        for pool in pools
    ]  # fmt: skip
    (x, u), (y, v) = sides if direction == FORWARD else sides[::-1]
    return neighbor_rows(similarity_matrix(u, v), x, y, K[direction == BACKWARD])


@settings(max_examples=20, deadline=None)
@given(
    sides=st.tuples(*[st.lists(corpora, min_size=1, max_size=2)] * 2),
    tile_rows=st.integers(2, 20),
    seed=st.integers(0, 2**16),
    cut=st.integers(0, 30),
)
def test_runs_with_further_corpora_equal_one_from_scratch(
    tmp_path_factory: pytest.TempPathFactory,
    sides: tuple[list[dict[int, list[int]]], list[dict[int, list[int]]]],
    tile_rows: int,
    seed: int,
    cut: int,
) -> None:
    folder, order = tmp_path_factory.mktemp("knn"), random.Random(seed)
    data = [
        [write_corpus(folder / f"{lang}-{i}", lang, texts) for i, texts in enumerate(some)]
        for lang, some in zip(LANGS, sides, strict=True)
    ]
    known: set[tuple[str, str]] = set()
    for size in range(1, max(map(len, data)) + 1):  # corpus by corpus, in one output
        knn = stage(folder / "out", data[0][:size], data[1][:size], tile_rows)
        work = steps(knn, order)
        for _ in range(cut):  # stopped after some units, and started again
            next(work, None)
        list(steps(knn, order))
        assert searched(knn) == len(addresses(knn) - known)
        known = addresses(knn)
    scratch = stage(folder / "scratch", data[0], data[1], tile_rows)
    list(steps(scratch, order))
    assert found(knn) == found(scratch)
    for direction in (FORWARD, BACKWARD):
        paths = sorted(Path(knn.folder).glob(f"*.{direction}.*.parquet"))
        rows = as_rows(pa.concat_tables(pq.read_table(path) for path in paths))
        assert sorted(rows, key=lambda row: (row[0], row[3])) == expected(knn, direction)


def test_tiles_that_are_gone_are_searched_again(tmp_path: Path) -> None:
    """Removed by hand, or by a run of other corpora in between, after their receipts were written."""
    draw = np.random.default_rng(3)
    data = [
        [write_corpus(tmp_path / f"{lang}-{i}", lang, dict(enumerate(draw.normal(size=(30, 3)))))
         for i in range(2)]
        for lang in LANGS
    ]  # fmt: skip
    scratch = stage(tmp_path / "scratch", data[0], data[1], 8)
    list(steps(scratch, random.Random(0)))

    knn = stage(tmp_path / "out", data[0], data[1], 8)
    for phase in ("blocks", "tiles"):
        for unit in knn.units(phase):
            do_unit(knn, phase, unit)
    for path in list((tmp_path / "out/_state/tiles").rglob("*.parquet"))[::2]:
        path.unlink()
    list(steps(knn, random.Random(0)))
    assert found(knn) == found(scratch)


def test_without_keep_tiles_nothing_stays_and_the_result_is_the_same(tmp_path: Path) -> None:
    draw = np.random.default_rng(4)
    data = [
        [write_corpus(tmp_path / lang, lang, dict(enumerate(draw.normal(size=(30, 3)))))]
        for lang in LANGS
    ]
    kept = stage(tmp_path / "kept", data[0], data[1], 8)
    list(steps(kept, random.Random(0)))
    dropped = stage(tmp_path / "dropped", data[0], data[1], 8, keep=False)
    list(steps(dropped, random.Random(1)))
    assert dropped.hash == kept.hash
    assert found(dropped) == found(kept)
    assert list((tmp_path / "kept/_state/tiles").rglob("*.parquet"))
    assert not list((tmp_path / "dropped/_state/tiles").rglob("*.parquet"))
