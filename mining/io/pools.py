"""The rows of one language out of several corpora: a pool, in which a text stands once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mining.contract.schemas import embedding_schema
from mining.io.dataset import Manifest
from mining.io.filesystem import Storage
from mining.io.parquet import read_part


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A finished dataset and where it is."""

    manifest: Manifest
    folder: str

    def schema(self) -> pa.Schema:
        """Schema of an embedding dataset, from the manifest's attributes."""
        facts = self.manifest.attributes
        return embedding_schema(facts["dim"], facts["space"], facts["model_fingerprint"])


@dataclass(frozen=True, kw_only=True)
class Block:
    """Some rows of a language.

    Attributes:
        paths: parts that hold them; the same names in every corpus, since a text's part is decided
            by its id.
        share: of those rows, the ones whose id is ``share`` modulo ``shares``.
        shares: into how many shares the parts are cut; 1: not at all.
    """

    paths: tuple[str, ...]
    share: int = 0
    shares: int = 1

    @classmethod
    def of(cls, value: Mapping[str, object]) -> Block:
        """From its JSON form."""
        return cls(**{**value, "paths": tuple(value["paths"])})  # type: ignore[arg-type]


def blocks_of(datasets: Sequence[Dataset], lang: str, block_rows: int) -> list[Block]:
    """Cut the rows of ``lang`` (all corpora together) into blocks of about ``block_rows``.

    Small parts are put together; a part with more rows is cut into shares by id.
    """
    counts: dict[str, int] = {}
    for dataset in datasets:
        for part in dataset.manifest.parts:
            if lang in part.langs:
                counts[part.path] = counts.get(part.path, 0) + part.langs[lang]
    blocks: list[Block] = []
    filled = block_rows  # of the last block; full
    for path in sorted(counts):
        rows = counts[path]
        if rows > block_rows:
            shares = -(-rows // block_rows)
            blocks += [Block(paths=(path,), share=i, shares=shares) for i in range(shares)]
            filled = block_rows
        elif filled + rows > block_rows:
            blocks.append(Block(paths=(path,)))
            filled = rows
        else:
            blocks[-1] = Block(paths=(*blocks[-1].paths, path))
            filled += rows
    return blocks


def read_pool(
    datasets: Sequence[Dataset], lang: str, block: Block | None, storage: Storage
) -> pa.Table:
    """Embeddings of a language: columns segment_id and vector, distinct and sorted by id.

    Args:
        datasets: embeddings of one space.
        lang: whose rows.
        block: which of them; None: all.
        storage: fsspec options.
    """
    columns = ["segment_id", "vector"]
    tables = [
        read_part(
            f"{dataset.folder}/{part.path}", dataset.schema(), storage,
            columns=columns, lang=lang, keep=_share_of(block),
        ).replace_schema_metadata()
        for dataset in datasets
        for part in dataset.manifest.parts
        if lang in part.langs and (block is None or part.path in block.paths)
    ]  # fmt: skip
    return distinct(pa.concat_tables(tables))


def distinct(table: pa.Table) -> pa.Table:
    """First row of each segment_id, sorted by it."""
    _, first = np.unique(table["segment_id"].to_numpy(), return_index=True)
    return table.take(pa.array(first)).combine_chunks()


def _share_of(block: Block | None) -> Callable[[pa.Table], pa.Table] | None:
    if block is None or block.shares == 1:
        return None

    def keep(table: pa.Table) -> pa.Table:
        # other digits than those that decide the part, which are the same in all its rows
        ids = (int(i[16:31], 16) for i in table["segment_id"].to_pylist())
        numbers = np.fromiter(ids, dtype=np.int64, count=table.num_rows)
        return table.filter(pa.array(numbers % block.shares == block.share))

    return keep
