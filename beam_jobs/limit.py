"""How long, or for how much, a command may begin new work."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from mining.config.execution import Execution
from mining.contract.errors import ConfigError, LimitReachedError

_HOUR_S = 3600.0


def now() -> float:
    """Seconds of the epoch, which workers elsewhere count, too."""
    return time.time()


@dataclass(frozen=True, kw_only=True)
class Limit:
    """When no unit is begun any more; it travels to workers.

    Attributes:
        until: seconds of the epoch; None: never.
        why: the setting, for messages.
    """

    until: float | None = None
    why: str = ""

    @classmethod
    def of(cls, execution: Execution, started: float) -> Limit:
        """The nearer of ``max_hours`` and ``max_cost``.

        Args:
            execution: settings.
            started: when the command was, seconds of the monotonic clock.
        """
        hours: list[tuple[float, str]] = []
        if execution.max_hours is not None:
            hours.append((execution.max_hours, f"execution.max_hours {execution.max_hours:g}"))
        # where this machine has no price, whoever begins work is told so; see require_price
        if execution.max_cost is not None and (price := hourly(execution)):
            hours.append((execution.max_cost / price, f"execution.max_cost {execution.max_cost:g}"))
        if not hours:
            return cls()
        allowed, why = min(hours)
        return cls(until=now() - (time.monotonic() - started) + allowed * _HOUR_S, why=why)

    def reached(self) -> bool:
        """Whether no further unit may be begun."""
        return self.until is not None and now() >= self.until

    def error(self, left: int, what: str) -> LimitReachedError:
        """What to raise when it was reached with units left."""
        return LimitReachedError(
            f"{self.why}: reached with {left} units of {what} left; what is done stays done"
        )


def hourly(execution: Execution) -> float:
    """What this machine costs an hour by the rates: its processors, and a GPU if it uses one."""
    rates = execution.rates
    price = (rates.cpu_hour or 0.0) * len(os.sched_getaffinity(0))
    if rates.gpu_hour:
        from encoders import require_device  # torch takes seconds to import

        price += rates.gpu_hour if require_device(execution.device) == "cuda" else 0.0
    return price


def require_price(execution: Execution) -> None:
    """What costs nothing here would never reach its limit: that is not what its user meant.

    Raises:
        ConfigError: if ``max_cost`` is given and the rates name no price of this machine.
    """
    if execution.max_cost is not None and not hourly(execution):
        raise ConfigError(
            "execution.max_cost: must have a price, but this machine uses no GPU and rates.cpu_hour is "
            "not given; set rates.cpu_hour, or leave max_cost out here"
        )
