"""The contamination guard: sentences of evaluation sets are recognised and refused.

What is shipped of a set is a table of sketches (``<set>.parquet`` beside this file, made by
:mod:`mining.filter.build_sketch`), so that a set is refused on machines that do not have it.

A text overlaps a set if its letters and digits are exactly those of a sentence, or if it is about
as long and enough slots of their sketches agree. Measured on the two shipped sets (22 languages):

- sentences in capitals, with other spacing and punctuation: 99.9 % or more refused per language;
- a tenth of the characters substituted, deleted or followed by another: 94 % (Arabic) to 99 %
  (Japanese) refused; all of them substituted by letters: 90 % (Persian) to 99 %;
- 591,482 texts of interfaces, manuals and a game in these languages: 139 refused (0.024 %; 0.089 %
  in Turkish, the worst), of which 12 are the same sentence, such as "Hayır!".

A sentence that is quoted inside a much longer one is not found.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mining.contract.errors import ConfigError
from mining.filter.sketch import CJK, SHORT, SLOTS, Sketches, sketch_texts
from mining.io.filesystem import Storage, exists, open_decompressed

# Slots of 36 that must agree: more where a stock phrase is half the sentence.
_NEEDED, _NEEDED_BRIEF, _NEEDED_CJK = 11, 13, 16
_BRIEF = 44  # length class: 45 letters
_LENGTH_TOLERANCE = 2  # classes of 8 log2(letters): lengths within about a quarter of each other
_KEYS = 1 << 16  # values of two adjacent slots
_BATCH = 4096

SKETCH = pa.schema(
    [
        pa.field("exact", pa.uint64(), nullable=False),
        pa.field("kind", pa.uint8(), nullable=False),
        pa.field("length", pa.uint8(), nullable=False),
        pa.field("slots", pa.binary(SLOTS)),  # null: too short for them
    ],
    metadata={"mining.schema": "sketch", "mining.schema_version": "1"},
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Guard:
    """Recognises sentences of S evaluation sets.

    Attributes:
        names: the sets' names, as given.
        exact: uint64 [E], sorted hashes of all sentences; ``exact_set`` int16 [E] says whose.
        length: uint8 [M], of the sentences with slots; ``near_set`` int16 [M] says whose.
        slots: uint8 [M, SLOTS].
        rows: int32 [SLOTS, M], rows sorted by the values of slots (j, j + 1).
        offsets: int32 [SLOTS, 65537], where each value begins in ``rows``.
    """

    names: tuple[str, ...]
    exact: NDArray[np.uint64]
    exact_set: NDArray[np.int16]
    length: NDArray[np.uint8]
    near_set: NDArray[np.int16]
    slots: NDArray[np.uint8]
    rows: NDArray[np.int32]
    offsets: NDArray[np.int32]

    def overlaps(self, texts: pa.Array | pa.ChunkedArray) -> NDArray[np.bool_]:
        """Whether each text of a string array [N] is a sentence of a set: bool [N]."""
        return self._find(texts) >= 0

    def matches(self, texts: pa.Array | pa.ChunkedArray) -> pa.StringArray:
        """Name of the set that each text of a string array [N] overlaps; null where none."""
        found = self._find(texts)
        return pa.array(self.names, pa.string()).take(pa.array(found, mask=found < 0))

    def _find(self, texts: pa.Array | pa.ChunkedArray) -> NDArray[np.int16]:
        """Index into ``names`` of the set that each text overlaps, -1 where none: int16 [N]."""
        found = np.full(len(texts), -1, dtype=np.int16)
        for start in range(0, len(texts), _BATCH):
            sketches = sketch_texts(texts.slice(start, _BATCH))
            here = found[start : start + _BATCH]
            self._find_exact(sketches, here)
            self._find_near(sketches, here)
        return found

    def _find_exact(self, sketches: Sketches, found: NDArray[np.int16]) -> None:
        if not len(self.exact):
            return
        at = np.minimum(np.searchsorted(self.exact, sketches.exact), len(self.exact) - 1)
        hit = (self.exact[at] == sketches.exact) & (sketches.exact != 0)
        found[hit] = self.exact_set[at[hit]]

    def _find_near(self, sketches: Sketches, found: NDArray[np.int16]) -> None:
        queries = np.flatnonzero((sketches.kind != SHORT) & (found < 0))
        if not len(self.length) or not len(queries):
            return
        needed = np.where(sketches.length < _BRIEF, _NEEDED_BRIEF, _NEEDED)
        needed[sketches.kind == CJK] = _NEEDED_CJK
        keys = _band_keys(sketches.slots[queries])
        for band in range(SLOTS):
            first = self.offsets[band][keys[band]]
            counts = self.offsets[band][keys[band].astype(np.int32) + 1] - first
            at = np.repeat(first - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
            query, row = np.repeat(queries, counts), self.rows[band][at]
            distance = sketches.length[query].astype(np.int16) - self.length[row]
            close = np.abs(distance) <= _LENGTH_TOLERANCE
            query, row = query[close], row[close]
            agreeing = np.count_nonzero(sketches.slots[query] == self.slots[row], axis=1)
            hit = agreeing >= needed[query]
            found[query[hit]] = self.near_set[row[hit]]


def load_guard(sets: Iterable[str], storage: Storage) -> Guard:
    """Load the guard for named sets and files of one's own.

    Args:
        sets: names of shipped sketches, or addresses of text files with one sentence a line (also
            compressed), which are sketched here.
        storage: fsspec options.

    Raises:
        ConfigError: if an entry is neither.
    """
    names = tuple(sets)
    return guard_of({name: _sketches_of(name, storage) for name in names})


def digest_of_sets(sets: Iterable[str], storage: Storage) -> str:
    """Hex digest of what the named sets and files hold now: a changed file is another guard.

    Raises:
        ConfigError: if an entry is neither.
    """
    digest = hashlib.sha256()
    for name in sets:
        sketches = _sketches_of(name, storage)
        for values in (sketches.exact, sketches.kind, sketches.length, sketches.slots):
            digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def guard_of(sketches: dict[str, Sketches]) -> Guard:
    """Build the guard of the sets whose sketches are given, by name."""
    parts = [*sketches.values(), sketch_texts(pa.array([], pa.string()))]
    exact = np.concatenate([part.exact for part in parts])
    owner = np.repeat(np.arange(len(parts)), [len(part.exact) for part in parts]).astype(np.int16)
    long = np.concatenate([part.kind for part in parts]) != SHORT
    order = np.argsort(exact, kind="stable")
    slots = np.concatenate([part.slots for part in parts])[long]
    rows = np.empty((SLOTS, len(slots)), dtype=np.int32)
    offsets = np.zeros((SLOTS, _KEYS + 1), dtype=np.int32)
    for band, keys in enumerate(_band_keys(slots)):
        rows[band] = np.argsort(keys, kind="stable")
        np.cumsum(np.bincount(keys, minlength=_KEYS), out=offsets[band, 1:])
    return Guard(
        names=tuple(sketches),
        exact=exact[order],
        exact_set=owner[order],
        length=np.concatenate([part.length for part in parts])[long],
        near_set=owner[long],
        slots=slots,
        rows=rows,
        offsets=offsets,
    )


def shipped_sets() -> tuple[str, ...]:
    """Names of the sets whose sketches come with this package."""
    files = resources.files("mining.filter").iterdir()
    return tuple(sorted(f.name[: -len(".parquet")] for f in files if f.name.endswith(".parquet")))


def sketches_to_table(sketches: Sketches) -> pa.Table:
    """Sketches as a SKETCH table, sorted by hash and without repetitions."""
    _, first = np.unique(sketches.exact, return_index=True)
    first = first[sketches.exact[first] != 0]
    kind = sketches.kind[first]
    slots = [
        None if short else row.tobytes()
        for row, short in zip(sketches.slots[first], kind == SHORT, strict=True)
    ]
    columns = [sketches.exact[first], kind, sketches.length[first], slots]
    return pa.table(
        [pa.array(column, field.type) for column, field in zip(columns, SKETCH, strict=True)],
        schema=SKETCH,
    )


def _sketches_from_table(table: pa.Table) -> Sketches:
    blank = bytes(SLOTS)
    slots = b"".join(value or blank for value in table["slots"].to_pylist())
    return Sketches(
        exact=table["exact"].to_numpy(),
        kind=table["kind"].to_numpy(),
        length=table["length"].to_numpy(),
        slots=np.frombuffer(slots, dtype=np.uint8).reshape(-1, SLOTS),
    )


def _sketches_of(name: str, storage: Storage) -> Sketches:
    if name in shipped_sets():
        with resources.files("mining.filter").joinpath(f"{name}.parquet").open("rb") as handle:
            return _sketches_from_table(pq.read_table(pa.PythonFile(handle), schema=SKETCH))
    if not exists(name, storage):
        raise ConfigError(
            f"contamination.sets: must name one of {', '.join(shipped_sets())} or a text file with "
            f"one sentence a line, but {name!r} is neither; mend the name or remove it"
        )
    return sketch_texts(read_sentences(name, storage))


def read_sentences(uri: str, storage: Storage) -> pa.StringArray:
    """The lines of a text file; bytes that are not UTF-8 become U+FFFD."""
    with open_decompressed(uri, storage) as handle:
        return pa.array(handle.read().decode("utf-8", "replace").split("\n"), pa.string())


def _band_keys(slots: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Values of the adjacent slots (j, j + 1), the last with the first: uint16 [SLOTS, N].

    Of 11 agreeing slots among 36, some two are neighbours in 99 % of the draws.
    """
    wide = np.ascontiguousarray(slots.T).astype(np.uint16)
    return (wide << np.uint16(8)) | np.roll(wide, -1, axis=0)
