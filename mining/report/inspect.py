"""What ``mining inspect`` prints: a dataset's schema, counts, statistics and first rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from mining.contract.errors import InputError
from mining.contract.schemas import BACKWARD, FORWARD, NEIGHBOR
from mining.contract.uris import canonical_uri
from mining.io.dataset import MANIFEST, Manifest, read_manifest
from mining.io.filesystem import Storage, exists, list_glob
from mining.io.parquet import read_part
from mining.report.hubness import Hubness, hubness

_CELL = 60  # characters of a cell shown


def inspect(uri: str, storage: Storage, samples: int) -> str:
    """Describe a dataset folder, a Parquet file, or a whole output folder.

    Args:
        uri: what to look at.
        storage: fsspec options.
        samples: rows to show of each dataset.

    Raises:
        InputError: if there is nothing to look at.
    """
    folder = canonical_uri(uri)
    if exists(f"{folder}/{MANIFEST}", storage):
        return "\n".join(_dataset(folder, storage, samples))
    if folder.endswith(".parquet"):
        return "\n".join(_tables([folder], storage, samples))
    parts = [path for path in list_glob(folder, storage) if path.endswith(".parquet")]
    datasets = _datasets(folder, parts, storage)
    if len(datasets) == 1:
        return "\n".join([datasets[0], *_dataset(datasets[0], storage, samples)])
    if datasets:
        return "\n".join(_overview(folder, datasets, storage))
    if not parts:
        raise InputError(
            f"{uri}: must be a dataset, a Parquet file or an output folder, but is none"
        )
    return "\n".join(
        ["(no manifest: unfinished, or not made here)", *_tables(parts, storage, samples)]
    )


def _datasets(folder: str, parts: Iterable[str], storage: Storage) -> list[str]:
    """Folders below ``folder`` that hold a manifest and some of ``parts``."""
    ancestors = set()
    for part in parts:
        path = part.rpartition("/")[0]
        while len(path) > len(folder):
            ancestors.add(path)
            path = path.rpartition("/")[0]
    return sorted(path for path in ancestors if exists(f"{path}/{MANIFEST}", storage))


def _overview(folder: str, datasets: Iterable[str], storage: Storage) -> Iterable[str]:
    yield f"{'dataset':<50} {'rows':>10}  counters"
    for home in datasets:
        manifest = read_manifest(home, storage)
        name = home.removeprefix(folder + "/")
        yield f"{name:<50} {manifest.rows:>10}  {_counters(manifest.counters)}"


def _counters(counters: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {n}" for name, n in counters.items() if not name.startswith("kept."))


def _dataset(folder: str, storage: Storage, samples: int) -> Iterable[str]:
    manifest: Manifest = read_manifest(folder, storage)
    yield f"{manifest.kind} of {manifest.name}, {manifest.rows} rows in {len(manifest.parts)} parts"
    yield f"hash        {manifest.hash}"
    for name, value in sorted(manifest.attributes.items()):
        if name == "licences":
            yield from _licences(value)
            continue
        yield f"{name:<11} {value}"
    if manifest.counters:
        yield f"counters    {_counters(manifest.counters)}"
    if manifest.langs:
        yield "languages   " + ", ".join(f"{lang} {rows}" for lang, rows in manifest.langs.items())
    if manifest.kind == "neighbors":
        yield from _hubs(folder, manifest, storage)
    yield from _tables([f"{folder}/{part.path}" for part in manifest.parts], storage, samples)


def _licences(licences: Mapping[str, Mapping[str, str]]) -> Iterable[str]:
    """One line for the corpora, one for the models."""
    for kind, found in sorted(licences.items()):
        shown = ", ".join(f"{name} {licence}" for name, licence in found.items())
        yield f"licences    {kind}: {shown}"


def _hubs(folder: str, manifest: Manifest, storage: Storage) -> Iterable[str]:
    """Hubness of each language pair and direction; in brackets what chance would give."""
    yield (
        f"hubness     {'languages':<17} {'searched':<8} {'rows':>9} {'skewness':>15} "
        f"{'nobody finds':>17}  found most often"
    )
    names = {FORWARD: "target", BACKWARD: "source"}
    for pair in sorted({part.path.split(".")[0] for part in manifest.parts}):
        paths = {
            direction: [
                f"{folder}/{part.path}"
                for part in manifest.parts
                if part.path.startswith(f"{pair}.") and f".{direction}." in part.path
            ]
            for direction in names
        }
        for direction, other in ((FORWARD, BACKWARD), (BACKWARD, FORWARD)):
            ranks = (read_part(p, NEIGHBOR, storage, columns=["rank"]) for p in paths[other])
            rows = sum(pc.sum(pc.equal(table["rank"], 1)).as_py() or 0 for table in ranks)
            found = (
                read_part(p, NEIGHBOR, storage, columns=["index_id"]) for p in paths[direction]
            )
            if rows:
                line = _hub_line(hubness(found, rows))
                yield f"{'':<11} {pair:<17} {names[direction]:<8} {line}"


def _hub_line(found: Hubness) -> str:
    skewness = "none" if found.skewness is None else f"{found.skewness:.2f}"
    chance = found.skewness_by_chance
    by_chance = "" if chance is None else f" ({chance:.2f})"
    missed = f"{found.anti_hubs:.1%} ({found.anti_hubs_by_chance:.1%})"
    most = ", ".join(f"{name} {count}" for name, count in found.largest)
    return f"{found.rows:>9} {skewness + by_chance:>15} {missed:>17}  {most}"


def _tables(paths: list[str], storage: Storage, samples: int) -> Iterable[str]:
    """Schema, statistics of every numeric column, values of reasons, and the first rows."""
    totals: dict[str, list[float]] = {}
    reasons: Counter[str] = Counter()
    first: pa.Table | None = None
    for path in paths:
        table = read_part(path, None, storage)
        for field in table.schema:
            if pa.types.is_floating(field.type) or pa.types.is_integer(field.type):
                _accumulate(totals.setdefault(field.name, []), table[field.name])
        if "reason" in table.column_names:
            reasons.update(table["reason"].to_pylist())
        if first is None or first.num_rows == 0:
            first = table.slice(0, samples)
    if first is None:
        return
    yield "schema"
    yield from (
        f"  {field.name}: {field.type}{'' if field.nullable else ' not null'}"
        for field in first.schema
    )
    if totals:
        yield f"statistics  {'column':<20} {'min':>12} {'mean':>12} {'max':>12}"
    for name, (low, total, high, count) in ((n, t) for n, t in totals.items() if t):
        yield f"            {name:<20} {low:>12.6g} {total / count:>12.6g} {high:>12.6g}"
    if reasons:
        yield "reasons     " + ", ".join(f"{name} {n}" for name, n in sorted(reasons.items()))
    yield f"first {first.num_rows} rows"
    for row in first.to_pylist():
        yield "  " + "  ".join(
            f"{name}={value if name == 'detail' else _cell(value)}"
            for name, value in row.items()
            if value is not None
        )


def _accumulate(total: list[float], column: pa.ChunkedArray) -> None:
    """Update [min, sum, max, count] with a column's values."""
    count = len(column) - column.null_count
    if not count:
        return
    ends = pc.min_max(column).as_py()
    new = [ends["min"], pc.sum(column.cast(pa.float64())).as_py(), ends["max"], count]
    if not total:
        total.extend(new)
        return
    total[0], total[2] = min(total[0], new[0]), max(total[2], new[2])
    total[1] += new[1]
    total[3] += new[3]


def _cell(value: object) -> str:
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    return text if len(text) <= _CELL else text[: _CELL - 1] + "…"
