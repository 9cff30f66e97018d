"""Datasets: Parquet parts plus a manifest that is written last, and receipts for finished work.

A dataset without its manifest does not exist. A unit of work whose receipt exists is never done
again. Both are JSON with sorted keys and hold no time, machine or absolute address, so that two runs
that agree write the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from mining.contract.errors import DatasetError, InputError
from mining.io.filesystem import Storage, list_glob, read_bytes, remove, write_atomic
from mining.io.parquet import Part

MANIFEST = "_manifest.json"


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What one unit of work did.

    Attributes:
        unit: its key, unique within its phase.
        parts: files by dataset kind (``segments``, ``rejects``...), paths relative to that dataset.
        counters: rows by what became of them.
        notes: small facts for later phases.
    """

    unit: str
    parts: Mapping[str, tuple[Part, ...]] = field(default_factory=dict)
    counters: Mapping[str, int] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a dataset holds and where it comes from.

    Attributes:
        kind: segments, occurrences, embeddings, neighbors, pairs or rejects.
        name: corpus or task.
        hash: of everything that decided it.
        parts: its files.
        counters: rows by what became of them, summed over the units.
        attributes: facts such as dim, space, or the model's fingerprint.
    """

    kind: str
    name: str
    hash: str
    parts: tuple[Part, ...]
    counters: Mapping[str, int] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def langs(self) -> dict[str, int]:
        """Rows by language, in alphabetical order."""
        total: Counter[str] = Counter()
        for part in self.parts:
            total.update(part.langs)
        return dict(sorted(total.items()))

    @property
    def rows(self) -> int:
        """Rows of all parts."""
        return sum(part.rows for part in self.parts)

    @property
    def content(self) -> str:
        """Hex digest over the bytes of all parts: what a later stage depends on."""
        lines = sorted(f"{part.path} {part.sha256}" for part in self.parts)
        return hashlib.sha256("\n".join(lines).encode("utf-8")).hexdigest()


def _dump(value: Any) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode("utf-8")


def write_json(uri: str, value: Any, storage: Storage) -> None:
    """Write a JSON value with sorted keys, all at once or not at all."""
    write_atomic(uri, _dump(value), storage)


def read_json(uri: str, storage: Storage) -> Any:
    """Read a JSON value.

    Raises:
        DatasetError: if it is not JSON.
    """
    try:
        return json.loads(read_bytes(uri, storage))
    except ValueError:
        raise DatasetError(
            f"{uri}: must be JSON, but is damaged; remove it and run again"
        ) from None


def read_json_if_there(uri: str, storage: Storage) -> Any:
    """A JSON value, or None if there is no such file: another process may remove it at any time.

    Raises:
        InputError: if the storage does not answer.
        DatasetError: if it is not JSON.
    """
    try:
        return read_json(uri, storage)
    except InputError as error:
        if isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
            return None
        raise


def _part(value: Mapping[str, Any]) -> Part:
    return Part(**value)


def write_manifest(folder: str, manifest: Manifest, storage: Storage) -> None:
    """Make the dataset exist."""
    write_json(f"{folder}/{MANIFEST}", asdict(manifest), storage)


def read_manifest(folder: str, storage: Storage) -> Manifest:
    """Read a dataset's manifest.

    Raises:
        DatasetError: if there is none: the dataset was never finished.
    """
    if (manifest := _manifest_if_there(folder, storage)) is None:
        raise DatasetError(
            f"{folder}: must be a finished dataset, but has no {MANIFEST}; run the stage that makes it"
        )
    return manifest


def _manifest_if_there(folder: str, storage: Storage) -> Manifest | None:
    uri = f"{folder}/{MANIFEST}"
    if (value := read_json_if_there(uri, storage)) is None:
        return None
    try:
        return Manifest(**{**value, "parts": tuple(_part(part) for part in value["parts"])})
    except (KeyError, TypeError):
        raise DatasetError(
            f"{uri}: must be a manifest of this version, but is not; remove {folder} and run again"
        ) from None


def has_manifest(folder: str, expected_hash: str, storage: Storage) -> bool:
    """Whether the dataset is finished and was decided by ``expected_hash``."""
    manifest = _manifest_if_there(folder, storage)
    return manifest is not None and manifest.hash == expected_hash


def write_receipt(folder: str, receipt: Receipt, storage: Storage) -> None:
    """Record that a unit is done. Called after its parts are in place."""
    write_json(f"{folder}/{receipt.unit}.json", asdict(receipt), storage)


def read_receipt(folder: str, unit: str, storage: Storage) -> Receipt | None:
    """The receipt of a unit, or None if it is not done.

    Raises:
        InputError: if the storage does not answer: that is no sign that the work is to be done again.
        DatasetError: if it is damaged.
    """
    uri = f"{folder}/{unit}.json"
    if (value := read_json_if_there(uri, storage)) is None:
        return None
    try:
        parts = {kind: tuple(_part(part) for part in some) for kind, some in value["parts"].items()}
        return Receipt(**{**value, "parts": parts})
    except (AttributeError, KeyError, TypeError):
        raise DatasetError(
            f"{uri}: must be a receipt of this version, but is not; remove {folder} and run again"
        ) from None


def count_receipts(folder: str, storage: Storage) -> int:
    """How many units of a phase are done."""
    return len(list_glob(folder, storage))


def receipts_there(folder: str, storage: Storage) -> set[str]:
    """Keys of the units of a phase that are done."""
    names = (uri.rpartition("/")[2] for uri in list_glob(folder, storage))
    return {name.removesuffix(".json") for name in names}


def sum_counters(receipts: Iterable[Receipt]) -> dict[str, int]:
    """Counters of all receipts, added up, in alphabetical order."""
    total: Counter[str] = Counter()
    for receipt in receipts:
        total.update(receipt.counters)
    return dict(sorted(total.items()))


def remove_strays(folder: str, keep: Iterable[str], storage: Storage) -> None:
    """Remove Parquet files that an earlier, different run left in a dataset's folder."""
    wanted = {f"{folder}/{path}" for path in keep}
    for uri in list_glob(folder, storage):
        if uri.endswith(".parquet") and uri not in wanted:
            remove(uri, storage)


def remove_tree(folder: str, storage: Storage) -> None:
    """Remove every file below a folder."""
    for uri in list_glob(folder, storage):
        remove(uri, storage)
