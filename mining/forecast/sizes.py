"""How many rows a run makes, and how many bytes they take on disk and in memory.

n source rows, m target rows of a language pair, k neighbours, D dimensions.

Bytes on disk follow from the schemas of :mod:`mining.contract.schemas` and from how
:mod:`mining.io.parquet` writes them (zstd, dictionaries of at most 1 MiB, row groups of 65,536 rows):
an id is 32 hex digits, that is 16 bytes of information, of which zstd makes about 18. What a column
of ids costs was checked against the files of real runs (tests/end_to_end/test_plan.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_ID = 18.0  # bytes of an id after zstd
_FLOAT = 4.0  # of a float32 similarity or score, which hardly shrinks
_TEXT = 0.55  # bytes of a character of short sentences after zstd, in the sample's ten languages
_GROUP_ROWS = 65536  # of mining.io.parquet
_DICTIONARY = (1 << 20) // 36  # ids in a dictionary page: 32 digits and their length
_PAIR, _REJECT = 70.0, 8.5  # of the columns that are neither ids nor texts
_SEGMENT, _OCCURRENCE = 8.0, 10.0
_TILE_ROW = 8.0  # of mining.io.tiles: int32 and float32
_NOMINEE = 50.0  # bytes of a neighbour while a tile is searched: keys, their sorted copies, bounds
_PANEL = float(1 << 26)  # of the backend ``exact``: columns in float32
_NEIGHBOR_ROW = 2 * (32 + 4) + 4 + 2 + (7 + 4)  # NEIGHBOR in memory, ids as plain strings
_CANDIDATE_ROW = 2 * (32 + 4) + 4 * 4 + 2 * 2 + 3  # CANDIDATE in memory, much the same
_PAIR_COPIES = 3  # tables alive at a time while a language pair is scored: read, joined, sorted


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Rows of a language pair and how they are cut into tiles.

    Attributes:
        rows: n, and ``columns`` m.
        row_blocks: how many blocks the source rows are cut into; ``column_blocks`` the target's.
    """

    src: str
    tgt: str
    rows: float
    columns: float
    row_blocks: int
    column_blocks: int


@dataclass(frozen=True, kw_only=True)
class TaskSize:
    """What a task compares.

    Attributes:
        task: its name.
        pools: its language pairs.
        forward_k: neighbours of a source row; ``backward_k`` of a target row.
        dim: D.
    """

    task: str
    pools: tuple[Pool, ...]
    forward_k: int
    backward_k: int
    dim: int

    @property
    def similarities(self) -> float:
        """N m, of all language pairs: the k-NN search is quadratic."""
        return sum(pool.rows * pool.columns for pool in self.pools)

    def _neighbors(self, pool: Pool) -> tuple[float, float]:
        return (
            pool.rows * min(self.forward_k, pool.columns),
            pool.columns * min(self.backward_k, pool.rows),
        )

    @property
    def neighbors(self) -> float:
        """Rows of the neighbours: n min(k, m) + m min(k, n), of all language pairs."""
        return sum(sum(self._neighbors(pool)) for pool in self.pools)

    @property
    def largest(self) -> float:
        """Neighbours of the largest language pair: the unit of scoring."""
        return max((sum(self._neighbors(pool)) for pool in self.pools), default=0.0)

    @property
    def partials(self) -> float:
        """Rows that all tiles write before they are merged: every block brings k of its own."""
        total = 0.0
        for pool in self.pools:
            width, height = pool.columns / pool.column_blocks, pool.rows / pool.row_blocks
            total += pool.rows * pool.column_blocks * min(self.forward_k, width)
            total += pool.columns * pool.row_blocks * min(self.backward_k, height)
        return total

    @property
    def tiles(self) -> int:
        """Tiles of all language pairs."""
        return sum(pool.row_blocks * pool.column_blocks for pool in self.pools)

    def neighbor_bytes(self, pool: Pool) -> float:
        """Of a language pair on disk: query ids repeat k times, index ids go through a dictionary."""
        total = 0.0
        for rows, k, others in (
            (self._neighbors(pool)[0], self.forward_k, pool.columns),
            (self._neighbors(pool)[1], self.backward_k, pool.rows),
        ):
            group = max(1.0, min(_GROUP_ROWS, rows))
            distinct = min(others, group)
            index = _ID  # without a dictionary
            if distinct <= _DICTIONARY:
                index = _ID * distinct / group + int(distinct).bit_length() / 8.0
            total += rows * (_ID / max(1.0, min(k, others)) + index + _FLOAT + 0.5)
        return total


def dataset_bytes(
    segments: Mapping[str, float], chars: Mapping[str, float], tasks: Sequence[TaskSize], dim: int
) -> dict[str, float]:
    """Bytes on disk of each dataset.

    - segments: an id, its text, 8 bytes of the other columns;
    - occurrences: an id and a place;
    - embeddings: 2 D of float16, which zstd leaves about as they are, and an id;
    - neighbors: see :meth:`TaskSize.neighbor_bytes`;
    - tiles: a position and a similarity for each neighbour that a tile finds;
    - rejects: every candidate that is no pair leaves an id and a score; at most all neighbours do,
      though those found from both sides are one candidate;
    - pairs: three ids, both texts and scores, at most one a row of the smaller side.

    Args:
        segments: rows by corpus.
        chars: mean characters of a segment's text by corpus; 0 where it has none.
        tasks: what is compared.
        dim: D.
    """
    rows = sum(segments.values())
    text = sum(count * _TEXT * chars.get(name, 0.0) for name, count in segments.items())
    smaller = sum(min(pool.rows, pool.columns) for task in tasks for pool in task.pools)
    candidates = sum(task.neighbors for task in tasks)
    mean = text / rows if rows else 0.0
    return {
        "segments": rows * (_ID + _SEGMENT) + text,
        "occurrences": rows * (_ID + _OCCURRENCE),
        "embeddings": rows * (2.0 * dim + _ID),
        "neighbors": sum(task.neighbor_bytes(pool) for task in tasks for pool in task.pools),
        "tiles": sum(task.partials for task in tasks) * _TILE_ROW,
        "rejects": candidates * (_ID + _REJECT),
        "pairs": smaller * (3.0 * _ID + _PAIR + 2.0 * mean),
    }


def tile_bytes(task: TaskSize) -> float:
    """Memory of the largest tile beside the libraries.

    Both blocks as stored (2 D) and once more as they are read, of the columns a panel in float32, and k
    nominees for each row. ``faiss-flat`` takes 4 D a row in place of the panel.
    """
    most = 0.0
    for pool in task.pools:
        height, width = pool.rows / pool.row_blocks, pool.columns / pool.column_blocks
        vectors = (height + width) * 4.0 * task.dim + min(_PANEL, width * 4.0 * task.dim)
        found = height * min(task.forward_k, width) + width * min(task.backward_k, height)
        most = max(most, vectors + found * _NOMINEE)
    return most


def scoring_bytes(task: TaskSize) -> float:
    """Memory of the largest language pair while it is scored, beside the libraries."""
    return task.largest * (_NEIGHBOR_ROW + _CANDIDATE_ROW) * _PAIR_COPIES
