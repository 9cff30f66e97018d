"""Where the list of what was forgotten is; every run reads it."""

from __future__ import annotations

from beam_jobs.stage import FORGOTTEN, Run
from mining.io.forgotten import Forgotten, ForgottenList


def list_of(run: Run) -> str:
    """Address of the list."""
    return run.state(FORGOTTEN)


def forgotten_list(run: Run) -> ForgottenList:
    """What was forgotten in an output.

    Raises:
        DatasetError: if the list is damaged.
    """
    return run.forgotten_list()


def forgotten_of(run: Run, corpus: str) -> Forgotten:
    """What is left out of one corpus."""
    return forgotten_list(run).of(corpus)
