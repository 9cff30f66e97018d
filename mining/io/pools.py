"""The rows of one language out of several corpora: a pool, in which a text stands once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

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
    """Some rows of a language in one corpus.

    Rows that an earlier corpus of the side holds, too, are that corpus' and not in the block.

    Attributes:
        dataset: the corpus, by its place on the side.
        paths: its parts that hold them; an id is in the part of the same name in every corpus.
        share: of those rows, the ones whose id is ``share`` modulo ``shares``.
        shares: into how many shares the parts are cut; 1: not at all.
    """

    dataset: int
    paths: tuple[str, ...]
    share: int = 0
    shares: int = 1


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A block's rows.

    Attributes:
        rows: the wanted columns, sorted by segment_id.
        elsewhere: rows that were left out, since an earlier corpus holds them.
    """

    rows: pa.Table
    elsewhere: int


def blocks_of(datasets: Sequence[Dataset], lang: str, block_rows: int) -> list[Block]:
    """Cut the rows of ``lang``, corpus by corpus, into blocks of about ``block_rows``.

    Small parts are put together; a part with more rows is cut into shares by id. No block holds rows
    of two corpora, so that another corpus after these leaves their blocks as they are.
    """
    blocks: list[Block] = []
    for number, dataset in enumerate(datasets):
        filled = block_rows  # of the last block; full
        parts = [part for part in dataset.manifest.parts if lang in part.langs]
        for part in sorted(parts, key=lambda part: part.path):
            rows = part.langs[lang]
            if rows > block_rows:
                shares = -(-rows // block_rows)
                blocks += [
                    Block(dataset=number, paths=(part.path,), share=i, shares=shares)
                    for i in range(shares)
                ]
                filled = block_rows
            elif filled + rows > block_rows:
                blocks.append(Block(dataset=number, paths=(part.path,)))
                filled = rows
            else:
                blocks[-1] = Block(dataset=number, paths=(*blocks[-1].paths, part.path))
                filled += rows
    return blocks


def read_block(
    datasets: Sequence[Dataset],
    lang: str,
    block: Block,
    storage: Storage,
    columns: Sequence[str] = ("segment_id", "vector"),
) -> Taken:
    """Embeddings of a block. All blocks of a language together are :func:`read_pool`.

    Args:
        datasets: embeddings of one space, in the order that the block was cut in.
        lang: whose rows.
        block: which of them.
        storage: fsspec options.
        columns: segment_id, and what else is wanted.
    """
    own = pa.concat_tables(_read([datasets[block.dataset]], lang, block, storage, columns))
    earlier = _read(datasets[: block.dataset], lang, block, storage, ("segment_id",))
    mine = own
    if earlier:
        taken = pa.concat_tables(earlier)["segment_id"].combine_chunks()
        mine = own.filter(pc.invert(pc.is_in(own["segment_id"], value_set=taken)))
    return Taken(rows=distinct(mine), elsewhere=own.num_rows - mine.num_rows)


def read_pool(datasets: Sequence[Dataset], lang: str, storage: Storage) -> pa.Table:
    """Embeddings of a language: columns segment_id and vector, distinct and sorted by id.

    A text that stands in several corpora has the vector of the first.

    Args:
        datasets: embeddings of one space.
        lang: whose rows.
        storage: fsspec options.
    """
    return distinct(
        pa.concat_tables(_read(datasets, lang, None, storage, ("segment_id", "vector")))
    )


def _read(
    datasets: Sequence[Dataset],
    lang: str,
    block: Block | None,
    storage: Storage,
    columns: Sequence[str],
) -> list[pa.Table]:
    return [
        read_part(
            f"{dataset.folder}/{part.path}", dataset.schema(), storage,
            columns=columns, lang=lang, keep=_share_of(block),
        ).replace_schema_metadata()
        for dataset in datasets
        for part in dataset.manifest.parts
        if lang in part.langs and (block is None or part.path in block.paths)
    ]  # fmt: skip


def content_of(rows: pa.Table) -> str:
    """Hex digest over ids and vectors in their order: equal rows, whatever files they came from.

    Args:
        rows: columns segment_id and vector, as :func:`read_block` returns them.
    """
    vectors = rows["vector"].combine_chunks()
    width = vectors.type.byte_width
    digest = hashlib.sha256(f"{width} {len(vectors)}\n".encode())
    digest.update("\n".join(rows["segment_id"].to_pylist()).encode("utf-8"))
    if len(vectors):
        start = vectors.offset * width
        digest.update(memoryview(vectors.buffers()[1])[start : start + len(vectors) * width])
    return digest.hexdigest()


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
