"""Figures of a run while it goes on: one JSON line a step, and TensorBoard's files beside them."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from mining.contract.errors import CapacityError
from mining.io.filesystem import Storage, write_atomic

_LOG = logging.getLogger(__name__)

METRICS = "metrics.jsonl"


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of the file.

    Attributes:
        step: steps done when it was written.
        kind: ``step`` or ``judge``.
        values: figures by name.
    """

    step: int
    kind: str
    values: Mapping[str, float]


class Figures:
    """Writes figures. A context: what was written is flushed at its end.

    Args:
        folder: output of the run.
        first: steps that are done; lines of later ones, of a run that was killed, are dropped.
        tensorboard: whether to write TensorBoard's files.
    """

    def __init__(self, folder: Path, first: int, *, tensorboard: bool) -> None:
        self._path = folder / METRICS
        folder.mkdir(parents=True, exist_ok=True)
        _keep_until(self._path, first)
        self._file = self._path.open("a", encoding="utf-8")
        self._board = _open_board(folder / "tensorboard", first) if tensorboard else None

    def write(self, line: Line) -> None:
        """Add a line.

        Raises:
            CapacityError: the disk is full.
        """
        record = {"step": line.step, "kind": line.kind, **line.values}
        try:
            self._file.write(json.dumps(record) + "\n")
            self._file.flush()
        except OSError as error:
            raise CapacityError(
                f"{self._path}: must be written, but cannot be: {error.strerror}; free space and "
                "run the same command again"
            ) from None
        if self._board is not None:
            for name, value in line.values.items():
                self._board.add_scalar(f"{line.kind}/{name}", value, line.step)

    def __enter__(self) -> Figures:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._file.close()
        if self._board is not None:
            self._board.close()


def read_figures(folder: Path) -> list[dict[str, Any]]:
    """All whole lines of a run, in order."""
    path = folder / METRICS
    return [json.loads(line) for line in _whole_lines(path)] if path.is_file() else []


def _keep_until(path: Path, first: int) -> None:
    """Drop lines of steps after ``first``, and a line that a killed run did not finish."""
    if not path.is_file():
        return
    kept = [line for line in _whole_lines(path) if json.loads(line)["step"] <= first]
    write_atomic(str(path), "".join(kept).encode("utf-8"), Storage())


def _whole_lines(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [line for line in lines if line.endswith("}\n")]


def _open_board(folder: Path, first: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        _LOG.warning(
            "tensorboard is not installed (extra train): its files are left out; %s has all figures",
            METRICS,
        )
        return None
    return SummaryWriter(str(folder), purge_step=first + 1 if first else None)
