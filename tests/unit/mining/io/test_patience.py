"""A store that is out of order is asked again, for a while; a fault of the data is not."""

from __future__ import annotations

import errno
import io
from collections.abc import Callable
from typing import Any

import pytest
import tenacity

from mining.contract.errors import InputError, StorageError
from mining.io.filesystem import Storage, exists, open_read, read_bytes, write_atomic
from mining.io.patience import PatientFile, is_passing, patiently


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.pauses.append(seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    for module in (tenacity, tenacity.nap):
        monkeypatch.setattr(module, "time", found)
    return found


def failing(times: int, error: Exception) -> Callable[[], str]:
    """A function that raises so many times, then answers."""
    left = [times]

    def ask() -> str:
        left[0] -= 1
        if left[0] >= 0:
            raise error
        return "answer"

    return ask


class ClientError(Exception):
    """As botocore's."""

    def __init__(self, status: int) -> None:
        super().__init__(f"an answer of {status}")
        self.response = {"ResponseMetadata": {"HTTPStatusCode": status}}


class HttpError(Exception):
    """As gcsfs'."""

    def __init__(self, code: object) -> None:
        super().__init__(f"an answer of {code}")
        self.code = code


class EndpointConnectionError(type("ConnectionError", (Exception,), {})):  # type: ignore[misc]
    """As botocore's, whose base only shares its name with Python's."""


def caused(error: Exception, by: Exception) -> Exception:
    error.__cause__ = by
    return error


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        (OSError(errno.EBUSY, "slow down"), True),
        (OSError(errno.EREMOTEIO, "internal error"), True),
        (ConnectionResetError("cut"), True),
        (TimeoutError(), True),
        (EndpointConnectionError("refused"), True),
        (ClientError(503), True),
        (ClientError(429), True),
        (HttpError("500"), True),
        (caused(OSError(errno.EIO, "unknown code"), ClientError(599)), True),
        (caused(OSError(errno.EBUSY, "a conflict"), ClientError(409)), False),
        (ClientError(400), False),
        (HttpError(401), False),
        (HttpError(None), False),
        (FileNotFoundError("gone"), False),
        (PermissionError("no"), False),
        (OSError(errno.ENOSPC, "full"), False),
        (ValueError("a bug"), False),
    ],
)
def test_what_may_pass_is_told_from_what_stays(error: Exception, passing: bool) -> None:
    assert is_passing(error) == passing


def test_pauses_grow(clock: Clock) -> None:
    assert patiently("s3://b/a", 1000, failing(9, TimeoutError())) == "answer"
    longest = [1, 2, 4, 8, 16, 30, 30, 30, 30]
    assert all(0 <= p <= most for p, most in zip(clock.pauses, longest, strict=True))
    assert max(clock.pauses) > 1


def test_patience_ends_in_one_line(clock: Clock) -> None:
    with pytest.raises(StorageError) as error:
        patiently("s3://b/a", 10, failing(10**6, TimeoutError("no answer\nat all")))
    assert 0 < clock.now <= 10
    assert str(error.value) == (
        "s3://b/a: the storage must answer, but does not (TimeoutError: no answer at all); nothing "
        "already written is lost; run the same command again when it does"
    )
    assert error.value.exit_code == 4
    assert not isinstance(
        error.value, InputError
    )  # else a row that cannot be looked at is rejected


def test_no_patience_asks_once(clock: Clock) -> None:
    with pytest.raises(StorageError):
        patiently("s3://b/a", 0, failing(1, TimeoutError()))
    assert not clock.pauses


def test_a_bug_is_not_asked_again(clock: Clock) -> None:
    with pytest.raises(ZeroDivisionError):
        patiently("s3://b/a", 10, failing(1, ZeroDivisionError()))
    assert not clock.pauses


@pytest.mark.usefixtures("clock")
def test_every_operation_on_a_store_is_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    uri, here = "memory://patient/a.bin", Storage()
    data = bytes(range(256)) * 5000

    def fail_once(name: str) -> None:
        whole, left = getattr(memory, name), [1]

        def call(*args: Any, **kwargs: Any) -> Any:
            left[0] -= 1
            if left[0] >= 0:
                raise OSError(errno.EBUSY, "slow down")
            return whole(*args, **kwargs)

        monkeypatch.setattr(memory, name, call)

    for name in ("pipe_file", "cat_file", "info", "_open"):
        fail_once(name)
    write_atomic(uri, data, here)
    assert exists(uri, here)
    assert read_bytes(uri, here) == data
    with open_read(uri, here) as file:
        assert file.read() == data


@pytest.mark.usefixtures("clock")
def test_a_piece_that_fails_is_read_again_from_its_place() -> None:
    data = bytes(range(256)) * 100

    class Torn(io.BytesIO):
        """Fails every second read, and does not move then."""

        count = 0

        def read(self, size: int | None = -1, /) -> bytes:
            self.count += 1
            if self.count % 2:
                raise ConnectionResetError("cut")
            return super().read(size)

    patient = PatientFile(Torn(data), lambda call: patiently("s3://b/a", 10, call))
    with io.BufferedReader(patient, 1000) as file:
        assert file.read(10) == data[:10]
        assert file.seek(5000) == 5000
        assert file.read(7777) == data[5000:12777]
        assert file.read() == data[12777:]


def test_a_part_that_cannot_be_fetched_is_not_called_damaged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else a user is told to remove the folder that it stands in."""
    import fsspec
    import pyarrow as pa

    from mining.io.parquet import count_rows, read_part, read_schema, write_table

    uri, here = "memory://patient/part.parquet", Storage(patience_s=0)
    table = pa.table({"a": list(range(1000))})
    write_table(uri, table, here)
    memory = fsspec.filesystem("memory")
    whole = memory._open

    class Dead:
        """An open file whose store has gone."""

        def __init__(self, file: Any) -> None:
            self._file = file

        def __getattr__(self, name: str) -> Any:
            return getattr(self._file, name)

        def read(self, size: int = -1) -> bytes:
            raise ConnectionResetError("cut")

    monkeypatch.setattr(memory, "_open", lambda *args, **kwargs: Dead(whole(*args, **kwargs)))
    reads: list[Callable[[], object]] = [
        lambda: read_part(uri, None, here),
        lambda: count_rows(uri, here),
        lambda: read_schema(uri, here),
    ]
    for read in reads:
        with pytest.raises(StorageError, match=r"^memory://patient/part.parquet: the storage must"):
            read()
    monkeypatch.undo()
    assert read_part(uri, None, here) == table
