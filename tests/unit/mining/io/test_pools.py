"""However a pool is cut into blocks, each of its texts is in one of them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mining.contract.ids import partition_of, text_segment_id
from mining.contract.schemas import embedding_schema
from mining.contract.vectors import pack
from mining.io.dataset import Manifest
from mining.io.filesystem import Storage
from mining.io.parquet import write_part
from mining.io.pools import Dataset, blocks_of, content_of, read_block, read_pool

STORAGE = Storage()
SCHEMA = embedding_schema(2, "space", "model")
PARTITIONS = 3
TEXTS = st.sets(st.integers(0, 60), min_size=1)


def corpus(folder: str, texts: set[int], value: float) -> Dataset:
    parts = []
    for number in range(PARTITIONS):
        ids = sorted(
            i for i in (text_segment_id("deu", str(t)) for t in texts)
            if partition_of(i, PARTITIONS) == number
        )  # fmt: skip
        table = pa.table(
            [
                pa.array(ids[::-1], pa.string()),  # parts are not sorted by id
                pa.array(["deu"] * len(ids), pa.string()),
                pack(np.full((len(ids), 2), value, np.float16)),
            ],
            schema=SCHEMA,
        )
        parts.append(write_part(folder, f"part-{number:05d}.parquet", table, SCHEMA, STORAGE))
    facts = {"dim": 2, "space": "space", "model_fingerprint": "model"}
    manifest = Manifest(
        kind="embeddings", name=folder, hash="h", parts=tuple(parts), attributes=facts
    )
    return Dataset(manifest=manifest, folder=folder)


@settings(max_examples=25, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=4), st.integers(1, 40))
def test_blocks_are_a_partition_of_the_pool(
    tmp_path_factory: pytest.TempPathFactory, texts: list[set[int]], size: int
) -> None:
    """Each text is in one block, with the vector of the first corpus that holds it."""
    folder = tmp_path_factory.mktemp("pool")
    # the same text has another vector in each corpus
    datasets = [corpus(f"{folder}/{i}", some, 2.0**-i) for i, some in enumerate(texts)]
    whole = read_pool(datasets, "deu", STORAGE)
    assert whole["segment_id"].to_pylist() == sorted(
        text_segment_id("deu", str(t)) for t in set().union(*texts)
    )
    blocks = blocks_of(datasets, "deu", size)
    cut = [read_block(datasets, "deu", block, STORAGE) for block in blocks]
    assert pa.concat_tables(one.rows for one in cut).sort_by("segment_id").equals(whole)
    assert sum(one.rows.num_rows + one.elsewhere for one in cut) == sum(map(len, texts))
    held = [one.rows.num_rows + one.elsewhere for one in cut]
    assert all(n <= size for n, block in zip(held, blocks, strict=True) if block.shares == 1)


@settings(max_examples=25, deadline=None)
@given(st.lists(TEXTS, min_size=2, max_size=3), st.integers(1, 40))
def test_a_further_corpus_leaves_the_blocks_of_the_others_as_they_are(
    tmp_path_factory: pytest.TempPathFactory, texts: list[set[int]], size: int
) -> None:
    folder = tmp_path_factory.mktemp("pool")
    datasets = [corpus(f"{folder}/{i}", some, 0.5) for i, some in enumerate(texts)]

    def contents(some: list[Dataset]) -> list[str]:
        blocks = blocks_of(some, "deu", size)
        return [content_of(read_block(some, "deu", b, STORAGE).rows) for b in blocks]

    before, after = contents(datasets[:-1]), contents(datasets)
    assert after[: len(before)] == before


def test_a_large_part_is_cut_into_shares_of_about_the_wanted_size(tmp_path) -> None:
    data = corpus(str(tmp_path), set(range(300)), 0.5)
    blocks = blocks_of([data], "deu", 25)
    sizes = [read_block([data], "deu", block, STORAGE).rows.num_rows for block in blocks]
    assert sum(sizes) == 300
    assert {block.shares for block in blocks} <= {4, 5}
    assert all(10 <= size <= 40 for size in sizes)
    manifest = Manifest(kind="embeddings", name="a", hash="h", parts=())
    assert blocks_of([Dataset(manifest=manifest, folder="a")], "deu", 5) == []


def test_the_content_of_rows_is_that_of_ids_and_vectors() -> None:
    def table(ids: list[str], values: list[list[float]]) -> pa.Table:
        return pa.table({"segment_id": ids, "vector": pack(np.array(values, np.float16))})

    rows = table(["a", "b", "c"], [[1, 0], [0, 1], [1, 1]])
    assert content_of(rows) == content_of(pa.concat_tables([rows[:1], rows[1:]]))
    assert content_of(rows[1:]) == content_of(table(["b", "c"], [[0, 1], [1, 1]]))
    others = [
        table(["a", "b", "d"], [[1, 0], [0, 1], [1, 1]]),
        table(["a", "b", "c"], [[1, 0], [0, 1], [1, 0]]),
        table(["a", "b", "c"], [[0, 1], [1, 0], [1, 1]]),
        rows[:2], rows[:0],
    ]  # fmt: skip
    assert len({content_of(one) for one in [rows, *others]}) == 6
