"""What goes wrong with a file, as an error that names its URI."""

from __future__ import annotations

import errno
import gzip
import lzma
import zlib
from types import TracebackType

from mining.contract.errors import CapacityError, InputError

_FULL = (errno.ENOSPC, errno.EDQUOT)
# Libraries under fsspec whose errors are not OSErrors (no credentials, no such endpoint).
_CLIENT_LIBRARIES = frozenset({"aiobotocore", "aiohttp", "botocore", "gcsfs", "google", "s3fs"})


class Naming:
    """Context in which errors of storage and of decompression become errors that name the URI."""

    def __init__(self, uri: str) -> None:
        self.uri = uri

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if isinstance(error, OSError) and error.errno in _FULL:
            raise CapacityError(
                f"{self.uri}: disk full: {error.strerror}; nothing already written is lost; "
                "free space and run the same command again"
            ) from error
        if isinstance(error, FileNotFoundError):
            raise InputError(
                f"{self.uri}: no such file, folder or bucket; check the path"
            ) from error
        if isinstance(error, PermissionError):
            raise InputError(f"{self.uri}: permission denied; check access rights") from error
        if isinstance(error, (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)):
            raise InputError(
                f"{self.uri}: must be a whole compressed file, but is cut or damaged ({error}); "
                "fetch it again"
            ) from error
        if isinstance(error, OSError) or (
            error is not None and type(error).__module__.split(".")[0] in _CLIENT_LIBRARIES
        ):
            raise InputError(f"{self.uri}: cannot be used: {error}") from error
