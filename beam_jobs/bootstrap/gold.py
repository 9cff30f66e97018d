"""What bootstrapping must not learn from: sentences and recordings of the gold that judges it.

N pairs of a table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from encoders.train.data.tables import read_table
from mining.contract.errors import InputError
from mining.contract.schemas import SPEECH
from mining.evaluate.gold import read_gold
from mining.filter import Guard, load_guard
from mining.io.filesystem import Storage, write_atomic
from mining.text import normalise

_EVER = (-np.inf, np.inf)


@dataclass(frozen=True, kw_only=True, eq=False)
class HeldOutGold:
    """Sentences and stretches of recordings that are held out.

    Attributes:
        ids: string [G], segment ids of its texts.
        guard: of its sentences, in whatever spelling.
        stretches: start and end in seconds, float64 [S, 2], by recording as the pairs name it; a
            whole recording has no end.
    """

    ids: pa.Array
    guard: Guard
    stretches: Mapping[str, NDArray[np.float64]]

    def touches(self, pairs: pa.Table) -> NDArray[np.bool_]:
        """Whether either side of each pair is of the gold: bool [N].

        A text is if it is one of its sentences, exactly or nearly; speech, if it shares any moment
        with one of its stretches, on whichever channel.

        Args:
            pairs: columns of PAIR.
        """
        found = np.zeros(pairs.num_rows, dtype=np.bool_)
        for side in ("src", "tgt"):
            known = pc.is_in(pairs[f"{side}_segment_id"], value_set=self.ids)
            found |= known.to_numpy()
            texts = pc.fill_null(pairs[f"{side}_text"], "")
            found |= self.guard.overlaps(texts.combine_chunks())
            found |= self._heard(*(pairs[f"{side}_{name}"] for name in ("uri", "start_s", "end_s")))
        return found

    def _heard(
        self, uris: pa.ChunkedArray, starts_s: pa.ChunkedArray, ends_s: pa.ChunkedArray
    ) -> NDArray[np.bool_]:
        found = np.zeros(len(uris), dtype=np.bool_)
        names = list(self.stretches)
        recording = pc.index_in(uris, value_set=pa.array(names, pa.string()))
        codes = pc.fill_null(recording, -1).to_numpy()
        # a text has no times, and no recording either
        start, end = (pc.fill_null(times, 0.0).to_numpy() for times in (starts_s, ends_s))
        order = np.argsort(codes, kind="stable")
        edges = np.flatnonzero(np.diff(codes[order], prepend=-2, append=-2))
        for first, last in pairwise(edges.tolist()):
            rows = order[first:last]
            if codes[rows[0]] >= 0:
                held = self.stretches[names[codes[rows[0]]]]
                shared = (start[rows, None] < held[:, 1]) & (end[rows, None] > held[:, 0])
                found[rows] = shared.any(axis=1)
        return found


def held_out_gold(uri: str, storage: Storage, sentences: str) -> HeldOutGold:
    """Read the gold, and write its sentences to a file that a guard can be made of.

    Args:
        uri: a table of gold.
        storage: fsspec options.
        sentences: file to write, one normalised text a line.

    Raises:
        InputError: it cannot be read; or it names speech by a segment's id, which does not tell what
            overlaps it.
    """
    gold = read_gold(uri, storage)
    spoken = gold.filter(pc.equal(gold["modality"], SPEECH))
    if spoken["source_uri"].null_count:
        raise InputError(
            f"{uri}: speech must be named by source_uri (with start_s and end_s of a part), since "
            "nothing that overlaps it may be learned from, but has a segment_id; name its place"
        )
    stretches: dict[str, list[tuple[float, float]]] = {}
    for row in spoken.select(["source_uri", "start_s", "end_s"]).to_pylist():
        place = _EVER if row["start_s"] is None else (row["start_s"], row["end_s"])
        stretches.setdefault(row["source_uri"], []).append(place)
    texts = sorted(
        {
            form
            for part in read_table(uri, ["text"], [], _ignore)
            for text in part["text"].to_pylist()
            if (form := normalise(text))
        }
    )
    write_atomic(sentences, "".join(f"{text}\n" for text in texts).encode("utf-8"), Storage())
    return HeldOutGold(
        ids=pc.unique(gold["segment_id"]),
        guard=load_guard((sentences,), Storage()),
        stretches={name: np.array(some, dtype=np.float64) for name, some in stretches.items()},
    )


def _ignore(row_id: str, reason: str, detail: str) -> None:
    """A record that cannot be read is no gold: reading it as such has not complained."""
