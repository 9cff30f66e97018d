"""Where the list of what was forgotten is; every run reads it."""

from __future__ import annotations

from beam_jobs.stage import Run
from mining.io.forgotten import Forgotten, ForgottenList, read_forgotten

_LIST = "forgotten.json"


def list_of(run: Run) -> str:
    """Address of the list."""
    return run.state(_LIST)


def forgotten_list(run: Run) -> ForgottenList:
    """What was forgotten in an output.

    Raises:
        DatasetError: if the list is damaged.
    """
    return read_forgotten(list_of(run), run.storage)


def forgotten_of(run: Run, corpus: str) -> Forgotten:
    """What is left out of one corpus."""
    return forgotten_list(run).of(corpus)
