"""However a pool is cut into blocks, each of its texts is in one of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mining.contract.ids import partition_of, text_segment_id
from mining.contract.schemas import embedding_schema
from mining.contract.vectors import pack
from mining.io.dataset import Manifest
from mining.io.filesystem import Storage
from mining.io.parquet import write_part
from mining.io.pools import Block, Dataset, blocks_of, read_pool

import pyarrow as pa  # isort: skip

STORAGE = Storage()
SCHEMA = embedding_schema(2, "space", "model")
PARTITIONS = 3


def corpus(folder: str, texts: set[int]) -> Dataset:
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
                pack(np.full((len(ids), 2), 0.5, np.float16)),
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
@given(st.sets(st.integers(0, 60), min_size=1), st.sets(st.integers(0, 60)), st.integers(1, 40))
def test_blocks_are_a_partition_of_the_pool(
    tmp_path_factory: pytest.TempPathFactory, a: set[int], b: set[int], size: int
) -> None:
    folder = tmp_path_factory.mktemp("pool")
    datasets = [corpus(f"{folder}/a", a), corpus(f"{folder}/b", b)]
    whole = read_pool(datasets, "deu", None, STORAGE)["segment_id"].to_pylist()
    assert whole == sorted(text_segment_id("deu", str(t)) for t in a | b)
    blocks = blocks_of(datasets, "deu", size)
    cut = [read_pool(datasets, "deu", block, STORAGE)["segment_id"].to_pylist() for block in blocks]
    assert sorted(i for ids in cut for i in ids) == whole
    whole_parts = [len(ids) for ids, block in zip(cut, blocks, strict=True) if block.shares == 1]
    assert all(count <= size for count in whole_parts)


def test_a_large_part_is_cut_into_shares_of_about_the_wanted_size() -> None:
    assert Block.of({"paths": ["x"], "share": 1, "shares": 4}) == Block(
        paths=("x",), share=1, shares=4
    )
    manifest = Manifest(kind="embeddings", name="a", hash="h", parts=())
    assert blocks_of([Dataset(manifest=manifest, folder="a")], "deu", 5) == []
