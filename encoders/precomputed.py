"""Embeddings that somebody computed elsewhere, looked up by the id of the document.

Shape legend: N stored rows, B rows of a segment batch, D width of a vector.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from encoders.card import EncoderCard
from encoders.checkpoint import files_digest
from mining.contract.encoder import EmbeddingBatch
from mining.contract.errors import InputError
from mining.contract.model_ref import ModelRef

_SUFFIXES = (".npy", ".parquet")
_IDS_SUFFIXES = (".ids", ".ids.txt")
_Floats = NDArray[np.floating[Any]]
_ID, _EMBEDDING = "id", "embedding"


@dataclass(frozen=True, kw_only=True)
class VectorFile:
    """One file of vectors.

    Attributes:
        path: where the vectors are.
        ids_path: where their ids are; the same file for Parquet.
    """

    path: Path
    ids_path: Path


def is_precomputed(path: Path) -> bool:
    """Whether a path holds vectors rather than a model."""
    if path.is_dir():
        is_model = (path / "config.json").is_file() or (path / "modules.json").is_file()
        return not is_model and any(_vector_paths(path))
    return path.suffix in _SUFFIXES


class PrecomputedEncoder:
    """An :class:`~mining.contract.encoder.Encoder` that looks vectors up by ``doc_id``."""

    def __init__(self, ref: ModelRef) -> None:
        """Open the files; ``.npy`` arrays stay on disk.

        Raises:
            InputError: files are missing or malformed, or ids repeat or do not match their array.
        """
        self._ref = ref
        self._files = vector_files(ref)
        arrays, ids = zip(*(open_vectors(file) for file in self._files), strict=True)
        widths = {array.shape[1] for array in arrays}
        if len(widths) > 1:
            raise InputError(
                f"{ref.path}: all files must hold vectors of one width, but hold {sorted(widths)}"
            )
        self._arrays: Sequence[_Floats] = arrays
        self._starts = np.cumsum([0, *map(len, arrays)])
        self._lookup = _Lookup(pa.chunked_array(ids, pa.large_string()), self._origin())

    def _origin(self) -> str:
        names = sorted({file.ids_path.name for file in self._files})
        return str(self._files[0].ids_path) if len(names) == 1 else f"{self._ref.path}"

    @functools.cached_property
    def card(self) -> EncoderCard:
        """Facts; the fingerprint reads every file, so it is made on first use."""
        named = {f"{i:08d}/vectors": file.path for i, file in enumerate(self._files)}
        named |= {f"{i:08d}/ids": file.ids_path for i, file in enumerate(self._files)}
        contents = files_digest(named)
        fingerprint = hashlib.sha256(f"{contents}\n{self._ref.settings()}".encode()).hexdigest()
        return EncoderCard(
            name=Path(self._ref.path).name,
            dim=self.dim,
            space=self._ref.space or f"precomputed:{contents[:16]}",
            modalities=frozenset({"text", "speech"}),
            fingerprint=fingerprint,
            licence="unknown",
            by_id=True,
        )

    @property
    def name(self) -> str:
        """File or folder name."""
        return Path(self._ref.path).name

    @property
    def dim(self) -> int:
        """D."""
        return int(self._arrays[0].shape[1])

    @property
    def space(self) -> str:
        """The user's word, or a digest of the files: unnamed, they compare with themselves only."""
        return self.card.space

    @property
    def modalities(self) -> frozenset[str]:
        """Either: what the vectors were made of is not known."""
        return self.card.modalities

    @property
    def fingerprint(self) -> str:
        """Digest of the files and settings."""
        return self.card.fingerprint

    def embed(self, batch: pa.RecordBatch) -> EmbeddingBatch:
        """Unit vectors, float32 [B, D].

        Rows whose id has no vector, or whose vector is zero or not finite, are problems.
        """
        wanted = batch.column("doc_id")
        rows = self._lookup.rows(wanted)
        raw = self._take(rows)
        norms = np.linalg.norm(raw, axis=1)
        names = wanted.to_pylist()
        problems: dict[int, str] = {}
        for row in np.flatnonzero((rows < 0) | ~np.isfinite(norms) | (norms == 0)):
            problems[int(row)] = _problem(names[row], rows[row] >= 0, raw[row])
        norms[list(problems)] = 1
        raw[list(problems)] = 0
        return EmbeddingBatch(vectors=(raw / norms[:, None]).astype(np.float32), problems=problems)

    def _take(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Stored rows, float64 [B, D]; zeros where a row is negative."""
        found = np.zeros((len(rows), self.dim), dtype=np.float64)
        for array, start, end in zip(self._arrays, self._starts, self._starts[1:], strict=False):
            places = np.flatnonzero((rows >= start) & (rows < end))
            found[places] = array[rows[places] - start]
        return found


def _problem(doc_id: str | None, stored: bool, vector: NDArray[np.float64]) -> str:
    if doc_id is None:
        return "has no id to look its vector up by; name the column in columns.id"
    if not stored:
        return f"no vector for id {doc_id!r}"
    if np.isnan(vector).any():
        return f"vector of id {doc_id!r} has NaN"
    if np.isinf(vector).any():
        return f"vector of id {doc_id!r} has infinity"
    return f"vector of id {doc_id!r} is zero"


def vector_files(ref: ModelRef) -> list[VectorFile]:
    """The files that a path stands for, in the order of their names.

    Raises:
        InputError: an array has no ids beside it.
    """
    root = Path(os.path.expanduser(ref.path))
    paths = sorted(_vector_paths(root)) if root.is_dir() else [root]
    if ref.ids is not None and (len(paths) > 1 or paths[0].suffix != ".npy"):
        raise InputError(
            f"{ref.path}: ids must be given for one .npy file only, but there are {len(paths)} "
            "vector files; put an .ids file beside each array"
        )
    return [VectorFile(path=path.resolve(), ids_path=_ids_path(path, ref.ids)) for path in paths]


def _vector_paths(folder: Path) -> list[Path]:
    files = (path for path in folder.iterdir() if path.suffix in _SUFFIXES)
    return [path for path in files if not path.name.startswith((".", "_"))]


def _ids_path(path: Path, given: str | None) -> Path:
    if path.suffix == ".parquet":
        return path.resolve()
    choices = (
        [Path(os.path.expanduser(given))] if given else [path.with_suffix(s) for s in _IDS_SUFFIXES]
    )
    for choice in choices:
        if choice.is_file():
            return choice.resolve()
    raise InputError(
        f"{path}: its ids must be in {' or '.join(map(str, choices))}, but no such file is there; "
        "write one id a line, in the order of the rows, and name the file in model.ids"
    )


def open_vectors(file: VectorFile) -> tuple[_Floats, pa.Array[Any]]:
    """Vectors [N, D] and their ids [N]; ``.npy`` is memory-mapped.

    Raises:
        InputError: the file is missing, malformed, or has not as many ids as rows.
    """
    array, ids = _open_parquet(file.path) if file.path == file.ids_path else _open_npy(file)
    if array.dtype not in (np.float16, np.float32, np.float64):
        raise InputError(
            f"{file.path}: vectors must be float16, float32 or float64, but are {array.dtype}"
        )
    if array.ndim != 2 or array.shape[1] == 0:
        raise InputError(f"{file.path}: the array must be [rows, width], but is {array.shape}")
    if len(array) != len(ids):
        raise InputError(
            f"{file.path}: must have one row for each id, but has {len(array)} rows and "
            f"{file.ids_path} has {len(ids)} ids; write both from one list"
        )
    return array, ids


def _open_npy(file: VectorFile) -> tuple[_Floats, pa.Array[Any]]:
    try:
        array = np.load(file.path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            f"{file.path}: must be a .npy array of floats, but cannot be read: {error}"
        ) from None
    try:
        lines = file.ids_path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file.ids_path}: must be UTF-8 text, but is not: {error}") from None
    ids = [line.removesuffix("\r") for line in lines] if lines != [""] else []
    return array, pa.array(ids, pa.large_string())


def _open_parquet(path: Path) -> tuple[_Floats, pa.Array[Any]]:
    try:
        table = pq.read_table(path, columns=[_ID, _EMBEDDING], partitioning=None)
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"{path}: must be Parquet with columns {_ID!r} and {_EMBEDDING!r}, but is not: "
            f"{str(error).splitlines()[0]}"
        ) from None
    for name in (_ID, _EMBEDDING):
        if name not in table.column_names or table.column(name).null_count:
            raise InputError(f"{path}: column {name!r} must be there and hold no nulls")
    if not len(table):
        raise InputError(f"{path}: must hold vectors, but has no rows")
    # Chunk by chunk: 32-bit list offsets overflow at 2^31 numbers.
    parts = [_matrix(chunk, path) for chunk in table.column(_EMBEDDING).chunks if len(chunk)]
    if len({part.shape[1] for part in parts}) > 1:
        raise InputError(f"{path}: column {_EMBEDDING!r} must hold vectors of one width")
    return np.concatenate(parts), table.column(_ID).cast(pa.large_string()).combine_chunks()


def _matrix(column: Any, path: Path) -> _Floats:
    """A column of vectors as [N, D]."""
    kind = column.type
    if pa.types.is_fixed_size_binary(kind) and kind.byte_width % 2 == 0:
        data = np.frombuffer(column.buffers()[1], dtype=np.uint8)
        data = data[column.offset * kind.byte_width :][: len(column) * kind.byte_width]
        found: _Floats = data.view(np.float16).reshape(len(column), kind.byte_width // 2)
        return found
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if is_list or pa.types.is_fixed_size_list(kind):
        flat = column.flatten()
        width = len(flat) // max(1, len(column))
        lengths = column.value_lengths().to_numpy(zero_copy_only=False)
        if (lengths == width).all() and not flat.null_count and pa.types.is_floating(flat.type):
            matrix: _Floats = flat.to_numpy(zero_copy_only=False).reshape(len(column), width)
            return matrix
    raise InputError(
        f"{path}: column {_EMBEDDING!r} must hold float vectors of one width, without nulls, as "
        f"list, fixed_size_list or fixed_size_binary (float16), but is {kind}"
    )


class _Lookup:
    """Id to row: 16 bytes a row beside the ids, where a dict would take over a hundred."""

    def __init__(self, ids: pa.ChunkedArray[Any], where: str) -> None:
        self._ids = ids.combine_chunks()
        hashes = _hashes(self._ids)
        self._order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[self._order]
        # Rows whose hash another row has: the same id twice, or (one in 2^64) a collision.
        shared = np.flatnonzero(np.r_[False, self._hashes[1:] == self._hashes[:-1]])
        suspects = self._order[np.union1d(shared, shared - 1)] if len(shared) else shared
        names = self._ids.take(pa.array(suspects, pa.int64())).to_pylist()
        self._colliding = dict(zip(names, map(int, suspects), strict=True))
        if len(self._colliding) < len(names):
            double = next(name for name in names if names.count(name) > 1)
            repeated = len(names) - len(self._colliding)
            raise InputError(
                f"{where}: ids must be unique, but {repeated} of {len(self._ids)} repeat another, "
                f"such as {double!r}; keep one row of each"
            )

    def rows(self, wanted: pa.Array[Any]) -> NDArray[np.int64]:
        """Row of each id, int64 [B]; -1 where there is none."""
        if not len(self._order):
            return np.full(len(wanted), -1, dtype=np.int64)
        places = np.searchsorted(self._hashes, _hashes(wanted))
        rows = self._order[np.minimum(places, len(self._order) - 1)]
        stored = self._ids.take(pa.array(rows, pa.int64())).to_pylist()
        names = wanted.to_pylist()
        found = [
            row if name == kept else self._colliding.get(name, -1)
            for row, name, kept in zip(rows.tolist(), names, stored, strict=True)
        ]
        return np.asarray(found, dtype=np.int64)


def _hashes(ids: pa.Array[Any]) -> NDArray[np.uint64]:
    objects = ids.fill_null("").to_numpy(zero_copy_only=False)
    hashes: NDArray[np.uint64] = pd.util.hash_array(objects, categorize=False)
    return hashes
