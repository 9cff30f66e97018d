"""A tile's result comes back as it was found, or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from mining.contract.errors import DatasetError
from mining.contract.schemas import BACKWARD, FORWARD
from mining.contract.vectors import to_stored
from mining.io.filesystem import Storage
from mining.io.tiles import TILE, Tiles, neighbors_of, tile_address, tile_of
from mining.knn import Vectors, search_arrays, search_tile_both

STORAGE = Storage()


def vectors(prefix: str, rows: int, seed: int) -> Vectors:
    values = np.random.default_rng(seed).normal(size=(rows, 6))
    ids = pa.array([f"{prefix}{row:03d}" for row in range(rows)], pa.string())
    return Vectors(ids, to_stored(values)[0])


@pytest.mark.parametrize(("n", "m", "k"), [(7, 9, 4), (5, 2, 4), (0, 3, 2), (3, 0, 2)])
def test_neighbours_come_back_from_a_file(tmp_path: Path, n: int, m: int, k: int) -> None:
    x, y = vectors("x", n, 1), vectors("y", m, 2)
    tiles = Tiles(folder=str(tmp_path), storage=STORAGE)
    sides = ((x, y, FORWARD), (y, x, BACKWARD))
    tables, arrays = search_tile_both(x, y, k), search_arrays(x.values, y.values, k)
    for table, found, (queries, index, direction) in zip(tables, arrays, sides, strict=True):
        address = tile_address(direction, "index", k)
        tiles.write(address, tile_of(found.row, found.similarity))
        due = len(queries) * min(k, len(index))
        assert tiles.holds(address, due)
        kept = tiles.read_if_whole(address, due)
        assert kept is not None
        assert neighbors_of(kept, queries.ids, index.ids, direction) == table


def test_an_address_is_of_both_blocks_their_roles_and_k() -> None:
    addresses = {tile_address(*one) for one in (("a", "b", 1), ("b", "a", 1), ("a", "b", 2))}
    assert len(addresses) == 3
    assert all(len(address) == 32 for address in addresses)


def test_what_is_cut_short_or_of_another_size_is_not_there(tmp_path: Path) -> None:
    tiles = Tiles(folder=str(tmp_path), storage=STORAGE)
    tiles.write("abc", pa.table([[1, 2], [0.5, 0.25]], schema=TILE))
    (path,) = tmp_path.rglob("*.parquet")
    assert tiles.holds("abc", 2)
    assert tiles.read_if_whole("abc", 2) is not None
    for address, rows in (("abc", 3), ("abd", 2)):
        assert not tiles.holds(address, rows)
        assert tiles.read_if_whole(address, rows) is None
    path.write_bytes(path.read_bytes()[:-5])
    assert not tiles.holds("abc", 2)
    assert tiles.read_if_whole("abc", 2) is None


def test_strangers_are_removed(tmp_path: Path) -> None:
    tiles = Tiles(folder=str(tmp_path), storage=STORAGE)
    for address in ("aa1", "aa2", "bb1"):
        tiles.write(address, TILE.empty_table())
    tiles.remove_others(["aa2", "cc1"])
    assert [path.stem for path in tmp_path.rglob("*.parquet")] == ["aa2"]


def test_a_tile_of_other_blocks_is_an_error() -> None:
    tile = pa.table([[0, 0, 0], [0.5, 0.5, 0.5]], schema=TILE)
    with pytest.raises(DatasetError, match="2 queries"):
        neighbors_of(tile, pa.array(["a", "b"]), pa.array(["c"]), FORWARD)
