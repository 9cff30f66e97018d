"""When files were written, as far as their storage tells."""

from __future__ import annotations

from datetime import datetime

from mining.io.filesystem import Storage, _locate, _Naming

_KEYS = ("mtime", "LastModified", "last_modified", "updated", "created")  # local, s3, ..., memory


def times_of(folder: str, storage: Storage) -> dict[str, float | None]:
    """Names of the files right below a folder, and when each was written: seconds of the epoch.

    Names that start with "." or "_" are left out. Nothing of a folder that is not there.

    Raises:
        InputError: the storage does not answer.
    """
    place = _locate(folder, storage)
    place.fs.invalidate_cache()
    with _Naming(folder):
        try:
            entries = place.ask(lambda: place.fs.ls(place.path, detail=True))
        except (FileNotFoundError, NotADirectoryError):
            return {}
    names = {entry["name"].rstrip("/").rpartition("/")[2]: entry for entry in entries
             if entry["type"] != "directory"}  # fmt: skip
    return {
        name: _time([entry.get(key) for key in _KEYS])
        for name, entry in names.items()
        if not name.startswith((".", "_"))
    }


def _time(values: list[object]) -> float | None:
    for value in values:
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, int | float):
            return float(value)
        if isinstance(value, str):
            return datetime.fromisoformat(value).timestamp()
    return None
