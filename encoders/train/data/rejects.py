"""Rows that are not learned from, each with its reason."""

from __future__ import annotations

import os
import re
import secrets
from collections import Counter
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TextIO

from mining.contract.schemas import REJECT, REJECT_REASONS

STAGE = "train"
WRONG_SCRIPT = "wrong_script"
_BLANK = re.compile(r"[\t\r\n\v\f\x85\u2028\u2029]+")


class Rejects:
    """A TSV file with the columns of REJECT, there whole or not at all, and counts by reason.

    Args:
        path: of the file; written beside it until the context ends without an error.

    Attributes:
        counts: rows by reason.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.counts: Counter[str] = Counter()
        self._draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        self._file: TextIO | None = None

    def __enter__(self) -> Rejects:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(self._draft, "x", encoding="utf-8", newline="")
        self._file.write("\t".join(REJECT.names) + "\n")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if self._file is None:
            return
        self._file.close()
        if kind is None:
            os.replace(self._draft, self.path)
        else:
            with suppress(OSError):
                self._draft.unlink()

    def add(self, row_id: str, reason: str, detail: str) -> None:
        """One row.

        Args:
            row_id: ``<file>#<row>``.
            reason: of the closed set.
            detail: one line.
        """
        if reason not in REJECT_REASONS:
            raise ValueError(f"reason must be of the closed set, but is {reason!r}")
        if self._file is None:
            raise ValueError("rejects must be added within the context")
        fields = (row_id, STAGE, reason, detail)
        self._file.write("\t".join(_BLANK.sub(" ", field) for field in fields) + "\n")
        self.counts[reason] += 1

    @property
    def total(self) -> int:
        """All rows added."""
        return self.counts.total()
