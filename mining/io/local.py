"""Files as libraries want them that only open local paths; and the digest of a file's bytes."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mining.contract.uris import canonical_uri
from mining.io.filesystem import Storage, open_read
from mining.io.naming import Naming

_CHUNK_BYTES = 1 << 20


@contextmanager
def local_file(uri: str, storage: Storage) -> Iterator[Path]:
    """A local path of a file anywhere.

    A local file is given as it lies; a remote one is copied, a chunk at a time, to a temporary file
    ($TMPDIR) that is removed afterwards.

    Args:
        uri: any fsspec address of a file.
        storage: fsspec options.

    Raises:
        InputError: missing, not a file, or not permitted.
        CapacityError: the disk of temporary files is full.
    """
    address = canonical_uri(uri)
    with open_read(address, storage) as source:  # what is missing is named here, local or not
        if "://" not in address:
            source.close()
            yield Path(address)
            return
        with tempfile.TemporaryDirectory(prefix="mining-") as folder:
            path = Path(folder, "file")
            with Naming(uri), open(path, "xb") as copy:
                shutil.copyfileobj(source, copy, _CHUNK_BYTES)
            yield path


def file_digest(path: str | Path) -> str:
    """blake2b-128 of a local file's bytes, as 32 hex digits: the id of a recording.

    Raises:
        InputError: missing, not a file, or not permitted.
    """
    digest = hashlib.blake2b(digest_size=16)
    with open_read(str(path), Storage()) as file, Naming(str(path)):
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
