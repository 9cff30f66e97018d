"""The errors a run may end with, each with the exit code that the command line returns.

A row's fault never raises: it becomes a row of the REJECT dataset. What raises is a run's fault, and
its message reads ``where: what must be, but is; what to do``.
"""

from __future__ import annotations


class MiningError(Exception):
    """Base of every error that a user can cause or mend. ``exit_code`` is what ``mining`` exits with."""

    exit_code = 3


class ConfigError(MiningError):
    """The configuration or the command line is wrong (exit code 2)."""

    exit_code = 2


class InputError(MiningError):
    """Input data as a whole cannot be used: a file is missing, a column is absent (exit code 3)."""


class AudioError(InputError):
    """One recording cannot be read: it becomes a reject (exit code 3 where a command needs it).

    Attributes:
        reason: of the closed set of reject reasons.
    """

    def __init__(self, message: str, reason: str = "unreadable_audio") -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type[AudioError], tuple[str, str]]:
        return type(self), (str(self), self.reason)


class SchemaError(MiningError):
    """A table does not have the schema that its stage expects (exit code 3)."""


class DatasetError(MiningError):
    """A dataset of an earlier stage is missing, incomplete or of another run (exit code 3)."""


class IncompleteError(DatasetError):
    """All is done but for files that had to be left out (exit code 3)."""


class LimitReachedError(MiningError):
    """A limit of time or money was reached with work left: no fault (exit code 5)."""

    exit_code = 5


class CheckpointError(MiningError):
    """A model folder cannot be loaded, or is not what it says (exit code 3)."""


class CapacityError(MiningError):
    """The machine cannot do it: disk full, memory or device missing (exit code 4)."""

    exit_code = 4


class StorageError(MiningError):
    """An object store does not answer for long: nothing is wrong with the data (exit code 4)."""

    exit_code = 4
