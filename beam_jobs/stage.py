"""What a stage is: phases of independent units of work, then a manifest.

A unit reads files, writes files and returns a :class:`~mining.io.dataset.Receipt`. It may run
anywhere, in any order, twice, also at once: the files it writes are the same bytes. Phases follow
each other; every unit of a phase may read what all units of the phases before it wrote.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.limit import Limit
from beam_jobs.meter import timed_unit
from mining.config import Config, Execution, stage_hash
from mining.contract.errors import CapacityError, DatasetError, InputError
from mining.contract.schemas import REJECT_REASONS
from mining.contract.uris import canonical_uri
from mining.io.dataset import (
    Manifest,
    Receipt,
    read_receipt,
    receipts_there,
    sum_counters,
    write_manifest,
    write_receipt,
)
from mining.io.filesystem import Storage
from mining.io.forgotten import ForgottenList, read_forgotten

STAGES = ("prepare", "transcribe", "tokenize", "embed", "knn", "pairs")  # of a run, in order
FORGOTTEN = "forgotten.json"  # in the state folder
_LOG = logging.getLogger(__name__)


def storage_of(execution: Execution) -> Storage:
    """How a run reaches storage."""
    return Storage(options=execution.storage, patience_s=execution.patience_s)


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A piece of work.

    Attributes:
        key: unique within its phase, a file name (it names the receipt).
        args: small JSON values that say what to do.
    """

    key: str
    args: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Run:
    """What every stage needs to know of the run it belongs to.

    Attributes:
        config: of the run.
        limit: when whoever does its units begins no further one.
        forgotten: state of the list of what was forgotten, before anything was planned; None: the
            list may change meanwhile.
    """

    config: Config
    limit: Limit = field(default_factory=Limit)
    forgotten: str | None = None

    @property
    def output(self) -> str:
        """Output folder, in one spelling."""
        return canonical_uri(self.config.output)

    @property
    def storage(self) -> Storage:
        """Fsspec options."""
        return storage_of(self.config.execution)

    def impatient(self) -> Run:
        """The same, which does not wait for a store that is out of order."""
        execution = replace(self.config.execution, patience_s=0.0)
        return replace(self, config=replace(self.config, execution=execution))

    def dataset(self, kind: str, *names: str) -> str:
        """Folder of a dataset."""
        return "/".join((self.output, kind, *names))

    def state(self, *names: str) -> str:
        """Folder or file of receipts and intermediate results."""
        return "/".join((self.output, "_state", *names))

    def forgotten_list(self) -> ForgottenList:
        """What was forgotten in the output.

        Raises:
            DatasetError: if the list is damaged.
        """
        return read_forgotten(self.state(FORGOTTEN), self.storage)

    def require_same_forgotten(self) -> None:
        """Refuse to write what somebody else has forgotten since this was planned.

        Raises:
            DatasetError: if more was forgotten.
        """
        if self.forgotten is not None and self.forgotten_list().state != self.forgotten:
            raise DatasetError(
                f"{self.output}: must be left alone while something is forgotten in it, but more was "
                "forgotten since this run began; run mining forget again, which removes what this run "
                "still wrote, then the same command"
            )


@dataclass(frozen=True, kw_only=True)
class Stage(ABC):
    """One stage of one subject (a corpus or a task).

    Attributes:
        run: the run it belongs to.
        subject: corpus or task.
    """

    run: Run
    subject: str
    name: ClassVar[str]
    phases: ClassVar[tuple[str, ...]]
    # raised when the same input gives another result than before, so that old results are not taken
    version: ClassVar[int] = 1

    @property
    @abstractmethod
    def hash(self) -> str:
        """Of everything that decides the result."""

    @property
    @abstractmethod
    def folder(self) -> str:
        """Folder of the dataset that this stage is there for."""

    @abstractmethod
    def is_done(self) -> bool:
        """Whether the manifests are in place."""

    @abstractmethod
    def units(self, phase: str) -> tuple[Unit, ...]:
        """The work of a phase."""

    @abstractmethod
    def process(self, phase: str, unit: Unit) -> Receipt:
        """Do one unit. Called on a worker."""

    @abstractmethod
    def finish(self) -> None:
        """Check the row laws and write the manifests.

        Called when every unit has its receipt; by several workers at once, perhaps.
        """

    def hash_of(self, decides: Mapping[str, Any]) -> str:
        """Hash of what decides the result, together with the stage's name and version."""
        return stage_hash(f"{self.name} {self.version}", decides)

    def begin(self) -> None:
        """Called in the launcher, and in every worker without Beam, before the first unit."""
        return

    def tidy(self) -> None:
        """Remove what no stage of this kind uses. Called on one of them when all are finished."""
        return

    def remark(self) -> str:
        """A line about the finished work that a user should see; empty if there is none."""
        return ""

    @property
    def home(self) -> str:
        """Folder of this stage's receipts and intermediate files."""
        return self.run.state(self.name, self.subject, self.hash)

    def rejects_folder(self) -> str:
        """Folder of the rows that this stage refuses."""
        return self.run.dataset("rejects", self.name, self.subject, self.hash)

    def receipts_folder(self, phase: str) -> str:
        """Where the receipts of a phase are."""
        return f"{self.home}/{phase}"

    def done(self, phase: str) -> set[str]:
        """Keys of the units of a phase that are done, and need not be done again."""
        return receipts_there(self.receipts_folder(phase), self.run.storage)

    def settle(self, phase: str, receipt: Receipt) -> None:
        """Called when the receipt of a unit was written."""
        del phase, receipt

    def is_current(self, phase: str, receipt: Receipt) -> bool:
        """Whether what a receipt says is done need not be done again."""
        del phase, receipt
        return True

    def receipts(self, phase: str) -> list[Receipt]:
        """Receipts of a finished phase, in the order of its units.

        Raises:
            DatasetError: if one is missing.
        """
        folder = self.receipts_folder(phase)
        found = []
        for unit in self.units(phase):
            receipt = read_receipt(folder, unit.key, self.run.storage)
            if receipt is None:
                raise DatasetError(f"{folder}: the receipt of {unit.key} is missing; run again")
            found.append(receipt)
        return found

    def publish(
        self,
        folders: Mapping[str, str],
        done: Sequence[Receipt],
        attributes: Mapping[str, Any],
        laws: Sequence[tuple[str, tuple[str, ...]]] = (),
    ) -> None:
        """Write the manifests of several datasets, in order.

        Args:
            folders: dataset kind -> its folder.
            done: receipts of the work that wrote their parts.
            attributes: facts for the manifests.
            laws: (whole, parts) names of counters: each whole must equal the sum of its parts.

        Raises:
            DatasetError: if rows were lost, or something was forgotten meanwhile.
        """
        self.run.require_same_forgotten()
        counters = sum_counters(done)
        for whole, pieces in laws:
            total = sum(counters.get(piece, 0) for piece in pieces)
            if counters.get(whole, 0) != total:
                raise DatasetError(
                    f"{self.name} {self.subject}: {whole} must equal {' + '.join(pieces)}, but is "
                    f"{counters.get(whole, 0)} against {total}; this is a fault of the program"
                )
        for kind, folder in folders.items():
            manifest = Manifest(
                kind=kind,
                name=self.subject,
                hash=self.hash,
                parts=tuple(p for receipt in done for p in receipt.parts.get(kind, ())),
                counters=counters,
                attributes=attributes,
            )
            write_manifest(folder, manifest, self.run.storage)


def do_unit(stage: Stage, phase: str, unit: Unit) -> Receipt | None:
    """Do a unit and write its receipt; None if the receipt was there already.

    Raises:
        MiningError: what the unit raised.
        DatasetError: something was forgotten meanwhile: before the unit, or while it was done.
        CapacityError: out of memory.
    """
    folder, storage = "", stage.run.storage

    def is_done() -> bool:
        nonlocal folder
        folder = stage.receipts_folder(phase)
        found = read_receipt(folder, unit.key, storage)
        return found is not None and stage.is_current(phase, found)

    if is_done():
        return None
    stage.run.require_same_forgotten()
    try:
        with timed_unit(stage.name, stage.subject, phase, unit.key):
            receipt = stage.process(phase, unit)
            while (now := stage.receipts_folder(phase)) != folder:  # it may be made of either
                folder, receipt = now, stage.process(phase, unit)
            stage.run.require_same_forgotten()
            write_receipt(folder, receipt, storage)
            stage.settle(phase, receipt)
    except (DatasetError, InputError):
        # Another worker may have done this very unit, and one have finished the stage since: what
        # was being read here is then gone for a good reason.
        if not is_done():
            raise
        return None
    except MemoryError:
        raise CapacityError(
            f"{stage.name} {stage.subject} {unit.key}: out of memory; lower execution.tile_rows or "
            "raise partitions"
        ) from None
    # a cluster's logs then tell which worker did what; the receipt must not
    _LOG.info("%s %s: %s %s done", stage.name, stage.subject, phase, unit.key)
    return receipt


def units_left(stages: Sequence[Stage]) -> int:
    """Units of all phases without a receipt."""
    return sum(
        len({unit.key for unit in stage.units(phase)} - stage.done(phase))
        for stage in stages
        for phase in stage.phases
    )


def reason_counters(rejects: pa.Table) -> dict[str, int]:
    """Counters ``rejected.<reason>`` of a REJECT table.

    Raises:
        DatasetError: if a reason is not of the closed set, by which runs are compared.
    """
    counted = pc.value_counts(rejects["reason"]).to_pylist()
    unknown = sorted({one["values"] for one in counted} - REJECT_REASONS)
    if unknown:
        raise DatasetError(f"rejects: reasons must be of the closed set, but {unknown} are not")
    return {f"rejected.{one['values']}": one["counts"] for one in counted}


def reasons_of(manifest: Manifest) -> str:
    """Rejects by reason, for a message."""
    counters = manifest.counters.items()
    found = [f"{count} {name}" for name, count in counters if name.startswith("rejected.")]
    return ", ".join(found) or "none rejected"
