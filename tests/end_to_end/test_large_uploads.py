"""Files of more than 100 MB on an object store: sent in parts, and there whole or not at all."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mining.contract.errors import InputError, StorageError
from mining.contract.schemas import embedding_schema
from mining.io.filesystem import Storage
from mining.io.parquet import read_part, write_part, write_tables
from tests.end_to_end.object_stores import Faults, Store, gs_store, proxy_before, s3_store

DIM = 1024
ROWS = 54_000  # of 2,048 bytes that cannot be compressed: 110 MB, three parts of s3fs' and gcsfs' 50 MiB
SCHEMA = embedding_schema(DIM, "space", "model")
STORES = {"s3": s3_store, "gs": gs_store}
# so that the client itself gives up soon
_QUICK = {"s3": {"config_kwargs": {"retries": {"max_attempts": 0}}}, "gs": {}}

Write = Callable[[str, Storage], None]


@pytest.fixture(params=["s3", "gs"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    with opened(request.param) as found:
        yield found


@contextmanager
def opened(kind: str) -> Iterator[Store]:
    if kind == "gs":
        pytest.importorskip("gcp_storage_emulator", reason="needs gcp-storage-emulator and gcsfs")
    with STORES[kind]() as found:
        yield found


@pytest.fixture(scope="module")
def table() -> pa.Table:
    """Embeddings."""
    drawn = pa.py_buffer(np.random.default_rng(0).bytes(ROWS * DIM * 2))
    vectors = pa.Array.from_buffers(pa.binary(DIM * 2), ROWS, [None, drawn])
    ids = [f"{row:032x}" for row in range(ROWS)]
    return pa.table([ids, ["deu"] * ROWS, vectors], schema=SCHEMA)


@pytest.fixture(scope="module", params=["part", "tables"])
def write(request: pytest.FixtureRequest, table: pa.Table) -> Write:
    """Write it as stages do: all at once out of memory, or piece by piece through a file."""

    def part(uri: str, storage: Storage) -> None:
        write_part(*uri.rsplit("/", 1), table, SCHEMA, storage)

    def tables(uri: str, storage: Storage) -> None:
        pieces = (table.slice(start, 10_000) for start in range(0, ROWS, 10_000))
        write_tables(uri, pieces, SCHEMA, storage)

    return {"part": part, "tables": tables}[request.param]


def of_disk(write: Write, folder: Path) -> str:
    """sha256 of what is written to a disk."""
    path = folder / "local.parquet"
    write(str(path), Storage())
    data = path.read_bytes()
    assert len(data) > 100e6
    return hashlib.sha256(data).hexdigest()


@contextmanager
def watched(store: Store) -> Iterator[set[tuple[str, int]]]:
    """Every (name, size) that the store showed meanwhile."""
    seen: set[tuple[str, int]] = set()
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.02):
            seen.update(store.sizes().items())

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()


# The first request begins an upload. The parts for S3 are sent at once, those for gs one by one.
_IN_PARTS = {2: "broken", 3: "late", 4: "cut", 6: "refused", 7: "unanswered"}


def test_a_large_file_arrives_whole_through_faults_in_its_parts(
    store: Store, write: Write, table: pa.Table, tmp_path: Path
) -> None:
    uri = f"{store.uri}/out/big.parquet"
    store.put("out/big.parquet", b"what was there before")
    faults = Faults(at=_IN_PARTS, late_s=0.5)
    with proxy_before(store, faults) as proxy, watched(store) as seen:
        storage = Storage(options=store.through(proxy))
        write(uri, storage)
        (data,) = store.objects().values()
        faults.at = dict.fromkeys(range(faults.requests + 2, faults.requests + 5), "torn")
        assert read_part(uri, SCHEMA, storage).equals(table)
    assert hashlib.sha256(data).hexdigest() == of_disk(write, tmp_path)
    # whoever looked saw the old one or the new one
    assert {size for _, size in seen} <= {len(b"what was there before"), len(data)}
    struck = {name: faults.seen[name] for name in (*_IN_PARTS.values(), "torn")}
    assert min(struck.values()) > 0, struck


@pytest.mark.parametrize(
    "number", [pytest.param(2, marks=pytest.mark.slow), 3, pytest.param(4, marks=pytest.mark.slow)]
)
def test_an_upload_that_the_store_gave_up_begins_anew(
    store: Store, table: pa.Table, number: int
) -> None:
    faults = Faults(at={number: "given_up"})
    with proxy_before(store, faults) as proxy:
        write_part(store.uri, "big.parquet", table, SCHEMA, Storage(options=store.through(proxy)))
    assert faults.seen["given_up"] == 1
    (data,) = store.objects().values()
    assert len(data) > 100e6
    assert pq.read_table(pa.BufferReader(data)).equals(table)


def test_a_large_file_for_a_bucket_that_is_not_there_is_refused_at_once(
    store: Store, write: Write
) -> None:
    scheme = store.uri.partition("://")[0]
    with pytest.raises(InputError, match=r"/big\.parquet: no such file, folder or bucket"):
        write(f"{scheme}://nowhere/big.parquet", Storage(options=store.options))


_MOMENTS = [("s3", 1), ("s3", 4), ("gs", 1), ("gs", 3)]  # gcsfs itself asks for a minute


@pytest.mark.parametrize(
    ("kind", "moment"),
    [("s3", 3), *(pytest.param(*one, marks=pytest.mark.slow) for one in _MOMENTS)],
)
def test_an_outage_in_the_middle_leaves_nothing_and_the_same_call_goes_on(
    kind: str, moment: int, table: pa.Table
) -> None:
    with opened(kind) as store:
        faults = Faults(down_after=moment)
        with proxy_before(store, faults) as proxy, watched(store) as seen:
            options = store.through(proxy, **_QUICK[kind])
            storage = Storage(options=options, patience_s=1)
            with pytest.raises(StorageError, match="the storage must answer, but does not") as told:
                write_part(store.uri, "big.parquet", table, SCHEMA, storage)
            assert str(told.value).startswith(f"{store.uri}/big.parquet: ")
            assert "\n" not in str(told.value)
            assert store.objects() == {}
            assert seen == set()
            faults.down_after = -1
            part = write_part(store.uri, "big.parquet", table, SCHEMA, storage)
        (data,) = store.objects().values()
        assert hashlib.sha256(data).hexdigest() == part.sha256
