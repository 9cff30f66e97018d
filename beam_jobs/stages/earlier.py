"""Parts that an earlier run of the same corpus has made of the same input: they are taken over whole.

For stages whose units are each made of one part and nothing else. With a new recording in a corpus, or
one that was forgotten, these are the parts that got no row of it, or lost none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import pyarrow as pa

from beam_jobs.stage import Stage
from beam_jobs.stages.reading import LEFT_OUT
from mining.io.dataset import Receipt, read_receipt
from mining.io.filesystem import list_glob
from mining.io.parquet import count_rows, read_part, write_part

MADE_OF, TAKEN_OVER = "made_of", "taken_over"  # notes of a receipt


def earlier_hashes(stage: Stage) -> tuple[str, ...]:
    """Other hashes that a stage had for its subject."""
    home = stage.run.state(stage.name, stage.subject)
    found = {
        uri.removeprefix(f"{home}/").partition("/")[0] for uri in list_glob(home, stage.run.storage)
    }
    return tuple(sorted(found - {stage.hash}))


def take_over(
    stage: Stage,
    phase: str,
    unit: str,
    made_of: str,
    kinds: Mapping[str, pa.Schema],
    others: Sequence[str],
) -> Receipt | None:
    """Take over an earlier part, if there is one.

    Args:
        stage: that wants it.
        phase: of the unit.
        unit: its key, which is the part's name in every run.
        made_of: digest of everything that decides the part.
        kinds: schemas of the part in each dataset that the unit writes.
        others: of :func:`earlier_hashes`.

    Returns:
        The unit's receipt, whose parts are written.
    """
    storage = stage.run.storage
    for other in others:
        folder = stage.run.state(stage.name, stage.subject, other, phase)
        receipt = read_receipt(folder, unit, storage)
        if receipt is None or receipt.notes.get(MADE_OF) != made_of:
            continue
        if receipt.notes.get(LEFT_OUT):  # what was left out then is tried anew
            continue
        there = {
            kind: (part, f"{_folder(stage, kind, other)}/{part.path}")
            for kind in kinds
            for part in receipt.parts[kind]
        }
        if any(count_rows(uri, storage) != part.rows for part, uri in there.values()):
            continue
        parts = {}
        for kind, (part, uri) in there.items():
            table = read_part(uri, kinds[kind], storage)
            own = _folder(stage, kind, stage.hash)
            parts[kind] = (write_part(own, part.path, table, kinds[kind], storage),)
        return replace(receipt, parts=parts, notes={**receipt.notes, TAKEN_OVER: True})
    return None


def _folder(stage: Stage, kind: str, hash_: str) -> str:
    """Of one of the datasets that a stage writes."""
    of = (stage.name,) if kind == "rejects" else ()
    return stage.run.dataset(kind, *of, stage.subject, hash_)


def said(subject: str, receipts: Iterable[Receipt]) -> str:
    """How many parts were taken over; empty: none."""
    done = list(receipts)
    taken = sum(receipt.notes.get(TAKEN_OVER, False) for receipt in done)
    return f"{subject}: {taken} of {len(done)} parts are those of an earlier run" if taken else ""
