"""What one phase of prepare hands to a later one: tables of several kinds, by partition."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from beam_jobs.stage import Run, Stage, Unit
from mining.io.dataset import Receipt
from mining.io.filesystem import Storage
from mining.io.spill import read_spill, write_spill

# By kind: spill files, each with the partitions of its batches. Stands in a receipt's notes.
Notes = dict[str, list[tuple[str, list[int]]]]

SPILL_BYTES = 256 << 20  # of tables held before they are written


@dataclass(frozen=True, kw_only=True)
class Spills:
    """The spill files of one stage.

    Attributes:
        folder: where they are.
        storage: fsspec options.
    """

    folder: str
    storage: Storage

    def write(
        self, notes: Notes, kind: str, unit: str, table: pa.Table, partition: NDArray[np.int32]
    ) -> None:
        """Write rows split by ``partition`` (int32 [N], one a row), and note where; nothing of none."""
        if not table.num_rows:
            return
        path = f"{kind}-{unit}-{len(notes[kind]):04d}.arrow"
        batches = write_spill(f"{self.folder}/{path}", table, partition, self.storage)
        notes[kind].append((path, batches))

    def read(self, notes: Notes, kind: str, partition: int) -> list[pa.Table]:
        """What all files hold of a partition."""
        return [
            read_spill(f"{self.folder}/{path}", [batches.index(partition)], self.storage)
            for path, batches in notes[kind]
            if partition in batches
        ]


def spills_of(stage: Stage) -> Spills:
    """Where a stage spills."""
    return Spills(folder=f"{stage.home}/spill", storage=stage.run.storage)


def partition_units(run: Run) -> tuple[Unit, ...]:
    """Units of a phase that takes what was spilled partition by partition."""
    return tuple(
        Unit(key=f"part-{number:05d}", args={"partition": number})
        for number in range(run.config.partitions)
    )


def gathered(receipts: Iterable[Receipt], kinds: tuple[str, ...]) -> Notes:
    """The notes of all units of a phase."""
    notes = [receipt.notes for receipt in receipts]
    return {kind: [spill for note in notes for spill in note[kind]] for kind in kinds}
