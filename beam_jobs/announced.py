"""What a stage is about to do, written into the output for whoever watches.

A unit's receipt says that it is done; how many there are to be, only the plan knows, which needs the
corpora and the models. So it is written down when a stage begins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from beam_jobs.stage import Stage
from mining.contract.errors import DatasetError
from mining.io.dataset import read_json, read_json_if_there, write_json
from mining.io.filesystem import Storage, list_glob
from mining.io.times import times_of

_FOLDER = "_state/begun"


@dataclass(frozen=True, kw_only=True)
class Announced:
    """A stage that was begun.

    Attributes:
        stage: its name.
        subject: corpus or task.
        hash: of everything that decides the result.
        folder: of the dataset it is there for, below the output.
        home: of its receipts, below the output.
        phases: units by phase, in order.
    """

    stage: str
    subject: str
    hash: str
    folder: str
    home: str
    phases: Mapping[str, int]


def announce(stage: Stage) -> None:
    """Write down what a stage is about to do, unless that is what stands there.

    Workers that begin together write the same bytes; the time of the file is when the first began.
    """
    output = f"{stage.run.output}/"
    value = Announced(
        stage=stage.name,
        subject=stage.subject,
        hash=stage.hash,
        folder=stage.folder.removeprefix(output),
        home=stage.home.removeprefix(output),
        phases={phase: len(stage.units(phase)) for phase in stage.phases},
    )
    # a list: keys of a mapping would be sorted, and the phases' order lost
    plain = asdict(value) | {"phases": [list(phase) for phase in value.phases.items()]}
    uri, storage = f"{output}{_FOLDER}/{stage.name}/{stage.subject}.json", stage.run.storage
    if read_json_if_there(uri, storage) != plain:
        write_json(uri, plain, storage)


def begun_at(output: str, one: Announced, storage: Storage) -> float | None:
    """When a stage was begun first, seconds of the epoch; None if the storage does not tell."""
    times = times_of(f"{output}/{_FOLDER}/{one.stage}", storage)
    return times.get(f"{one.subject}.json")


def announced(output: str, storage: Storage) -> dict[tuple[str, str], Announced]:
    """What was begun in an output, by stage and subject.

    Raises:
        DatasetError: if what is there is not of this version.
    """
    found = {}
    for uri in list_glob(f"{output}/{_FOLDER}", storage):
        value = read_json(uri, storage)
        try:
            one = Announced(**value | {"phases": dict(value["phases"])})
        except (TypeError, KeyError, ValueError):
            raise DatasetError(f"{uri}: must be of this version, but is not; remove it") from None
        found[one.stage, one.subject] = one
    return found
