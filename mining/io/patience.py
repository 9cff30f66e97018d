"""Asking an object store again: what it refuses for the moment is no fault of the run.

The libraries below fsspec repeat a request some times within seconds. What is left of a longer fault is
waited for here, with pauses that grow, and ends in one error that says so.
"""

from __future__ import annotations

import errno
import io
import logging
import re
from collections.abc import Callable
from typing import Any, TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_before_delay,
    wait_random_exponential,
)

from mining.contract.errors import StorageError

T = TypeVar("T")
_LOG = logging.getLogger(__name__)
_LONGEST_PAUSE_S = 30.0
_PASSING_STATUS = (408, 410, 429)  # and 500 or more; 410: Cloud Storage gave up an upload
# A large object is sent in parts. Where the store no longer knows of those that it got, or got other
# ones than the client knows of (an answer was lost), all are sent again: nothing is visible before.
_LOST_UPLOAD = re.compile(
    r"\(NoSuchUpload\)|/upload/storage/\S*[?&]upload_id=|Invalid Content-Range"
)
_PASSING_ERRNO = frozenset(
    (
        errno.EBUSY,
        errno.ETIMEDOUT,
        errno.ECONNRESET,
        errno.ECONNREFUSED,
        errno.EPIPE,
        errno.EREMOTEIO,
    )
)
# Of botocore, aiohttp, requests, gcsfs and google.auth, which need not be installed, by name.
_PASSING_NAMES = frozenset(
    (
        "ChecksumError", "ChunkedEncodingError", "ClientConnectionError", "ClientPayloadError",
        "ConnectionError", "FlexibleChecksumError", "HTTPClientError", "IncompleteRead",
        "IncompleteReadError", "ProxyError", "ResponseParserError", "ResponseStreamingError", "Timeout",
        "TimeoutError", "TransportError",
    )
)  # fmt: skip


def patiently(uri: str, patience_s: float, ask: Callable[[], T]) -> T:
    """What ``ask`` returns; asked again while the store is merely out of order.

    Args:
        uri: for messages.
        patience_s: within how many seconds from the first time it is asked again; 0: never.
        ask: may be called many times.

    Raises:
        StorageError: if the store is still out of order then.
        Exception: whatever else ``ask`` raises.
    """
    again = Retrying(
        retry=retry_if_exception(is_passing),
        wait=wait_random_exponential(max=_LONGEST_PAUSE_S),
        stop=stop_before_delay(patience_s),
        before_sleep=lambda state: _tell(uri, patience_s, state),
        reraise=True,
    )
    try:
        return again(ask)
    except Exception as error:
        if not is_passing(error):
            raise
        raise StorageError(
            f"{uri}: the storage must answer, but does not ({_gist(error)}); nothing already "
            "written is lost; run the same command again when it does"
        ) from error


def _tell(uri: str, patience_s: float, state: RetryCallState) -> None:
    if state.attempt_number == 1 and state.outcome is not None:
        told = _gist(state.outcome.exception())
        _LOG.warning("%s: %s; asked again for %.0f s", uri, told, patience_s)


def is_passing(error: BaseException) -> bool:
    """Whether an error may be gone when asked again: overload, a cut connection, a lost upload."""
    if any(_LOST_UPLOAD.search(str(one)) for one in (error, error.__cause__)):
        return True
    if isinstance(error, FileNotFoundError | PermissionError | FileExistsError):
        return False
    status = _status(error) or (_status(error.__cause__) if error.__cause__ else None)
    if status is not None:
        return status >= 500 or status in _PASSING_STATUS
    if isinstance(error, OSError) and error.errno in _PASSING_ERRNO:
        return True
    return not _PASSING_NAMES.isdisjoint(cls.__name__ for cls in type(error).__mro__)


def _status(error: BaseException) -> int | None:
    """The HTTP status that an error of a client library carries."""
    response: Any = getattr(error, "response", None)  # of botocore
    if isinstance(response, dict):
        found = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    else:  # of gcsfs; of aiohttp
        found = getattr(error, "code", None) or getattr(error, "status", None)
    try:
        return None if found is None else int(found)
    except (TypeError, ValueError):
        return None


def _gist(error: BaseException | None) -> str:
    """An error in one short line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__


class PatientFile(io.RawIOBase):
    """A remote file that is read piece by piece, each piece patiently."""

    def __init__(self, file: Any, ask: Callable[[Callable[[], Any]], Any]) -> None:
        """Take over an open file of fsspec, whose place does not move when a read fails.

        Args:
            file: it.
            ask: calls a function, again where that may help; names the file in what it raises.
        """
        self._file = file
        self._ask = ask

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read up to the size of ``buffer``; 0 at the end."""
        data = self._ask(lambda: self._file.read(len(buffer)))
        buffer[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        """Read to the end, in one request rather than in the 8 KiB pieces of the base class."""
        return bytes(self._ask(self._file.read))

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a byte."""
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        """The byte that is read next."""
        return int(self._file.tell())

    def close(self) -> None:
        """Close the file below, too."""
        if not self.closed:
            self._file.close()
        super().close()
