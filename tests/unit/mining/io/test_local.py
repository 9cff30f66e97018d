"""Local paths of files anywhere, and digests of files."""

import hashlib
import os
from pathlib import Path

import pytest

from mining.contract.errors import CapacityError, InputError
from mining.io.filesystem import Storage, write_atomic
from mining.io.local import file_digest, local_file

HERE = Storage()
DATA = os.urandom(3 << 20) + b"end"


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_a_local_file_is_given_as_it_lies(tmp_path, prefix):
    path = tmp_path / "a b.bin"
    path.write_bytes(DATA)
    with local_file(f"{prefix}{path}", HERE) as found:
        assert found == path
    assert path.exists()


def test_a_relative_address_stays_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.bin").write_bytes(DATA)
    with local_file("./a.bin", HERE) as found:
        assert found.read_bytes() == DATA


def test_a_remote_file_is_copied_and_the_copy_removed(monkeypatch, tmp_path):
    write_atomic("memory://local/a.bin", DATA, HERE)
    with local_file("memory://local/a.bin", HERE) as found:
        assert found.read_bytes() == DATA
        folder = found.parent
    assert not folder.exists()
    folders = []
    with pytest.raises(ZeroDivisionError), local_file("memory://local/a.bin", HERE) as found:
        folders.append(found.parent) or 1 / 0
    assert not folders[0].exists()


@pytest.mark.parametrize("uri", ["memory://local/none.bin", "{tmp}/none.bin", "file://{tmp}/no/a"])
def test_what_is_missing_is_named(tmp_path, uri):
    uri = uri.format(tmp=tmp_path)
    with pytest.raises(InputError, match=r"no such file"), local_file(uri, HERE):
        pass


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(InputError, match=str(tmp_path)), local_file(str(tmp_path), HERE):
        pass


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_named(monkeypatch):
    write_atomic("memory://local/a.bin", DATA, HERE)

    def full(*_):
        return open("/dev/full", "wb")

    monkeypatch.setattr("mining.io.local.open", full, raising=False)
    with (
        pytest.raises(CapacityError, match=r"a\.bin: disk full"),
        local_file("memory://local/a.bin", HERE),
    ):
        pass


def test_the_digest_is_of_the_bytes_only(tmp_path):
    for name, data in (("a.wav", DATA), ("b.mp3", DATA), ("empty", b"")):
        path = tmp_path / name
        path.write_bytes(data)
        assert file_digest(path) == hashlib.blake2b(data, digest_size=16).hexdigest()
    with pytest.raises(InputError, match="no such file"):
        file_digest(tmp_path / "none")
