"""mining.io.filesystem on a local disk, in memory, and against an S3 server on loopback."""

import bz2
import errno
import gzip
import io
import lzma
import os
import uuid
from pathlib import Path

import fsspec
import pytest
import zstandard

from mining.contract.errors import CapacityError, InputError, StorageError
from mining.io.filesystem import (
    Storage,
    exists,
    list_glob,
    open_decompressed,
    open_read,
    read_bytes,
    remove,
    size,
    write_atomic,
)

HERE = Storage()


@pytest.fixture(scope="module")
def s3():
    """A Storage whose s3 is a moto server with the bucket ``corpus``."""
    boto3 = pytest.importorskip("boto3")
    server_module = pytest.importorskip("moto.server")
    server = server_module.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"endpoint_url": f"http://{host}:{port}", "region_name": "us-east-1"}
    secret = {"aws_access_key_id": "k", "aws_secret_access_key": "s"}
    boto3.client("s3", **keys, **secret).create_bucket(Bucket="corpus")
    yield Storage(options={"s3": {"key": "k", "secret": "s", "endpoint_url": keys["endpoint_url"]}})
    server.stop()


@pytest.fixture(params=["relative", "absolute", "file", "memory", "s3"])
def root(request, tmp_path, monkeypatch):
    """(URI of an empty folder, Storage), for every kind of storage."""
    monkeypatch.chdir(tmp_path)
    name = uuid.uuid4().hex
    if request.param == "s3":
        return f"s3://corpus/{name}", request.getfixturevalue("s3")
    roots = {
        "relative": name,
        "absolute": f"{tmp_path}/{name}",
        "file": f"file://{tmp_path}/{name}",
        "memory": f"memory://{name}",
    }
    return roots[request.param], HERE


def test_what_is_written_can_be_read_listed_measured_and_removed(root):
    base, storage = root
    uri = f"{base}/a/b.txt"
    assert not exists(uri, storage)
    write_atomic(uri, b"first", storage)
    write_atomic(uri, b"second!", storage)
    write_atomic(f"{base}/a/c.bin", lambda file: file.write(b"by a function"), storage)
    assert read_bytes(uri, storage) == b"second!"
    assert read_bytes(f"{base}/a/c.bin", storage) == b"by a function"
    assert size(uri, storage) == 7
    assert exists(uri, storage)
    assert exists(f"{base}/a", storage)
    with open_read(uri, storage) as file:
        file.seek(3)
        assert file.read() == b"ond!"
    assert list_glob(f"{base}/*/*", storage) == [uri, f"{base}/a/c.bin"]
    remove(uri, storage)
    assert not exists(uri, storage)
    assert list_glob(base, storage) == [f"{base}/a/c.bin"]


def test_patterns_name_files_in_order_and_leave_hidden_ones_out(root):
    base, storage = root
    names = ["z.txt", "deu/b.txt", "deu/a.txt", "eng/x/y.txt", "eng/a.tsv", "deu/[1].txt"]
    hidden = [".tmp.txt", "_manifest.txt", "deu/_state/a.txt", "deu/.a.txt"]
    for name in names + hidden:
        write_atomic(f"{base}/{name}", b"x", storage)

    def found(pattern):
        return [uri.removeprefix(f"{base}/") for uri in list_glob(f"{base}/{pattern}", storage)]

    assert found("*.txt") == ["z.txt"]
    assert found("*/*.txt") == ["deu/[1].txt", "deu/a.txt", "deu/b.txt"]
    assert found("**/*.txt") == sorted(n for n in names if n.endswith("txt"))
    assert found("deu/?.txt") == ["deu/a.txt", "deu/b.txt"]
    assert found("deu/[!b].txt") == ["deu/a.txt"]
    assert found("deu/[1].txt") == ["deu/[1].txt"]
    assert found("eng/**") == ["eng/a.tsv", "eng/x/y.txt"]
    assert found("") == sorted(names)
    assert found("none/*.txt") == []
    assert found("none.txt") == []
    assert found("_manifest.txt") == ["_manifest.txt"]


@pytest.mark.parametrize(
    ("suffix", "compress"),
    [
        (".gz", gzip.compress),
        (".zst", zstandard.ZstdCompressor().compress),
        (".bz2", bz2.compress),
        (".xz", lzma.compress),
        (".GZ", gzip.compress),
    ],
)
def test_compressed_files_of_several_members(tmp_path, suffix, compress):
    first, second = os.urandom(300_000), b"last line"
    path = tmp_path / f"a{suffix}"
    whole = compress(first) + compress(b"") + compress(second)
    path.write_bytes(whole)
    with open_decompressed(str(path), HERE) as file:
        assert file.read() == first + second
    for kept in (len(whole) - 1, 200_000):
        path.write_bytes(whole[:kept])
        with open_decompressed(str(path), HERE) as file, pytest.raises(InputError) as raised:
            file.read()
        assert str(path) in str(raised.value)
    path.write_bytes(b"not compressed at all" * 10)
    with open_decompressed(str(path), HERE) as file, pytest.raises(InputError, match="a\\."):
        file.read()


def test_decompression_is_streamed(tmp_path):
    path = tmp_path / "zeros.zst"
    compressor = zstandard.ZstdCompressor()
    with open(path, "wb") as file, compressor.stream_writer(file) as writer:
        for _ in range(64):
            writer.write(bytes(1 << 20))
    with open_decompressed(str(path), HERE) as file:
        assert len(file.read(10)) == 10
        assert sum(len(chunk) for chunk in iter(lambda: file.read(1 << 20), b"")) == (64 << 20) - 10


def test_missing_things_are_named(root):
    base, storage = root
    for call in (open_read, open_decompressed, read_bytes, size):
        with pytest.raises(InputError, match=r"none\.gz"):
            call(f"{base}/none.gz", storage)
    remove(f"{base}/none.gz", storage)


def test_missing_bucket_is_named(s3):
    with pytest.raises(InputError, match="no-such-bucket"):
        read_bytes("s3://no-such-bucket/a.txt", s3)
    with pytest.raises(InputError, match="no-such-bucket"):
        write_atomic("s3://no-such-bucket/a.txt", b"x", s3)


def test_unreachable_store_is_no_fault_of_the_data():
    options = {"key": "k", "secret": "s", "endpoint_url": "http://127.0.0.1:9"}
    config = {"config_kwargs": {"retries": {"max_attempts": 0}, "connect_timeout": 1}}
    dead = Storage(options={"s3": {**options, **config}}, patience_s=0)
    for call in (read_bytes, exists, list_glob):
        with pytest.raises(StorageError, match="s3://corpus/a"):
            call("s3://corpus/a", dead)


def test_unknown_scheme_and_folder_as_file(tmp_path):
    with pytest.raises(InputError, match="ftpx"):
        read_bytes("ftpx://host/a", HERE)
    with pytest.raises(InputError, match=str(tmp_path)):
        read_bytes(str(tmp_path), HERE)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may do anything")
def test_permission_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="permission"):
        write_atomic(f"{tmp_path}/a", b"x", HERE)


def test_denied_access_is_an_input_error(tmp_path, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise PermissionError(errno.EACCES, "denied")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(InputError, match="permission"):
        write_atomic(f"{tmp_path}/a", b"x", HERE)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_leaves_the_old_file_and_no_rubbish(tmp_path, monkeypatch, code):
    path = tmp_path / "a.txt"
    write_atomic(str(path), b"old", HERE)

    def full(_descriptor):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CapacityError, match=r"disk full.*run the same command again"):
        write_atomic(str(path), b"new", HERE)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_writer_that_fails_leaves_nothing(root):
    base, storage = root

    def fail(file):
        file.write(b"half")
        raise KeyError("of the caller")

    with pytest.raises(KeyError):
        write_atomic(f"{base}/a.txt", fail, storage)
    assert not exists(f"{base}/a.txt", storage)


def test_the_temporary_file_is_hidden_and_beside(tmp_path):
    def look(file: io.BufferedWriter):
        assert Path(file.name).parent == tmp_path
        assert Path(file.name).name.startswith(".")
        assert list_glob(str(tmp_path), HERE) == []

    write_atomic(f"{tmp_path}/a.txt", look, HERE)
    assert list_glob(str(tmp_path), HERE) == [f"{tmp_path}/a.txt"]


def test_what_another_process_writes_is_seen(s3):
    uri = f"s3://corpus/{uuid.uuid4().hex}/a.txt"
    assert list_glob(os.path.dirname(uri), s3) == []
    other = fsspec.filesystem("s3", **s3.options["s3"], skip_instance_cache=True)
    other.pipe_file(uri, b"x")
    assert exists(uri, s3)
    assert list_glob(os.path.dirname(uri), s3) == [uri]
