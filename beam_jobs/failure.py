"""A user's error, carried through a runner that only passes on the text of a traceback."""

from __future__ import annotations

import json
import re

from mining.contract import errors
from mining.contract.errors import CapacityError, MiningError

_MARK = "MINING-FAILURE"
_PATTERN = re.compile(_MARK + r"(\{.*\})" + _MARK)


class UnitFailed(Exception):
    """Wraps a :class:`MiningError` in one line that survives any runner."""

    def __init__(self, error: MiningError) -> None:
        payload = json.dumps({"kind": type(error).__name__, "message": str(error)})
        super().__init__(f"{_MARK}{payload}{_MARK}")


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
    return kind(payload["message"])  # type: ignore[no-any-return]
