"""Waiting for what other workers do: looks now and then, says what for, and gives up in the end."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from beam_jobs.progress import Progress
from mining.contract.errors import DatasetError

# Seconds between two looks while nothing changes: growing, and at least twice what a look took.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S, _GROWTH = 0.1, 5.0, 1.5
_SAY_AGAIN_S = 60.0


@dataclass(kw_only=True)
class Waiting:
    """One wait.

    Attributes:
        limit_s: seconds without any change after which it gives up.
        progress: told what is waited for.
    """

    limit_s: float
    progress: Progress
    _pause_s: float = _FIRST_PAUSE_S
    _seen: int | None = None
    _changed: float = field(default_factory=time.monotonic)
    _said: float | None = None
    _slept: float | None = None

    def pause(self, measure: int, what: str) -> None:
        """Called after a look that found the wait is not over.

        Args:
            measure: a number that changes when the others get on.
            what: is waited for.

        Raises:
            DatasetError: if nothing has changed for too long.
        """
        now = time.monotonic()
        if measure != self._seen:
            self._seen, self._changed, self._pause_s = measure, now, _FIRST_PAUSE_S
        elif now - self._changed >= self.limit_s:
            raise DatasetError(
                f"{what}: must be done by other workers, but nothing has changed for "
                f"{self.limit_s / 60:g} minutes; start those, then the same command again"
            )
        if self._said is None or now - self._said >= _SAY_AGAIN_S:
            self.progress.say(f"waits for {what}")
            self._said = now
        look_s = 0.0 if self._slept is None else now - self._slept
        time.sleep(min(max(self._pause_s, 2 * look_s), self.limit_s))
        self._pause_s = min(self._pause_s * _GROWTH, _LONGEST_PAUSE_S)
        self._slept = time.monotonic()
