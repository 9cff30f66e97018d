"""How fast units are done, and how long the others will take."""

from __future__ import annotations

_MINUTE_S, _HOUR_S = 60.0, 3600.0


def pace(rate: float, left: int) -> str:
    """``3.1 a second, about 4 min left``; empty while nothing is known.

    Args:
        rate: units a second.
        left: units.
    """
    if rate <= 0.0 or left <= 0:
        return ""
    return f"{often(rate)}, about {duration(left / rate)} left"


def often(rate: float) -> str:
    """``3.1 a second``, ``12 a minute``, ``0.5 an hour``."""
    if rate * _MINUTE_S < 1.0:
        count, name = rate * _HOUR_S, "an hour"
    elif rate < 1.0:
        count, name = rate * _MINUTE_S, "a minute"
    else:
        count, name = rate, "a second"
    return f"{count:.{1 if count < 10 else 0}f} {name}"


def duration(seconds: float) -> str:
    """``45 s``, ``12 min``, ``3.5 h``."""
    if seconds < 2 * _MINUTE_S:
        return f"{seconds:.0f} s"
    if seconds < 2 * _HOUR_S:
        return f"{seconds / _MINUTE_S:.0f} min"
    return f"{seconds / _HOUR_S:.1f} h"
