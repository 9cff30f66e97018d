"""Whether a run had everything it was told to read."""

from __future__ import annotations

from beam_jobs.plan import Plan
from mining.contract.errors import IncompleteError

_NAMED = 3  # files that a message names


def require_complete(plan: Plan) -> None:
    """Refuse to end as if all were well when files of a corpus were left out.

    Raises:
        IncompleteError: naming them, and how to try again.
    """
    lines = []
    for stage in plan.prepare():
        lacking = stage.incomplete() if stage.is_done() else {}
        files = [file for unit in lacking.values() for file in unit]
        if files:
            more = f" and {len(files) - _NAMED} more" if len(files) > _NAMED else ""
            note = stage.note(next(iter(lacking)))
            where = note if len(lacking) == 1 else f"the {len(lacking)} notes beside {note}"
            lines.append(
                f"corpora.{stage.subject}: must be read whole, but processes died at "
                f"{', '.join(files[:_NAMED])}{more}: left out, and the rest done; to try again, remove "
                f"{where} or raise execution.tries"
            )
    if lines:
        raise IncompleteError("\n".join(lines))
