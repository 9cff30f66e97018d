"""SIGTERM, as schedulers send it before they take a machine away, ends a command as Ctrl-C does."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALLED = 128  # the shell's convention: 128 + the signal's number


class Terminated(KeyboardInterrupt):
    """Raised where the main thread is when SIGTERM comes."""


@contextmanager
def stopping() -> Iterator[None]:
    """Raise :class:`Terminated` for SIGTERM while the body runs."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(signum: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a second one ends it at once
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def exit_code(error: BaseException) -> int:
    """130 after Ctrl-C, 143 after SIGTERM; click wraps what it was stopped by."""
    terminated = isinstance(error, Terminated) or isinstance(error.__cause__, Terminated)
    return _SIGNALLED + (signal.SIGTERM if terminated else signal.SIGINT)
