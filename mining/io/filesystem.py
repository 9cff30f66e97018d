"""The one place that opens URIs: local paths, file://, memory://, s3:// and gs://, by fsspec.

Relative local paths are relative to the current directory and stay relative in what is returned.
Every failure is an :class:`InputError` that names the URI, a :class:`CapacityError` when a disk is full,
or a :class:`StorageError` when an object store does not answer for long.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import re
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import fsspec
import pyarrow as pa

from mining.contract.errors import ConfigError, InputError
from mining.io.naming import Naming
from mining.io.patience import PatientFile, patiently

T = TypeVar("T")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://+")
_WILDCARD = re.compile(r"[*?\[]")
_BUFFER_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Storage:
    """How to reach storage.

    Attributes:
        options: protocol ("s3", "gs", ...) -> keyword arguments of its fsspec file system, such as
            ``{"s3": {"endpoint_url": "http://localhost:9000"}}``. A protocol that is not named
            takes its own defaults (environment, configuration files).
        patience_s: how long a store that is out of order is asked again, in seconds.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    patience_s: float = 120.0


@dataclass(frozen=True)
class _Place:
    """A URI taken apart: file system, path in it, and how the URI was spelled."""

    fs: Any
    path: str
    prefix: str  # scheme, "://" and leading slashes; empty for a path without a scheme
    is_local: bool
    patience_s: float = 0.0

    def ask(self, call: Callable[[], T]) -> T:
        """What the file system answers; a store that is out of order is asked again."""
        if self.is_local:
            return call()
        return patiently(self.uri(self.path), self.patience_s, call)

    def uri(self, path: str) -> str:
        """The URI of another path of this file system, in the spelling of this one."""
        return self.prefix + path.lstrip("/") if self.prefix else path


class _Decompressed(io.RawIOBase):
    """A decompressing stream whose errors name the URI."""

    def __init__(self, stream: Any, source: BinaryIO, uri: str) -> None:
        self._stream = stream
        self._source = source
        self._uri = uri

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with Naming(self._uri):
            data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
            self._source.close()
        super().close()


def _zstd_stream(source: BinaryIO) -> Any:
    # Arrow's reader goes on over frames and raises at a cut one; zstandard's stream_reader ends
    # silently there.
    return pa.CompressedInputStream(pa.PythonFile(source, mode="r"), "zstd")


_DECOMPRESSORS: dict[str, Callable[[BinaryIO], Any]] = {
    ".gz": lambda source: gzip.GzipFile(fileobj=source, mode="rb"),
    ".zst": _zstd_stream,
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
}
COMPRESSED_SUFFIXES: tuple[str, ...] = tuple(_DECOMPRESSORS)


def _locate(uri: str, storage: Storage) -> _Place:
    match = _SCHEME.match(uri)
    scheme = match.group(1).lower() if match else "file"
    prefix = match.group() if match else ""
    if scheme == "file":
        path = os.path.expanduser(re.sub("/{2,}", "/", uri[len(prefix) :] if match else uri))
        if match:
            path, prefix = f"/{path.lstrip('/')}", "file:///"
        return _Place(fsspec.filesystem("file"), path, prefix, is_local=True)
    # asks another service what kind of bucket it is, for a minute where that does not answer
    os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    try:
        fs = fsspec.filesystem(scheme, **storage.options.get(scheme, {}))
    except ValueError as error:
        raise InputError(
            f"{uri}: the scheme must be one of file, memory, s3, gs, but is {scheme!r}"
        ) from error
    except TypeError as error:
        raise ConfigError(
            f"execution.storage.{scheme}: must be options that the file system knows, but {error}"
        ) from error
    except ImportError as error:
        raise InputError(
            f"{uri}: {scheme}:// needs a package that is not installed ({error}); "
            "install the extra 'aws' or 'gcp'"
        ) from error
    return _Place(fs, fs._strip_protocol(uri), prefix, False, storage.patience_s)


def open_read(uri: str, storage: Storage) -> BinaryIO:
    """Open for reading, seekable, as stored.

    Raises:
        InputError: missing, not a file, or not permitted.
    """
    place = _locate(uri, storage)

    def ask(call: Callable[[], Any]) -> Any:
        with Naming(uri):
            return place.ask(call)

    file = ask(lambda: place.fs.open(place.path, "rb"))
    if place.is_local:
        return cast(BinaryIO, file)
    return cast(BinaryIO, io.BufferedReader(PatientFile(file, ask), _BUFFER_BYTES))


def open_decompressed(uri: str, storage: Storage) -> BinaryIO:
    """Open for reading, decompressed by suffix (.gz .zst .bz2 .xz), as a stream of bounded memory.

    Concatenated members or frames are read one after the other.

    Raises:
        InputError: as :func:`open_read`; and on reading, when the compressed file is cut or
        damaged.
    """
    source = open_read(uri, storage)
    decompressor = _DECOMPRESSORS.get(compressed_suffix(uri))
    if decompressor is None:
        return source
    with Naming(uri):
        stream = _Decompressed(decompressor(source), source, uri)
    return cast(BinaryIO, io.BufferedReader(stream, _BUFFER_BYTES))


def compressed_suffix(uri: str) -> str:
    """The suffix by which ``uri`` is compressed (".gz"), or the empty string."""
    suffix = os.path.splitext(uri)[1].lower()
    return suffix if suffix in _DECOMPRESSORS else ""


def exists(uri: str, storage: Storage) -> bool:
    """Is there a file or a folder? An error other than "not there" raises InputError."""
    place = _locate(uri, storage)
    place.fs.invalidate_cache()
    with Naming(uri):
        try:
            place.ask(lambda: place.fs.info(place.path))
        except (FileNotFoundError, NotADirectoryError):
            return False
    return True


def size(uri: str, storage: Storage) -> int:
    """Bytes of a file as stored. Raises InputError if it is missing."""
    place = _locate(uri, storage)
    place.fs.invalidate_cache()
    with Naming(uri):
        return int(place.ask(lambda: place.fs.info(place.path))["size"])


def version(uri: str, storage: Storage) -> str:
    """What changes when a file changes, without reading it: its size, and its time or entity tag.

    Raises:
        InputError: it is missing.
    """
    place = _locate(uri, storage)
    place.fs.invalidate_cache()
    with Naming(uri):
        info = place.ask(lambda: place.fs.info(place.path))
    keys = ("size", "mtime", "etag", "ETag", "md5Hash", "LastModified", "created")
    stamp = next((f"{key} {info[key]}" for key in keys[1:] if info.get(key)), "")
    return f"{info['size']} bytes, {stamp}"


def read_bytes(uri: str, storage: Storage) -> bytes:
    """The whole file. Raises InputError if it is missing."""
    place = _locate(uri, storage)
    with Naming(uri):
        return cast(bytes, place.ask(lambda: place.fs.cat_file(place.path)))


def remove(uri: str, storage: Storage) -> None:
    """Delete a file; nothing happens if there is none, as on S3, so that a retry may repeat."""
    place = _locate(uri, storage)
    with Naming(uri), suppress(FileNotFoundError):
        place.ask(lambda: place.fs.rm_file(place.path))


def remove_folder(uri: str, storage: Storage) -> None:
    """Delete a folder and all in it, hidden files included; nothing happens if there is none."""
    place = _locate(uri, storage)
    place.fs.invalidate_cache()
    with Naming(uri), suppress(FileNotFoundError):
        place.ask(lambda: place.fs.rm(place.path, recursive=True))


def entries_of(uri: str, storage: Storage) -> list[dict[str, Any]]:
    """What fsspec tells of everything right below a folder; nothing of one that is not there."""
    place = _locate(uri, storage)
    place.fs.invalidate_cache()
    with Naming(uri), suppress(FileNotFoundError, NotADirectoryError):
        return list(place.ask(lambda: place.fs.ls(place.path, detail=True)))
    return []


def list_glob(pattern: str, storage: Storage, *, hidden: bool = False) -> list[str]:
    """The files that a URI, a folder or a pattern names.

    ``*``, ``?`` and ``[...]`` stay within one path component, ``**`` stands for any number of them.
    A folder without a wildcard means every file below it. Below the part without a wildcard, names
    that start with "." or "_" (temporary files, manifests, receipts) are skipped.

    Args:
        pattern: a URI. If a file has exactly this name, it is no pattern.
        storage: storage options.
        hidden: whether those that are skipped are wanted, too.

    Returns:
        URIs in the spelling of ``pattern``, sorted by code point; empty if nothing matches.

    Raises:
        InputError: a folder cannot be listed.
    """
    place = _locate(pattern, storage)
    place.fs.invalidate_cache()
    with Naming(pattern):
        kind = _kind(place, place.path)
        if kind == "file":
            return [pattern]
        if kind == "directory":
            base, wanted, depth = place.path.rstrip("/") or "/", None, None
        elif _WILDCARD.search(place.path):
            base, wanted, depth = _parse_pattern(place.path)
        else:
            return []
        is_folder = _kind(place, base or ".") == "directory"
        paths = _walk(place, base, depth, hidden) if is_folder else iter(())
        return sorted(place.uri(p) for p in paths if wanted is None or wanted.fullmatch(p))


def _kind(place: _Place, path: str) -> str:
    """What is there: "file", "directory", or the empty string for nothing."""
    try:
        return str(place.ask(lambda: place.fs.info(path))["type"])
    except (FileNotFoundError, NotADirectoryError):
        return ""


def _parse_pattern(path: str) -> tuple[str, re.Pattern[str], int | None]:
    """Folder without wildcards, regular expression of whole paths, depth below the folder."""
    parts = path.split("/")
    first = next(i for i, part in enumerate(parts) if _WILDCARD.search(part))
    base = "/".join(parts[:first])
    depth = None if "**" in path else len(parts) - first
    if first == 1 and path.startswith("/"):
        base = "/"
    return base, re.compile(glob_regex(path)), depth


def glob_regex(pattern: str) -> str:
    """The regular expression of the paths that a glob pattern names (see :func:`list_glob`)."""
    tokens = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    out = []
    for token in re.findall(r"\*\*/|\*\*|\*|\?|\[!?\]?[^\]]*\]|.", pattern, flags=re.DOTALL):
        if token in tokens:
            out.append(tokens[token])
        elif len(token) > 2 and token[0] == "[":
            body = token[1:-1].replace("\\", r"\\").replace("[", r"\[").replace("^", r"\^")
            out.append(f"[^/{body[1:]}]" if body[0] == "!" else f"[{body}]")
        else:
            out.append(re.escape(token))
    return "".join(out)


def _walk(place: _Place, folder: str, depth: int | None, hidden: bool) -> Iterator[str]:
    """Files below ``folder`` (at most ``depth`` levels), as ``folder`` joined with their names."""
    for entry in place.ask(lambda: place.fs.ls(folder or ".", detail=True)):
        name = entry["name"].rstrip("/").rsplit("/", 1)[-1]
        # An object store may list the folder itself as an empty object.
        itself = not place.is_local and entry["name"].rstrip("/") == folder.rstrip("/")
        if (name.startswith((".", "_")) and not hidden) or itself:
            continue
        path = f"{folder.rstrip('/')}/{name}" if folder else name
        if entry["type"] != "directory":
            yield path
        elif depth != 1:
            yield from _walk(place, path, None if depth is None else depth - 1, hidden)


def write_atomic(uri: str, data: bytes | Callable[[BinaryIO], object], storage: Storage) -> None:
    """Write a file that is there whole or not at all.

    Locally: a temporary file beside it whose name starts with ".", fsync, rename. The folder is not
    synced: a rename that a power cut undoes is work done again, never half a file. On an object
    store: one put of the finished bytes.

    Args:
        uri: what to write; missing local folders are made.
        data: the bytes, or a function that writes them to the file it is given.
        storage: storage options.

    Raises:
        CapacityError: the disk or the quota is full.
        InputError: not permitted, or no such bucket.
    """
    place = _locate(uri, storage)
    with Naming(uri):
        if place.is_local:
            _write_local(Path(place.path), data)
        elif callable(data):
            with tempfile.NamedTemporaryFile() as file:
                data(cast(BinaryIO, file))
                file.flush()
                place.ask(lambda: place.fs.put_file(file.name, place.path))
        else:
            place.ask(lambda: place.fs.pipe_file(place.path, data))


def _write_local(path: Path, data: bytes | Callable[[BinaryIO], object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{secrets.token_hex(8)}"
    try:
        with open(temporary, "xb") as file:
            if callable(data):
                data(file)
            else:
                file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
