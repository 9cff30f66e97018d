"""A user's error, carried through a runner that only passes on the text of a traceback."""

from __future__ import annotations

import json
import re

from mining.contract import errors
from mining.contract.errors import CapacityError, MiningError

_MARK = "MINING-FAILURE"
_PATTERN = re.compile(_MARK + r"(\{.*\})" + _MARK)


class UnitFailedError(Exception):
    """Carries a :class:`MiningError` in one line of text.

    A runner may build it anew from its text, so it is made of nothing else.
    """

    @classmethod
    def of(cls, error: MiningError) -> UnitFailedError:
        """Wrap an error."""
        payload = json.dumps({"kind": type(error).__name__, "message": str(error)})
        return cls(f"{_MARK}{payload}{_MARK}")


def unwrap(error: BaseException) -> MiningError | None:
    """The error that a worker raised, if the runner's error carries one."""
    if isinstance(error, MiningError):
        return error
    if isinstance(error, MemoryError):
        return CapacityError("out of memory; lower execution.tile_rows or raise partitions")
    match = _PATTERN.search(str(error))
    if match is None:
        return None
    payload = json.loads(match.group(1))
    kind = getattr(errors, payload["kind"], MiningError)
    return kind(payload["message"])


def interruption(error: BaseException | None) -> KeyboardInterrupt | None:
    """Ctrl-C, or what another signal raised, if a runner made another error of it."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return error
        error = error.__cause__ or error.__context__
    return None
