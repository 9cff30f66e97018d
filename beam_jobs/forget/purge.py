"""Old results of corpora and tasks: what the current plan does not refer to is removed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from beam_jobs.stage import Run
from mining.io.dataset import MANIFEST
from mining.io.filesystem import list_glob, remove, remove_folder, size
from mining.io.parquet import count_rows

# Where the results of a hash are: kind or stage, then corpus or task, then the hash.
_KINDS = (
    "segments", "occurrences", "regions", "transcripts", "audio_frames", "embeddings", "neighbors",
)  # fmt: skip
_HASH = re.compile("[0-9a-f]{16}")
_HALF_WRITTEN = re.compile(r"\..+\.[0-9a-f]{16}")  # by a process that was killed


@dataclass
class Removed:
    """What was removed."""

    files: int = 0
    rows: int = 0
    bytes: int = 0

    def said(self) -> str:
        """In one line."""
        return f"{self.files} files, {self.rows} rows, {self.bytes} bytes"


def purge(run: Run, current: Mapping[str, frozenset[str]]) -> Removed:
    """Remove the results of other hashes than the current ones, and files that were half written.

    Args:
        run: whose output.
        current: hashes by corpus or task; others than these are left alone.
    """
    removed, old = Removed(), dict[str, list[str]]()
    for uri in list_glob(run.output, run.storage, hidden=True):
        folder = _folder_of(uri.removeprefix(f"{run.output}/"), current)
        if folder is not None:
            old.setdefault(f"{run.output}/{folder}", []).append(uri)
        elif _HALF_WRITTEN.fullmatch(uri.rpartition("/")[2]):
            _count(run, uri, removed)
            remove(uri, run.storage)
    for folder, uris in old.items():
        for uri in uris:
            _count(run, uri, removed)
        remove(f"{folder}/{MANIFEST}", run.storage)  # first: half a dataset must not look whole
        remove_folder(folder, run.storage)
    return removed


def _folder_of(path: str, current: Mapping[str, frozenset[str]]) -> str | None:
    """The folder of old results that a file is in; None if it is in none."""
    parts = path.split("/")
    deeper = 1 if parts[0] in ("rejects", "_state") else 0
    if not deeper and parts[0] not in _KINDS:
        return None
    if len(parts) < 4 + deeper or not _HASH.fullmatch(parts[2 + deeper]):
        return None
    subject, found = parts[1 + deeper], parts[2 + deeper]
    if found in current.get(subject, {found}):
        return None
    return "/".join(parts[: 3 + deeper])


def _count(run: Run, uri: str, removed: Removed) -> None:
    removed.files += 1
    removed.bytes += size(uri, run.storage)
    if uri.endswith(".parquet"):
        removed.rows += count_rows(uri, run.storage) or 0
