"""What changed between two sets of mined pairs: added, removed, scored otherwise.

One language pair of one task is held at a time: its ids and scores, and the rows of those that changed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mining.contract.errors import InputError, SchemaError
from mining.contract.schemas import PAIR
from mining.contract.upgrade import upgraded
from mining.contract.uris import canonical_uri
from mining.io.filesystem import Storage, exists, list_glob
from mining.io.parquet import read_part, read_schema

Key = tuple[str, str]  # task and language pair

ADDED, REMOVED, RESCORED = "added", "removed", "rescored"
CHANGES = (ADDED, REMOVED, RESCORED)
_SCORES = ("margin_score", "similarity")
_SHOWN = (
    "src_segment_id", "tgt_segment_id", "src_text", "tgt_text", "src_uri", "src_start_s", "src_end_s",
    "tgt_uri", "tgt_start_s", "tgt_end_s",
)  # fmt: skip
_USED = ("pair_id", "src_lang", "tgt_lang", *_SCORES, *_SHOWN)
_NUMBERS = ("before", "after", "same", *CHANGES)
_CELL = 60  # characters of a text shown
_VERSION = b"mining.schema_version"
_LANGUAGES = re.compile(r"[a-z]{3}(_[A-Z][a-z]{3})?-[a-z]{3}(_[A-Z][a-z]{3})?")

# The rows of a comparison. Scores before are null where a pair was added, after where it was removed.
PAIR_CHANGE = pa.schema(
    [
        pa.field("change", pa.string(), nullable=False),
        pa.field("task", pa.string(), nullable=False),
        PAIR.field("pair_id"),
        PAIR.field("src_lang"),
        PAIR.field("tgt_lang"),
        *(pa.field(f"{name}_{when}", pa.float32()) for name in _SCORES for when in ("before", "after")),
        *(PAIR.field(name) for name in _SHOWN),
    ],
    metadata={"mining.schema": "pair_change", "mining.schema_version": "1"},
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How many pairs of a task and language pair are what."""

    task: str
    languages: str
    before: int
    after: int
    same: int
    added: int
    removed: int
    rescored: int

    @property
    def changed(self) -> bool:
        """Whether anything differs."""
        return bool(self.added or self.removed or self.rescored)

    def to_json(self) -> dict[str, object]:
        """For ``json.dumps``."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One language pair of a task, compared.

    Attributes:
        counts: how many pairs are what.
        rows: PAIR_CHANGE, sorted by change and pair_id.
    """

    counts: Counts
    rows: pa.Table


@dataclass(frozen=True, kw_only=True)
class PairSet:
    """Pairs in files.

    Attributes:
        name: as the user wrote it.
        files: (task, languages) -> files that hold such pairs; task is empty where no folder names it.
        storage: fsspec options.
    """

    name: str
    files: Mapping[Key, tuple[str, ...]]
    storage: Storage

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks; an empty one where no folder names it."""
        return sorted({task for task, _ in self.files})

    def read(self, key: Key, columns: Sequence[str], ids: pa.Array | None = None) -> pa.Table:
        """Columns of the pairs of a task and language pair, by pair_id; of ``ids`` only, if given.

        Raises:
            InputError: if a pair stands there twice.
        """
        src, tgt = key[1].split("-")
        names = [*columns, *(name for name in ("src_lang", "tgt_lang") if name not in columns)]
        schema = pa.schema([PAIR.field(name) for name in names])

        def keep(table: pa.Table) -> pa.Table:
            wanted = pc.and_(pc.equal(table["src_lang"], src), pc.equal(table["tgt_lang"], tgt))
            if ids is not None:
                wanted = pc.and_(wanted, pc.is_in(table["pair_id"], value_set=ids))
            return table.filter(wanted)

        tables = [schema.empty_table()]
        for uri in self.files.get(key, ()):
            tables.append(_read(uri, names, self.storage, keep).select(names).cast(schema))
        found = pa.concat_tables(tables).select(list(columns)).sort_by("pair_id").combine_chunks()
        twice = pc.equal(found["pair_id"][1:], found["pair_id"][:-1])
        if pc.any(twice, min_count=0).as_py():
            again = found["pair_id"][pc.index(twice, True).as_py()].as_py()
            raise InputError(
                f"{self.name}: a pair must stand once in its task and language pair, but {again} stands "
                f"in {key[1]} twice; compare its folders one by one"
            )
        return found


def find_pairs(uri: str, storage: Storage) -> PairSet:
    """The pairs of an output, of a folder of pairs, or of a Parquet file.

    Args:
        uri: an output (its ``pairs/`` are taken), ``pairs`` itself, ``pairs/<task>``, any folder of
            Parquet files with pairs, or one such file.
        storage: fsspec options.

    Raises:
        InputError: if there are no pairs.
        SchemaError: if files hold something else, or pairs of a newer version.
    """
    root = canonical_uri(uri)
    if exists(f"{root}/pairs", storage):
        root = f"{root}/pairs"
    files = [path for path in list_glob(root, storage) if path.endswith(".parquet")]
    if not files:
        raise InputError(
            f"{uri}: must be an output with pairs, a folder of pairs or a Parquet file, but holds no "
            "pairs; run mining run first, or name another"
        )
    found: dict[Key, list[str]] = {}
    for path in files:
        _check(path, storage)
        folders = path.removeprefix(root).strip("/").split("/")[:-1]
        named = bool(folders) and _LANGUAGES.fullmatch(folders[-1]) is not None
        task = "/".join(folders[:-1] if named else folders)
        # a folder's name is believed: its files are then not read once more for their languages
        for languages in [folders[-1]] if named else _languages(path, storage):
            found.setdefault((task, languages), []).append(path)
    return PairSet(name=uri, files={k: tuple(v) for k, v in found.items()}, storage=storage)


def _check(uri: str, storage: Storage) -> None:
    """Raise unless a file holds pairs of this version or an older one, or their columns at least."""
    schema = read_schema(uri, storage)
    facts = schema.metadata or {}
    kind = facts.get(b"mining.schema", b"pair").decode()
    missing = [name for name in _USED if name not in schema.names]
    if kind != "pair" or missing:
        is_what = f"rows of {kind}" if kind != "pair" else f"rows without {', '.join(missing)}"
        raise SchemaError(
            f"{uri}: must hold mined pairs, but holds {is_what}; name an output or its pairs"
        )
    version, known = (int(m.get(_VERSION, 0)) for m in (facts, PAIR.metadata))
    if version > known:
        raise SchemaError(
            f"{uri}: must hold pairs of version {known} or older, but holds version {version}; compare "
            "with the program that wrote it"
        )


def _read(
    uri: str,
    columns: Sequence[str],
    storage: Storage,
    keep: Callable[[pa.Table], pa.Table] | None = None,
) -> pa.Table:
    """The columns, and perhaps others: a file of an older version is read whole and made new."""
    version = int((read_schema(uri, storage).metadata or {}).get(_VERSION, PAIR.metadata[_VERSION]))
    if version == int(PAIR.metadata[_VERSION]):
        return read_part(uri, None, storage, columns=columns, keep=keep)
    table = upgraded(read_part(uri, None, storage), PAIR)
    return table if keep is None else keep(table)


def _languages(uri: str, storage: Storage) -> list[str]:
    """Language pairs of a file."""
    table = _read(uri, ("src_lang", "tgt_lang"), storage)
    rows = table.group_by(["src_lang", "tgt_lang"]).aggregate([]).to_pylist()
    return sorted(f"{row['src_lang']}-{row['tgt_lang']}" for row in rows)


def differences(before: PairSet, after: PairSet, rows: bool = True) -> Iterator[Difference]:
    """Compare task by task and language pair by language pair.

    A pair is the same if its id is: both its segments. It is rescored if its margin score or its
    similarity differs at all.

    Args:
        before: the one side.
        after: the other. Where one side names no task, it is compared with the only one of the other.
        rows: whether the changed rows are wanted, or only how many they are.

    Raises:
        InputError: if one side has several tasks and the other does not say which.
    """
    before, after = _of_one_task(before, after), _of_one_task(after, before)
    for key in sorted({*before.files, *after.files}):
        yield _compare(before, after, key, rows)


def _of_one_task(pairs: PairSet, other: PairSet) -> PairSet:
    """Pairs without a task under the name of the other side's only one."""
    if pairs.tasks != [""] or other.tasks == [""]:
        return pairs
    if len(other.tasks) > 1:
        raise InputError(
            f"{pairs.name}: holds pairs of one task, but {other.name} of {', '.join(other.tasks)}; name "
            "the folder of one of them"
        )
    (task,) = other.tasks
    files = {(task, languages): paths for (_, languages), paths in pairs.files.items()}
    return replace(pairs, files=files)


def _compare(before: PairSet, after: PairSet, key: Key, rows: bool) -> Difference:
    old, new = (side.read(key, ("pair_id", *_SCORES)) for side in (before, after))
    place = pc.index_in(new["pair_id"], value_set=old["pair_id"].combine_chunks())
    added = new.filter(pc.is_null(place))["pair_id"]
    kept = new.filter(pc.is_valid(place))
    was = old.take(place.drop_null())
    moved = np.zeros(kept.num_rows, dtype=np.bool_)
    for name in _SCORES:
        moved |= was[name].to_numpy() != kept[name].to_numpy()
    rescored = kept.filter(pa.array(moved))["pair_id"]
    gone = pc.invert(pc.is_in(old["pair_id"], value_set=new["pair_id"].combine_chunks()))
    removed = old.filter(gone)["pair_id"]
    counts = Counts(
        task=key[0],
        languages=key[1],
        before=old.num_rows,
        after=new.num_rows,
        same=kept.num_rows - len(rescored),
        added=len(added),
        removed=len(removed),
        rescored=len(rescored),
    )
    tables = [PAIR_CHANGE.empty_table()]
    for change, ids in ((ADDED, added), (REMOVED, removed), (RESCORED, rescored)):
        if rows and len(ids):
            tables.append(_rows(change, before, after, key, ids.combine_chunks()))
    return Difference(counts=counts, rows=pa.concat_tables(tables))


def _rows(change: str, before: PairSet, after: PairSet, key: Key, ids: pa.Array) -> pa.Table:
    """PAIR_CHANGE rows of some pairs, by pair_id; what is shown of a pair is that of its newer side."""
    sides = {
        when: side.read(key, _USED, ids)
        for when, side in (("before", before), ("after", after))
        if change != {"before": ADDED, "after": REMOVED}[when]
    }
    shown = sides["before" if change == REMOVED else "after"]
    columns = {name: shown[name] for name in _USED if name not in _SCORES}
    columns |= {name: pa.repeat(pa.scalar(value, pa.string()), shown.num_rows)
                for name, value in (("change", change), ("task", key[0]))}  # fmt: skip
    nothing = pa.nulls(shown.num_rows, pa.float32())
    for when in ("before", "after"):
        for name in _SCORES:
            columns[f"{name}_{when}"] = sides[when][name] if when in sides else nothing
    return pa.table([columns[name] for name in PAIR_CHANGE.names], schema=PAIR_CHANGE)


def table_of(found: Sequence[Counts]) -> str:
    """Counts as a table, with a last line of sums."""
    total = Counts(task="all", languages="", **{
        name: sum(getattr(one, name) for one in found) for name in _NUMBERS
    })  # fmt: skip
    width = max(len("task"), *(len(one.task) for one in (*found, total)))
    wide = max(len("languages"), *(len(one.languages) for one in found))
    lines = [f"{'task':<{width}}  {'languages':<{wide}}" + "".join(f"{n:>12}" for n in _NUMBERS)]
    for one in (*found, total):
        numbers = "".join(f"{getattr(one, name):>12}" for name in _NUMBERS)
        lines.append(f"{one.task:<{width}}  {one.languages:<{wide}}{numbers}")
    return "\n".join(lines)


def examples_of(rows: pa.Table, most: int) -> Iterator[str]:
    """Up to ``most`` lines of each change: its scores, and both texts or recordings."""
    for change in CHANGES:
        some = rows.filter(pc.equal(rows["change"], change)).slice(0, most)
        for row in some.to_pylist():
            scores = [row[f"margin_score_{when}"] for when in ("before", "after")]
            score = " -> ".join(f"{one:.4f}" for one in scores if one is not None)
            yield f"  {change:<8} {score:<16}  {_side(row, 'src')}  |  {_side(row, 'tgt')}"


def _side(row: Mapping[str, Any], side: str) -> str:
    text = row[f"{side}_text"]
    if text is None:
        start, end = row[f"{side}_start_s"], row[f"{side}_end_s"]
        text = row[f"{side}_uri"] or row[f"{side}_segment_id"]
        if start is not None:
            text += f" {start:.2f}-{end:.2f} s"
    return str(text if len(text) <= _CELL else text[: _CELL - 1] + "…")
