"""Manifests of speech: tables of any make, and CoVoST 2 over a release of Common Voice."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from encoders.train.data.config import Seed
from encoders.train.data.rows import RAW
from encoders.train.data.tables import ROW, Refuse, read_escaped, read_table, table_files
from mining.contract.errors import InputError
from mining.contract.languages import canonical_language
from mining.contract.uris import canonical_uri
from mining.io.filesystem import Storage, list_glob

_COVOST = re.compile(
    r"covost_v2\.([A-Za-z]+(?:-[A-Za-z]+)?)_([A-Za-z]+(?:-[A-Za-z]+)?)\.tsv(?:\.\w+)?"
)
_CLIPS = "clips"
_SPLIT = "split"
# Of Common Voice's tables; others lie beside them that have other columns.
_RELEASE_COLUMNS = ("path", "sentence", "client_id")


def read_seed(name: str, seed: Seed, refuse: Refuse) -> Iterator[pa.Table]:
    """The rows of a seed that are of its split.

    Args:
        name: of the seed.
        seed: where it is.
        refuse: takes row id, reason and detail of each record that cannot be read.

    Yields:
        Tables with the columns of :data:`RAW`.

    Raises:
        InputError: a manifest is missing or lacks a column.
    """
    reader = _read_covost if seed.format == "covost2" else _read_tables
    yield from reader(f"data.seeds.{name}", seed, refuse)


def _read_tables(where: str, seed: Seed, refuse: Refuse) -> Iterator[pa.Table]:
    names = seed.columns
    wanted = {
        "audio": names.audio, "start_s": names.start_s, "end_s": names.end_s, "lang": names.lang,
        "transcript": names.transcript, "translation": names.translation,
        "translation_lang": names.translation_lang, "speaker": names.speaker,
        "reading": names.reading,
    }  # fmt: skip
    required = [names.audio] if seed.lang is not None else [names.audio, names.lang]
    columns = sorted({*wanted.values(), _SPLIT})
    for uri in table_files(canonical_uri(seed.manifest), f"{where}.manifest"):
        root = canonical_uri(seed.audio_root or os.path.dirname(uri) or ".").rstrip("/")
        for table in read_table(uri, columns, required, refuse):
            here = pc.or_(pc.equal(table[_SPLIT], ""), pc.equal(table[_SPLIT], seed.split))
            table = table.filter(here)
            raw = {role: table[column] for role, column in wanted.items()}
            raw["place"] = _places(uri, table)
            raw["audio"] = pa.array(
                [_address(root, one.strip()) for one in table[names.audio].to_pylist()], pa.string()
            )
            raw["lang"] = _filled(raw["lang"], seed.lang or "")
            raw["translation_lang"] = _filled(raw["translation_lang"], seed.translation_lang)
            yield pa.table({column: raw[column] for column in RAW})


def _address(root: str, name: str) -> str:
    if not name or "\0" in name:
        return ""
    is_absolute = name.startswith(("/", "~")) or "://" in name
    return canonical_uri(name if is_absolute else f"{root}/{name}")


def _filled(column: pa.ChunkedArray, default: str) -> pa.ChunkedArray:
    return pc.if_else(pc.equal(column, ""), default, column)


def _places(uri: str, table: pa.Table) -> pa.Array:
    return pa.array([f"{uri}#{row}" for row in table[ROW].to_pylist()], pa.string())


def _read_covost(where: str, seed: Seed, refuse: Refuse) -> Iterator[pa.Table]:
    folder = canonical_uri(seed.manifest)
    root = canonical_uri(seed.audio_root or seed.manifest).rstrip("/")
    for locale, tables in sorted(_covost_tables(folder, where, seed).items()):
        parts = []
        for target, uri in tables:
            read = list(read_escaped(uri, ("path", "translation", _SPLIT), refuse))
            if read:
                parts.append((target, uri, _of_split(pa.concat_tables(read), seed.split)))
        if not parts:
            continue
        paths = pa.concat_tables([part for *_, part in parts])["path"]
        release = _release(f"{root}/{locale}", paths)
        for target, uri, part in parts:
            if part.num_rows:
                yield _joined(part, release, (uri, f"{root}/{locale}/{_CLIPS}", locale, target))


def _covost_tables(folder: str, where: str, seed: Seed) -> dict[str, list[tuple[str, str]]]:
    """The tables of each source locale: (target locale, address), sorted."""
    wanted = None if seed.langs is None else {canonical_language(code) for code in seed.langs}
    tables: dict[str, list[tuple[str, str]]] = {}
    seen = 0
    for uri in list_glob(f"{folder}/covost_v2.*", Storage()):
        match = _COVOST.fullmatch(posixpath.basename(uri))
        if match is None:
            continue
        seen += 1
        if wanted is None or canonical_language(match[1]) in wanted:
            tables.setdefault(match[1], []).append((match[2], uri))
    if not tables:
        raise InputError(
            f"{where}.manifest: must be a folder with tables covost_v2.<from>_<to>.tsv"
            + (f" of {', '.join(seed.langs or ())}" if seen else "")
            + f", but {folder} has none; check the path"
        )
    return tables


def _of_split(table: pa.Table, split: str) -> pa.Table:
    # CoVoST's own training set is Common Voice's "train" and what it adds, as "train_covost"
    mine = pa.array([split, f"{split}_covost"])
    return table.filter(pc.is_in(table[_SPLIT], value_set=mine))


def _release(folder: str, paths: pa.ChunkedArray) -> pa.Table:
    """What a release of Common Voice says of some clips, ``validated`` first: _RELEASE_COLUMNS."""
    found = [pa.table({name: pa.array([], pa.string()) for name in _RELEASE_COLUMNS})]
    files = list_glob(f"{folder}/*.tsv*", Storage())
    for uri in sorted(files, key=lambda uri: ("/validated.tsv" not in uri, uri)):
        try:
            parts = list(read_table(uri, _RELEASE_COLUMNS, _RELEASE_COLUMNS, _ignore))
        except InputError:
            if "/validated.tsv" in uri:
                raise
            continue  # one of Common Voice's other tables, such as clip_durations.tsv
        if parts:
            part = pa.concat_tables(parts).select(_RELEASE_COLUMNS)
            found.append(part.filter(pc.is_in(part["path"], value_set=paths)))
    table = pa.concat_tables(found).combine_chunks()
    numbers = table["path"].combine_chunks().dictionary_encode().indices.to_numpy()
    _, first = np.unique(numbers, return_index=True)
    return cast(pa.Table, table.take(pa.array(first)))


def _ignore(row_id: str, reason: str, detail: str) -> None:
    """A damaged row of a release describes no clip that is asked for."""


def _joined(part: pa.Table, release: pa.Table, origin: tuple[str, str, str, str]) -> pa.Table:
    """CoVoST 2's rows with what the release says: a clip it does not list has no transcript."""
    uri, clips, locale, target = origin
    at = pc.index_in(part["path"], value_set=release["path"])
    rows = part.num_rows
    addresses = [
        f"{clips}/{name}" if name and posixpath.basename(name) == name else ""
        for name in part["path"].to_pylist()
    ]
    blank = pa.array([""] * rows, pa.string())
    raw = {
        "place": _places(uri, part),
        "audio": pa.array(addresses, pa.string()),
        "start_s": blank,
        "end_s": blank,
        "lang": pa.array([locale] * rows, pa.string()),
        "transcript": pc.fill_null(release["sentence"].take(at), ""),
        "translation": part["translation"],
        "translation_lang": pa.array([target] * rows, pa.string()),
        "speaker": pc.fill_null(release["client_id"].take(at), ""),
        "reading": pa.array([""] * rows, pa.string()),
    }
    return pa.table({column: raw[column] for column in RAW})
